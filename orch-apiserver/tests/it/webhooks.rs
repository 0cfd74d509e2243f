//! Admission webhooks over HTTPS. Tests named in a comment are those of Kubernetes' conformance suite
//! (`test/e2e/apimachinery/webhook.go`), all under `[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin]`.

use crate::{
    hook_server::{CONFIGURATIONS, Reply, Rig, agnhost, rule},
    support::{MAPS, PODS, map, pod},
};
use http::Method;
use orch_api::review::{AdmissionRequest, AdmissionResponse};
use serde_json::{Value, json};

const EVERYTHING: [&str; 1] = ["*"];

fn disallowed(name: &str) -> Value {
    let mut map = map(name);
    map["data"]["webhook-e2e-test"] = "webhook-disallow".into();
    map
}

fn maps(operations: &[&str]) -> Value {
    rule(operations, "", &["configmaps"])
}

const DENIED: &str = "admission webhook \"configmaps.k8s.io\" denied the request: the configmap contains unwanted data";

/// [sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should be able to deny pod and configmap creation [Conformance]
#[tokio::test]
async fn pods_and_configmaps_can_be_denied() {
    let rig = Rig::start(agnhost).await;
    let mut hook = rig.hook("/configmaps", maps(&["CREATE", "UPDATE", "DELETE"]));
    hook["namespaceSelector"] = json!({"matchExpressions": [
        {"key": "skip-webhook-admission", "operator": "NotIn", "values": ["yes"]}]});
    let pods = rig.hook("/pods", rule(&["CREATE"], "", &["pods"]));
    rig.validating("deny", vec![pods, hook]).await;
    let server = &rig.server;

    let mut labelled = pod("disallowed-pod");
    labelled["metadata"]["labels"] = json!({"webhook-e2e-test": "webhook-disallow"});
    let words = "admission webhook \"pods.k8s.io\" denied the request: the pod contains unwanted label; ";
    let answer = server.post(PODS, labelled).await;
    assert_eq!(answer.json()["message"], words);
    assert_eq!((answer.code.as_u16(), &answer.json()["reason"]), (400, &json!("the pod contains unwanted label; ")));

    assert_eq!(server.post(MAPS, disallowed("a")).await.json()["message"], DENIED);
    server.post(MAPS, map("allowed")).await.ok();
    let path = format!("{MAPS}/allowed");
    assert_eq!(server.put(&path, disallowed("allowed")).await.json()["message"], DENIED);
    let patch = json!({"data": {"webhook-e2e-test": "webhook-disallow"}});
    assert_eq!(server.patch(&path, "merge-patch+json", patch).await.json()["message"], DENIED);

    let skipped = json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "skipped", "labels": {"skip-webhook-admission": "yes"}}});
    server.post("/api/v1/namespaces", skipped).await.ok();
    server.post("/api/v1/namespaces/skipped/configmaps", disallowed("b")).await.ok();
}

/// [sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should be able to deny attaching pod [Conformance]
#[tokio::test]
async fn attaching_to_a_pod_can_be_denied() {
    let rig = Rig::start(agnhost).await;
    let connect = rule(&["CONNECT"], "", &["pods/attach"]);
    rig.validating("attach", vec![rig.hook("/pods/attach", connect)]).await;
    let server = &rig.server;
    server.post(PODS, pod("to-be-attached-pod")).await.ok();
    let answer = server.post(&format!("{PODS}/to-be-attached-pod/attach?container=main&stdin=true"), json!({})).await;
    let words = "admission webhook \"pods-attach.k8s.io\" denied the request: attaching to pod 'to-be-attached-pod' is \
                 not allowed";
    assert_eq!(answer.json()["message"], words);
    let asked = rig.asked.lock();
    let request = &asked[0];
    assert_eq!(
        (&*request.operation, &*request.sub_resource, &*request.kind.kind),
        ("CONNECT", "attach", "PodAttachOptions")
    );
    assert_eq!(
        request.object,
        json!({"kind": "PodAttachOptions", "apiVersion": "v1", "container": "main", "stdin": true})
    );
}

