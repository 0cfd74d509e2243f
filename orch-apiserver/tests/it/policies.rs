//! Admission policies. Tests named in a comment are those of Kubernetes' conformance suite
//! (`test/e2e/apimachinery/{validating,mutating}admissionpolicy.go`).

use crate::{
    hook_server::CONFIGURATIONS,
    support::{MAPS, Server, deployment, map},
};
use serde_json::{Value, json};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

/// Constraints to one resource.
fn on(group: &str, resource: &str) -> Value {
    json!({"resourceRules": [{"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE", "DELETE"],
        "resources": [resource]}]})
}

async fn policy(server: &Server, kind: &str, mut spec: Value, binding: Value) {
    let plural = format!("{}admissionpolicies", kind.to_lowercase());
    if spec.get("matchConstraints").is_none() {
        spec["matchConstraints"] = on("", "configmaps");
    }
    let object = |suffix: &str, name: &str, spec: Value| {
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": format!("{kind}AdmissionPolicy{suffix}"),
            "metadata": {"name": name}, "spec": spec})
    };
    server.post(&format!("{CONFIGURATIONS}/{plural}"), object("", "p", spec)).await.ok();
    let mut bound = json!({"policyName": "p"});
    if kind == "Validating" {
        bound["validationActions"] = json!(["Deny"]);
    }
    for (field, value) in binding.as_object().into_iter().flatten() {
        bound[field] = value.clone();
    }
    let bindings = plural.replace("policies", "policybindings");
    server.post(&format!("{CONFIGURATIONS}/{bindings}"), object("Binding", "b", bound)).await.ok();
}

async fn validating(spec: Value, binding: Value) -> Server {
    let server = Server::start().await;
    policy(&server, "Validating", spec, binding).await;
    server
}

async fn mutating(spec: Value) -> Server {
    let server = Server::start().await;
    let mut spec = spec;
    spec["reinvocationPolicy"] = "IfNeeded".into();
    policy(&server, "Mutating", spec, json!({})).await;
    server
}

fn replicated(name: &str, replicas: i64) -> Value {
    let mut deployment = deployment(name);
    deployment["spec"]["replicas"] = replicas.into();
    deployment
}

fn denied(name: &str, why: &str) -> String {
    format!("422 Invalid: {name} is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: {why}")
}

/// [sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should validate against a Deployment [Conformance]
#[tokio::test]
async fn a_policy_refuses_deployments_that_its_expression_does_not_hold_for() {
    let spec = json!({"matchConstraints": on("apps", "deployments"), "validations": [
        {"expression": "object.spec.replicas > 1",
            "messageExpression": "'wants replicas > 1, got ' + string(object.spec.replicas)"},
        {"expression": "namespaceObject.metadata.name == 'default'", "message": "another namespace"}]});
    let server = validating(spec, json!({})).await;
    let answer = server.post(DEPLOYMENTS, replicated("marker", 1)).await;
    assert_eq!(answer.status(), denied("deployments.apps \"marker\"", "wants replicas > 1, got 1"));
    assert_eq!(answer.json()["details"]["causes"].as_array().map(Vec::len), Some(1));
    server.post(DEPLOYMENTS, replicated("replicated", 2)).await.ok();
    let mut set = replicated("set", 1);
    set["kind"] = "ReplicaSet".into();
    server.post("/apis/apps/v1/namespaces/default/replicasets", set).await.ok();
}

/// [sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should allow expressions to refer variables. [Conformance]
#[tokio::test]
async fn expressions_refer_to_variables_and_variables_to_those_before_them() {
    let spec = json!({"matchConstraints": on("apps", "deployments"),
        "variables": [
            {"name": "replicas", "expression": "object.spec.replicas"},
            {"name": "oddReplicas", "expression": "variables.replicas % 2 == 1"}],
        "validations": [
            {"expression": "variables.replicas > 1"}, {"expression": "variables.oddReplicas"}]});
    let server = validating(spec, json!({})).await;
    let status = async |replicas| server.post(DEPLOYMENTS, replicated("x", replicas)).await.status();
    let name = "deployments.apps \"x\"";
    assert_eq!(status(1).await, denied(name, "failed expression: variables.replicas > 1"));
    assert_eq!(status(2).await, denied(name, "failed expression: variables.oddReplicas"));
    server.post(DEPLOYMENTS, replicated("x", 3)).await.ok();
}

/// [sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] should mutate a Deployment [Conformance]
/// [sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] should mutate a Deployment with annotations [Conformance]
#[tokio::test]
async fn a_policy_changes_what_it_lays_its_configuration_over() {
    let apply =
        |expression: &str| json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}});
    let spec = json!({"matchConstraints": on("apps", "deployments"), "failurePolicy": "Fail", "mutations": [
        apply("Object{spec: Object.spec{replicas: 1337}}"),
        apply("Object{metadata: Object.metadata{annotations: {\"mutated-by\": \"admission-policy\"}}}")]});
    let server = mutating(spec).await;
    let made = server.post(DEPLOYMENTS, replicated("marker", 1)).await.ok();
    assert_eq!(made["spec"]["replicas"], 1337);
    assert_eq!(made["metadata"]["annotations"]["mutated-by"], "admission-policy");
    assert_eq!(made["spec"]["template"]["spec"]["containers"][0]["image"], "example");
}