/// [sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should unconditionally reject operations on fail closed webhook [Conformance]
#[tokio::test]
async fn a_webhook_that_cannot_be_called_fails_closed() {
    let rig = Rig::start(agnhost).await;
    let mut hook = rig.hook("/configmaps", maps(&["CREATE"]));
    hook["clientConfig"]["service"]["name"] = "not-registered".into();
    hook["failurePolicy"] = "Fail".into();
    rig.validating("closed", vec![hook]).await;
    let answer = rig.server.post(MAPS, map("foo")).await;
    assert_eq!(
        answer.status(),
        "500 InternalError: Internal error occurred: failed calling webhook \"configmaps.k8s.io\": failed to call webhook: \
         Post \"https://not-registered.hooks.svc:443/configmaps?timeout=10s\": service \"not-registered\" not found"
    );
}

/// [sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate configmap [Conformance]
#[tokio::test]
async fn webhooks_mutate_one_after_the_other() {
    let rig = Rig::start(agnhost).await;
    let (mut first, mut second) =
        (rig.hook("/mutating-configmaps", maps(&["CREATE"])), rig.hook("/mutating-configmaps", maps(&["CREATE"])));
    first["name"] = "adding-configmap-data-stage-1.k8s.io".into();
    second["name"] = "adding-configmap-data-stage-2.k8s.io".into();
    rig.mutating("stages", vec![first, second]).await;
    let mut start = map("to-be-mutated");
    start["data"] = json!({"mutation-start": "yes"});
    let made = rig.server.post(MAPS, start).await.ok();
    let expected = json!({"mutation-start": "yes", "mutation-stage-1": "yes", "mutation-stage-2": "yes"});
    assert_eq!(made["data"], expected);
    assert_eq!(rig.server.get(&format!("{MAPS}/to-be-mutated")).await.ok()["data"], expected);
}

/// [sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate everything except 'skip-me' configmaps [Conformance]
#[tokio::test]
async fn objects_are_selected_by_their_labels() {
    let rig = Rig::start(agnhost).await;
    let mut hook = rig.hook("/add-label", rule(&["CREATE"], "*", &EVERYTHING));
    hook["objectSelector"] = json!({"matchExpressions": [{"key": "skip-me", "operator": "DoesNotExist"}]});
    rig.mutating("labels", vec![hook]).await;
    let made = |name: &str, labels: Value| {
        let mut map = map(name);
        map["metadata"]["labels"] = labels;
        rig.server.post(MAPS, map)
    };
    let skipped = made("skipped", json!({"skip-me": "yes"})).await.ok();
    assert_eq!(skipped["metadata"]["labels"], json!({"skip-me": "yes"}));
    let labelled = made("labelled", json!({})).await.ok();
    assert_eq!(labelled["metadata"]["labels"]["added-label"], "yes");
}

/// [sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate pod and apply defaults after mutation [Conformance]
#[tokio::test]
async fn what_a_webhook_adds_gets_its_defaults() {
    let rig = Rig::start(agnhost).await;
    rig.mutating("pods", vec![rig.hook("/mutating-pods", rule(&["CREATE"], "", &["pods"]))]).await;
    let made = rig.server.post(PODS, pod("webhook-to-be-mutated")).await.ok();
    let init = &made["spec"]["initContainers"][0];
    assert_eq!(init["name"], "webhook-added-init-container");
    assert_eq!(init["terminationMessagePolicy"], "File");
    // The built-in plugins have run once more over what was added.
    assert_eq!(init["volumeMounts"][0]["mountPath"], "/var/run/secrets/kubernetes.io/serviceaccount");
}

/// [sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should deny crd creation [Conformance]
#[tokio::test]
async fn the_creation_of_a_definition_can_be_denied() {
    let rig = Rig::start(agnhost).await;
    let rule = rule(&["CREATE"], "apiextensions.k8s.io", &["customresourcedefinitions"]);
    rig.validating("crd", vec![rig.hook("/crd", rule)]).await;
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "tests.example.com", "labels": {"webhook-e2e-test": "webhook-disallow"}},
        "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Test", "listKind": "TestList", "plural": "tests", "singular": "test"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}});
    let answer = rig.server.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition).await;
    let words = "admission webhook \"crd.k8s.io\" denied the request: the crd contains unwanted label";
    assert_eq!(answer.json()["message"], words);
}

/// [sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should not be able to mutate or prevent deletion of webhook configuration objects [Conformance]
#[tokio::test]
async fn webhook_configurations_are_exempt_from_webhooks() {
    let rig = Rig::start(agnhost).await;
    let all = ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"];
    let rule = |operations: &[&str]| rule(operations, "admissionregistration.k8s.io", &all);
    rig.validating("blocking", vec![rig.hook("/always-deny", rule(&["DELETE"]))]).await;
    rig.mutating("labelling", vec![rig.hook("/add-label", rule(&["CREATE"]))]).await;
    rig.validating("dummy", vec![]).await;
    rig.mutating("dummy", vec![]).await;
    for kind in all {
        let path = format!("{CONFIGURATIONS}/{kind}/dummy");
        assert_eq!(rig.server.get(&path).await.ok()["metadata"]["labels"], Value::Null);
        rig.server.delete(&path).await.ok();
    }
    assert!(rig.asked.lock().is_empty());
}

/// [sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should honor timeout [Conformance]
#[tokio::test(start_paused = true)]
async fn the_timeout_of_a_webhook_is_honoured() {
    let rig = Rig::start(agnhost).await;
    let check = async |name: &str, policy: &str, seconds: Option<i64>| {
        let mut hook = rig.hook("/always-allow-delay-5s", maps(&["CREATE"]));
        hook["failurePolicy"] = policy.into();
        hook["timeoutSeconds"] = seconds.into();
        rig.validating("slow", vec![hook]).await;
        let answer = rig.server.post(MAPS, map(name)).await;
        rig.server.delete(&format!("{CONFIGURATIONS}/validatingwebhookconfigurations/slow")).await.ok();
        answer
    };
    let words = "Internal error occurred: failed calling webhook \"always-allow-delay-5s.k8s.io\": failed to call webhook: \
                 Post \"https://hook.hooks.svc:443/always-allow-delay-5s?timeout=1s\": context deadline exceeded";
    assert_eq!(check("a", "Fail", Some(1)).await.status(), format!("500 InternalError: {words}"));
    check("b", "Ignore", Some(1)).await.ok();
    let metrics = rig.server.get("/metrics").await.text;
    let open =
        "apiserver_admission_webhook_fail_open_total{name=\"always-allow-delay-5s.k8s.io\",type=\"validating\"} 1";
    assert!(metrics.contains(open), "{metrics}");
    check("c", "Fail", Some(10)).await.ok();
    check("d", "Fail", None).await.ok();
}

/// [sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] patching/updating a validating webhook should work [Conformance]
#[tokio::test]
async fn a_changed_validating_configuration_counts_at_once() {
    let rig = Rig::start(agnhost).await;
    rig.validating("changing", vec![rig.hook("/configmaps", maps(&["CREATE"]))]).await;
    let path = format!("{CONFIGURATIONS}/validatingwebhookconfigurations/changing");
    assert_eq!(rig.server.post(MAPS, disallowed("a")).await.json()["message"], DENIED);
    let mut configuration = rig.server.get(&path).await.ok();
    configuration["webhooks"][0]["rules"][0]["operations"] = json!(["UPDATE"]);
    rig.server.put(&path, configuration).await.ok();
    rig.server.post(MAPS, disallowed("b")).await.ok();
    let patch = json!([{"op": "replace", "path": "/webhooks/0/rules/0/operations", "value": ["CREATE"]}]);
    rig.server.patch(&path, "json-patch+json", patch).await.ok();
    assert_eq!(rig.server.post(MAPS, disallowed("c")).await.json()["message"], DENIED);
}