#[tokio::test]
async fn a_policy_patches_and_sees_its_own_change_before() {
    let patch = |expression: &str| json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}});
    let spec = json!({"failurePolicy": "Fail", "mutations": [
        patch("[JSONPatch{op: \"add\", path: \"/data/first\", value: \"1\"}]"),
        patch("[JSONPatch{op: \"test\", path: \"/data/first\", value: \"1\"}, \
               JSONPatch{op: \"add\", path: \"/data/\" + jsonpatch.escapeKey(\"a/b\"), value: object.data.first + \"2\"}]"),
        patch("[JSONPatch{op: \"test\", path: \"/data/first\", value: \"9\"}, \
               JSONPatch{op: \"remove\", path: \"/data\"}]")]});
    let server = mutating(spec).await;
    let answer = server.post(MAPS, map("m")).await;
    // A key with a slash is no key of a ConfigMap: validation sees what policies made.
    assert_eq!(answer.code.as_u16(), 422);
    assert!(answer.text.contains("Invalid value: \\\"a/b\\\""), "{}", answer.text);
}

#[tokio::test]
async fn a_configuration_must_not_touch_what_could_only_be_replaced() {
    let expression = "Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{\
                      containers: [Object.spec.template.spec.containers{name: \"main\", command: [\"x\"]}]}}}}";
    let spec = json!({"matchConstraints": on("apps", "deployments"), "failurePolicy": "Fail", "mutations": [
        {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}]});
    let server = mutating(spec).await;
    let words = "403 Invalid: policy 'p' with binding 'b' denied request: error applying patch: invalid \
                 ApplyConfiguration: may not mutate atomic arrays, maps or structs: \
                 .spec.template.spec.containers[0].command";
    assert_eq!(server.post(DEPLOYMENTS, deployment("x")).await.status(), words);
}

#[tokio::test]
async fn parameters_come_from_the_binding_once_for_each() {
    let spec = json!({"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConditions": [{"name": "not-params", "expression": "!object.metadata.name.startsWith('limit')"}],
        "validations": [{"expression": "size(object.data.key) <= int(params.data.max)",
            "messageExpression": "'longer than ' + params.data.max"}]});
    let select = json!({"paramRef": {"selector": {"matchLabels": {"limits": "yes"}}, "namespace": "default",
        "parameterNotFoundAction": "Deny"}});
    let server = validating(spec, select).await;
    let words = "no params found for policy binding with `Deny` parameterNotFoundAction";
    let status = async |value: &str| {
        let mut map = map("m");
        map["data"]["key"] = value.into();
        server.post(&format!("{MAPS}?dryRun=All"), map).await.status()
    };
    assert_eq!(status("x").await, denied("configmaps \"m\"", &format!("failed to configure binding: {words}")));
    server.delete(&format!("{CONFIGURATIONS}/validatingadmissionpolicybindings/b")).await.ok();
    for (name, max) in [("limit-a", "5"), ("limit-b", "3")] {
        let mut limit = map(name);
        limit["metadata"]["labels"] = json!({"limits": "yes"});
        limit["data"] = json!({"max": max, "key": ""});
        server.post(MAPS, limit).await.ok();
    }
    let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "b"}, "spec": {"policyName": "p", "validationActions": ["Deny"], "paramRef": {
            "selector": {"matchLabels": {"limits": "yes"}}, "parameterNotFoundAction": "Deny"}}});
    server.post(&format!("{CONFIGURATIONS}/validatingadmissionpolicybindings"), binding).await.ok();
    assert_eq!(status("1234").await, denied("configmaps \"m\"", "longer than 3"));
    assert!(status("123").await.starts_with("201"), "three fit both");
}

#[tokio::test]
async fn what_is_done_about_a_fault_is_the_bindings_business() {
    let spec = json!({"validations": [{"expression": "false", "message": "never"}]});
    let server = validating(spec, json!({"validationActions": ["Warn", "Audit"]})).await;
    let answer = server.post(MAPS, map("m")).await;
    let words = "299 - \"Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': never\"";
    assert_eq!((answer.code.as_u16(), answer.warnings()), (201, vec![words]));
}

#[tokio::test]
async fn an_expression_that_fails_refuses_or_is_ignored_as_the_policy_says() {
    let spec =
        |policy: &str| json!({"failurePolicy": policy, "validations": [{"expression": "object.data.missing == 'x'"}]});
    let why = "expression 'object.data.missing == 'x'' resulted in error: no such key: missing";
    let strict = validating(spec("Fail"), json!({})).await;
    assert_eq!(strict.post(MAPS, map("m")).await.status(), denied("configmaps \"m\"", why));
    validating(spec("Ignore"), json!({})).await.post(MAPS, map("m")).await.ok();
}