/// [sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] patching/updating a mutating webhook should work [Conformance]
#[tokio::test]
async fn a_changed_mutating_configuration_counts_at_once() {
    let rig = Rig::start(agnhost).await;
    rig.mutating("changing", vec![rig.hook("/mutating-configmaps", maps(&["CREATE"]))]).await;
    let path = format!("{CONFIGURATIONS}/mutatingwebhookconfigurations/changing");
    let mut configuration = rig.server.get(&path).await.ok();
    configuration["webhooks"][0]["rules"][0]["operations"] = json!(["UPDATE"]);
    rig.server.put(&path, configuration).await.ok();
    let start = |name: &str| {
        let mut start = map(name);
        start["data"] = json!({"mutation-start": "yes"});
        start
    };
    assert_eq!(rig.server.post(MAPS, start("a")).await.ok()["data"], json!({"mutation-start": "yes"}));
    let patch = json!([{"op": "replace", "path": "/webhooks/0/rules/0/operations", "value": ["CREATE"]}]);
    rig.server.patch(&path, "json-patch+json", patch).await.ok();
    assert_eq!(rig.server.post(MAPS, start("b")).await.ok()["data"]["mutation-stage-1"], "yes");
}

/// [sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] listing validating webhooks should work [Conformance]
/// [sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] listing mutating webhooks should work [Conformance]
#[tokio::test]
async fn configurations_are_listed_and_deleted_as_a_collection() {
    for kind in ["validating", "mutating"] {
        let rig = Rig::start(agnhost).await;
        let path = if kind == "validating" { "/configmaps" } else { "/mutating-configmaps" };
        let collection = format!("{CONFIGURATIONS}/{kind}webhookconfigurations");
        for i in 0..10 {
            let capital = if kind == "validating" { "Validating" } else { "Mutating" };
            let body = json!({"apiVersion": "admissionregistration.k8s.io/v1",
                "kind": format!("{capital}WebhookConfiguration"),
                "metadata": {"name": format!("list-{i}"), "labels": {"e2e-list-test-uuid": "x"}},
                "webhooks": [rig.hook(path, maps(&["CREATE"]))]});
            rig.server.post(&collection, body).await.ok();
        }
        let listed = rig.server.get(&format!("{collection}?labelSelector=e2e-list-test-uuid=x")).await.ok();
        assert_eq!(listed["items"].as_array().map(Vec::len), Some(10));
        let start = |name: &str| {
            let mut start = disallowed(name);
            start["data"]["mutation-start"] = "yes".into();
            start
        };
        let answer = rig.server.post(MAPS, start("before")).await;
        match kind {
            "validating" => assert_eq!(answer.json()["message"], DENIED),
            _ => assert_eq!(answer.ok()["data"]["mutation-stage-1"], "yes"),
        }
        let selected = format!("{collection}?labelSelector=e2e-list-test-uuid=x");
        rig.server.call(Method::DELETE, &selected, "", "").await.ok();
        assert_eq!(rig.server.post(MAPS, start("after")).await.ok()["data"]["mutation-stage-1"], Value::Null);
    }
}

#[tokio::test]
async fn a_deletion_shows_the_old_object_and_can_be_denied_one_by_one_or_as_a_collection() {
    let rig = Rig::start(agnhost).await;
    rig.server.post(MAPS, disallowed("kept")).await.ok();
    rig.server.post(MAPS, map("gone")).await.ok();
    rig.validating("deny", vec![rig.hook("/configmaps", maps(&["DELETE"]))]).await;
    let words = "admission webhook \"configmaps.k8s.io\" denied the request: the configmap cannot be deleted because it \
                 contains unwanted key and value";
    assert_eq!(rig.server.delete(&format!("{MAPS}/kept")).await.json()["message"], words);
    assert_eq!(rig.server.delete(MAPS).await.json()["message"], words);
    rig.server.get(&format!("{MAPS}/kept")).await.ok();
    let asked = rig.asked.lock();
    let request = &asked[0];
    assert_eq!((&*request.operation, &*request.name, &*request.namespace), ("DELETE", "kept", "default"));
    assert_eq!((&request.object, &request.old_object["metadata"]["name"]), (&Value::Null, &json!("kept")));
    assert_eq!(request.options["kind"], "DeleteOptions");
}

#[tokio::test]
async fn the_request_says_who_asks_for_what() {
    let rig = Rig::start(agnhost).await;
    rig.mutating("all", vec![rig.hook("/add-label", maps(&["CREATE"]))]).await;
    let mut generated = map("");
    generated["metadata"] = json!({"generateName": "made-"});
    let path = format!("{MAPS}?dryRun=All&fieldManager=me");
    rig.server.post(&path, generated).await.ok();
    let asked = rig.asked.lock();
    let request = serde_json::to_value(&asked[0]).unwrap();
    assert_eq!(request["kind"], json!({"group": "", "version": "v1", "kind": "ConfigMap"}));
    assert_eq!(request["requestResource"], json!({"group": "", "version": "v1", "resource": "configmaps"}));
    assert_eq!((&request["operation"], &request["namespace"]), (&json!("CREATE"), &json!("default")));
    // The name is generated after the webhooks, which might still choose one.
    assert_eq!((request.get("name"), &request["object"]["metadata"]["name"]), (None, &Value::Null));
    assert_eq!(request["userInfo"]["username"], "system:apiserver");
    let options =
        json!({"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "dryRun": ["All"], "fieldManager": "me"});
    assert_eq!((&request["dryRun"], &request["options"]), (&json!(true), &options));
}

#[tokio::test]
async fn a_namespace_is_in_itself_and_selected_by_the_labels_that_it_will_have() {
    let rig = Rig::start(agnhost).await;
    let mut hook = rig.hook("/always-deny", rule(&["CREATE", "UPDATE"], "", &["namespaces"]));
    hook["namespaceSelector"] = json!({"matchLabels": {"guarded": "yes"}});
    rig.validating("namespaces", vec![hook]).await;
    let namespace = |name: &str, labels: Value| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
    rig.server.post("/api/v1/namespaces", namespace("free", json!({}))).await.ok();
    let answer = rig.server.post("/api/v1/namespaces", namespace("bound", json!({"guarded": "yes"}))).await;
    assert_eq!(answer.code.as_u16(), 400);
    assert_eq!(rig.asked.lock()[0].namespace, "bound");
}

#[tokio::test]
async fn a_dry_run_is_refused_where_a_webhook_has_side_effects() {
    let rig = Rig::start(agnhost).await;
    let mut hook = rig.hook("/add-label", maps(&["CREATE"]));
    // `v1` no longer takes configurations that say this; old ones are still stored.
    hook["sideEffects"] = "NoneOnDryRun".into();
    rig.mutating("effects", vec![hook]).await;
    rig.server.post(&format!("{MAPS}?dryRun=All"), map("a")).await.ok();
    assert_eq!(rig.asked.lock().len(), 1);
}

#[tokio::test]
async fn subresources_are_matched_by_name_and_shown_as_their_own_kind() {
    let rig = Rig::start(agnhost).await;
    let hook = rig.hook("/always-deny", rule(&["UPDATE"], "apps", &["deployments/scale"]));
    rig.validating("scale", vec![hook]).await;
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    rig.server.post(deployments, crate::support::deployment("web")).await.ok();
    let path = format!("{deployments}/web/scale");
    let answer = rig.server.patch(&path, "merge-patch+json", json!({"spec": {"replicas": 7}})).await;
    assert_eq!(answer.code.as_u16(), 400);
    let asked = rig.asked.lock();
    assert_eq!((&*asked[0].kind.kind, &*asked[0].sub_resource), ("Scale", "scale"));
    assert_eq!(
        (&asked[0].object["spec"]["replicas"], &asked[0].old_object["spec"]["replicas"]),
        (&json!(7), &json!(2))
    );
}

fn nonsense(path: &str, request: AdmissionRequest) -> Reply {
    let uid = &request.uid;
    Reply::Raw(
        if path == "/teapot" { 418 } else { 200 },
        match path {
            "/words" => "hello".to_owned(),
            "/empty" => String::new(),
            "/other-uid" => {
                r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"x"}}"#.into()
            }
            "/bare" => json!({"response": {"uid": uid, "allowed": true}}).to_string(),
            "/patch" => json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                "response": {"uid": uid, "allowed": true, "patch": "e30=", "patchType": "JSONPatch"}})
            .to_string(),
            "/type" => json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": uid,
                "allowed": true, "patchType": "JSONPatch", "patch":
                    "W3sib3AiOiJhZGQiLCJwYXRoIjoiL2RhdGEiLCJ2YWx1ZSI6Nn1d"}})
            .to_string(),
            _ => "{}".to_owned(),
        },
    )
}