#[tokio::test]
async fn a_policy_asks_the_authorizer_and_knows_the_request() {
    let spec = json!({"validations": [
        {"expression": "request.operation == 'CREATE' && request.resource.resource == 'configmaps'"},
        {"expression": "authorizer.group('').resource('secrets').namespace('default').check('create').allowed()"},
        {"expression": "authorizer.requestResource.check('create').allowed()"},
        {"expression": "!authorizer.serviceAccount('default', 'nobody').group('').resource('pods').check('get').allowed()"},
        {"expression": "request.userInfo.username == 'system:apiserver'", "reason": "Forbidden"},
        {"expression": "oldObject == null"}]});
    validating(spec, json!({})).await.post(MAPS, map("m")).await.ok();
}

#[tokio::test]
async fn the_reason_of_a_validation_is_that_of_the_refusal() {
    let spec = json!({"validations": [{"expression": "false", "message": "no", "reason": "Forbidden"}]});
    let status = validating(spec, json!({})).await.post(MAPS, map("m")).await.status();
    assert!(status.starts_with("403 Forbidden: "), "{status}");
}

#[tokio::test]
async fn the_parameters_of_an_unknown_kind_are_a_fault_of_the_policy() {
    let spec = json!({"paramKind": {"apiVersion": "example.com/v1", "kind": "Limit"},
        "validations": [{"expression": "params != null"}]});
    let server = validating(spec, json!({"paramRef": {"name": "x", "parameterNotFoundAction": "Allow"}})).await;
    let status = server.post(MAPS, map("m")).await.status();
    assert_eq!(
        status,
        "422 Invalid: configmaps \"m\" is forbidden: ValidatingAdmissionPolicy 'p' denied request: failed to configure \
         policy: failed to find resource referenced by paramKind: 'example.com/v1, Kind=Limit'"
    );
}

#[tokio::test]
async fn deletions_show_the_old_object_alone() {
    let spec = json!({"validations": [
        {"expression": "request.operation != 'DELETE' || oldObject.data.key != 'value'", "message": "stays"}]});
    let server = validating(spec, json!({})).await;
    server.post(MAPS, map("m")).await.ok();
    assert_eq!(server.delete(&format!("{MAPS}/m")).await.status(), denied("configmaps \"m\"", "stays"));
}

#[tokio::test]
async fn policies_change_the_object_by_their_parameters_and_conditions() {
    let server = Server::start().await;
    let mut params = map("team");
    params["data"] = json!({"team": "blue"});
    server.post(MAPS, params).await.ok();
    let expression = "Object{metadata: Object.metadata{labels: {\"team\": variables.team}}}";
    let spec = json!({"failurePolicy": "Fail", "reinvocationPolicy": "Never",
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConditions": [{"name": "unlabelled", "expression": "object != null && !has(object.metadata.labels)"}],
        "variables": [{"name": "team", "expression": "params.data.team"}],
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}]});
    let binding = json!({"paramRef": {"name": "team", "namespace": "default", "parameterNotFoundAction": "Deny"}});
    policy(&server, "Mutating", spec, binding).await;
    assert_eq!(server.post(MAPS, map("a")).await.ok()["metadata"]["labels"], json!({"team": "blue"}));
    let mut labelled = map("b");
    labelled["metadata"]["labels"] = json!({"own": "x"});
    assert_eq!(server.post(MAPS, labelled).await.ok()["metadata"]["labels"], json!({"own": "x"}));
    server.delete(&format!("{MAPS}/team")).await.ok();
    let words = "403 Forbidden: policy 'p' with binding 'b' denied request: failed to configure binding: no params found for \
                 policy binding with `Deny` parameterNotFoundAction";
    assert_eq!(server.post(MAPS, map("c")).await.status(), words);
}

#[tokio::test]
async fn expressions_that_do_not_compile_are_refused_with_their_place() {
    let server = Server::start().await;
    let spec = json!({"matchConstraints": on("", "configmaps"), "variables": [{"name": "a", "expression": "nothing.x"}],
        "validations": [{"expression": "object.x +"}, {"expression": "'text'"}, {"expression": "variables.b == 1"}]});
    let body = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "p"}, "spec": spec});
    let answer = server.post(&format!("{CONFIGURATIONS}/validatingadmissionpolicies"), body).await;
    let causes = answer.json()["details"]["causes"].clone();
    let fields: Vec<&str> = causes.as_array().unwrap().iter().filter_map(|c| c["field"].as_str()).collect();
    let expected = [
        "spec.variables[0].expression",
        "spec.validations[0].expression",
        "spec.validations[1].expression",
        "spec.validations[2].expression",
    ];
    assert_eq!(fields, expected, "{}", answer.text);
    assert!(answer.text.contains("must evaluate to bool"), "{}", answer.text);
}