#[tokio::test]
async fn nonsense_is_called_by_its_name_and_passes_where_failures_are_ignored() {
    let rig = Rig::start(nonsense).await;
    let check = async |path: &str, words: &str| {
        let mut hook = rig.hook(path, maps(&["CREATE"]));
        rig.mutating("nonsense", vec![hook.clone()]).await;
        let failed =
            format!("Internal error occurred: failed calling webhook \"{}\": ", hook["name"].as_str().unwrap());
        let answer = rig.server.post(MAPS, map("a")).await;
        assert_eq!(answer.json()["message"], format!("{failed}{words}"));
        let configuration = format!("{CONFIGURATIONS}/mutatingwebhookconfigurations/nonsense");
        rig.server.delete(&configuration).await.ok();
        hook["failurePolicy"] = "Ignore".into();
        rig.mutating("nonsense", vec![hook]).await;
        rig.server.post(MAPS, map("a")).await.ok();
        rig.server.delete(&format!("{MAPS}/a")).await.ok();
        rig.server.delete(&configuration).await.ok();
    };
    let parse = "failed to call webhook: couldn't get version/kind; json parse error: invalid character 'h' looking for \
                 beginning of value";
    check("/words", parse).await;
    let empty = "failed to call webhook: 0-length response with status code: 200 and content type: application/json";
    check("/empty", empty).await;
    check("/absent", "received invalid webhook response: webhook response was absent").await;
    let bare = "received invalid webhook response: expected webhook response of admission.k8s.io/v1, \
                Kind=AdmissionReview, got /, Kind=";
    check("/bare", bare).await;
    let teapot =
        "failed to call webhook: the server responded with the status code 418 but did not return more information";
    check("/teapot", teapot).await;
    check("/patch", "received undecodable patch in webhook response: a list of operations is expected").await;
}

#[tokio::test]
async fn a_patch_that_makes_no_object_of_the_kind_is_an_internal_error() {
    let rig = Rig::start(nonsense).await;
    rig.mutating("type", vec![rig.hook("/type", maps(&["CREATE"]))]).await;
    let answer = rig.server.post(MAPS, map("a")).await;
    assert_eq!(
        answer.status(),
        "500 InternalError: Internal error occurred: json: cannot unmarshal number into Go struct field ConfigMap.data of \
         type map[string]string"
    );
}

fn reinvoked(path: &str, request: AdmissionRequest) -> Reply {
    let mut new = request.object.clone();
    let count = new["data"][path.trim_matches('/')].as_str().map_or(0, str::len);
    // Each adds one stroke under its own name, and another if the other one has run since.
    let wanted = 1 + usize::from(path == "/first" && new["data"].get("second").is_some());
    new["data"][path.trim_matches('/')] = "|".repeat(wanted.max(count)).into();
    Reply::Review(AdmissionResponse::mutate(&request, &new))
}

#[tokio::test]
async fn a_webhook_that_asks_for_it_sees_what_later_ones_did() {
    let rig = Rig::start(reinvoked).await;
    let mut first = rig.hook("/first", maps(&["CREATE"]));
    first["reinvocationPolicy"] = "IfNeeded".into();
    rig.mutating("a", vec![first]).await;
    rig.mutating("b", vec![rig.hook("/second", maps(&["CREATE"]))]).await;
    let made = rig.server.post(MAPS, map("x")).await.ok();
    assert_eq!(made["data"], json!({"key": "value", "first": "||", "second": "|"}));
    assert_eq!(rig.asked.lock().len(), 3);
}

fn talkative(_: &str, _: AdmissionRequest) -> Reply {
    Reply::Review(AdmissionResponse::allow().warn("mind the gap").annotate("key", "value"))
}

#[tokio::test]
async fn warnings_reach_the_client() {
    let rig = Rig::start(talkative).await;
    rig.validating("talk", vec![rig.hook("/talk", maps(&["CREATE"]))]).await;
    let answer = rig.server.post(MAPS, map("x")).await;
    assert_eq!(answer.warnings(), ["299 - \"mind the gap\""]);
}

#[tokio::test]
async fn configurations_are_asked_in_the_order_of_their_names() {
    let rig = Rig::start(agnhost).await;
    for name in ["c", "a", "b"] {
        let mut hook = rig.hook("/add-label", maps(&["CREATE"]));
        hook["clientConfig"]["service"]["path"] = json!("/mutating-configmaps");
        hook["name"] = format!("{name}.k8s.io").into();
        rig.mutating(name, vec![hook]).await;
    }
    let mut start = map("x");
    start["data"] = json!({"mutation-start": "yes"});
    rig.server.post(MAPS, start).await.ok();
    let seen: Vec<usize> = rig.asked.lock().iter().map(|r| r.object["data"].as_object().unwrap().len()).collect();
    assert_eq!(seen, [1, 2, 3]);
}

/// [sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should be able to create and update mutating webhook configurations with match conditions [Conformance]
/// [sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should be able to create and update validating webhook configurations with match conditions [Conformance]
#[tokio::test]
async fn match_conditions_decide_whether_a_webhook_is_asked() {
    let rig = Rig::start(agnhost).await;
    let mut hook = rig.hook("/configmaps", maps(&["CREATE"]));
    hook["matchConditions"] = json!([
        {"name": "named", "expression": "object.metadata.name.startsWith('asked')"},
        {"name": "mine", "expression": "request.userInfo.username != 'nobody' && authorizer.group('').resource('pods')\
            .check('create').allowed()"}]);
    rig.validating("conditions", vec![hook]).await;
    rig.server.post(MAPS, disallowed("other")).await.ok();
    assert_eq!(rig.server.post(MAPS, disallowed("asked")).await.json()["message"], DENIED);
    let path = format!("{CONFIGURATIONS}/validatingwebhookconfigurations/conditions");
    let patch = json!([{"op": "replace", "path": "/webhooks/0/matchConditions", "value": [
        {"name": "broken", "expression": "object.data.missing == 'x'"}]}]);
    rig.server.patch(&path, "json-patch+json", patch).await.ok();
    let words = "403 Forbidden: configmaps \"x\" is forbidden: expression 'object.data.missing == 'x'' resulted in error: \
                 no such key: missing";
    assert_eq!(rig.server.post(MAPS, map("x")).await.status(), words);
}

/// [sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should reject mutating webhook configurations with invalid match conditions [Conformance]
/// [sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should reject validating webhook configurations with invalid match conditions [Conformance]
#[tokio::test]
async fn match_conditions_that_do_not_compile_are_refused() {
    let rig = Rig::start(agnhost).await;
    let mut hook = rig.hook("/configmaps", maps(&["CREATE"]));
    hook["matchConditions"] = json!([{"name": "invalid-expression", "expression": "... [] bad expression"}]);
    for (kind, capital) in [("validating", "Validating"), ("mutating", "Mutating")] {
        let body = json!({"apiVersion": "admissionregistration.k8s.io/v1",
            "kind": format!("{capital}WebhookConfiguration"), "metadata": {"name": "x"}, "webhooks": [hook]});
        let answer = rig.server.post(&format!("{CONFIGURATIONS}/{kind}webhookconfigurations"), body).await;
        assert_eq!(answer.code.as_u16(), 422);
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains("webhooks[0].matchConditions[0].expression: Invalid value"), "{message}");
        assert!(message.contains("compilation failed"), "{message}");
    }
}
