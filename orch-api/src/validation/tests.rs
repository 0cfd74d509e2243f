//! One `check` for new objects and one for updates; expectations are Kubernetes' own lines.

use super::fixtures::kind;
use super::{Setting, create, delete_options, status_update, update};
use crate::{FieldErrors, Kind, defaults, strategy};
use serde_json::{Value, json};

/// Prepares an object as the server does before it validates.
fn prepared(kind: &Kind, mut object: Value) -> Value {
    if object["metadata"]["name"].is_null() {
        object["metadata"]["name"] = json!("a");
    }
    if object["metadata"]["namespace"].is_null() && kind.scope == crate::Scope::Namespaced {
        object["metadata"]["namespace"] = json!("default");
    }
    object["metadata"]["uid"] = json!("1-2-3");
    defaults::apply(kind, &mut object);
    strategy::prepare_create(kind, &mut object);
    object
}

fn lines(errors: &FieldErrors) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// Creates an object; `expected` are the faults.
#[track_caller]
fn check(kind_name: &'static str, object: Value, expected: &[&str]) {
    let kind = kind(kind_name);
    assert_eq!(lines(&create(&kind, &prepared(&kind, object), Setting::default())), expected);
}

/// Creates an object and changes it by a merge.
#[track_caller]
fn check_update(kind_name: &'static str, object: Value, change: Value, expected: &[&str]) {
    let kind = kind(kind_name);
    let old = prepared(&kind, object);
    let mut new = old.clone();
    merge(&mut new, change);
    defaults::apply(&kind, &mut new);
    strategy::prepare_update(&kind, &mut new, &old);
    assert_eq!(lines(&update(&kind, &new, &old, Setting::default()).0), expected);
}

fn merge(target: &mut Value, change: Value) {
    match (target, change) {
        (Value::Object(target), Value::Object(change)) => {
            for (key, value) in change {
                if value.is_null() {
                    target.remove(&key);
                } else {
                    merge(target.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (target, change) => *target = change,
    }
}

fn pod(spec: Value) -> Value {
    let mut pod = json!({"spec": {"containers": [{"name": "c", "image": "i"}]}});
    merge(&mut pod["spec"], spec);
    pod
}

fn deployment(spec: Value) -> Value {
    let template = json!({
        "metadata": {"labels": {"app": "a"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    let mut object = json!({"spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template}});
    merge(&mut object["spec"], spec);
    object
}

#[test]
fn a_plain_pod_is_fine() {
    check("Pod", pod(json!({})), &[]);
}

#[test]
fn a_name_follows_the_rule_of_its_kind() {
    let subdomain = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    check(
        "ConfigMap",
        json!({"metadata": {"name": "A_b"}}),
        &[&format!("metadata.name: Invalid value: \"A_b\": {subdomain}")],
    );
    let label = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
    check("Namespace", json!({"metadata": {"name": "A"}}), &[&format!("metadata.name: Invalid value: \"A\": {label}")]);
    check(
        "Namespace",
        json!({"metadata": {"name": "a.b"}}),
        &["metadata.name: Invalid value: \"a.b\": must not contain dots"],
    );
    check(
        "Role",
        json!({"metadata": {"name": "system:a/b"}}),
        &["metadata.name: Invalid value: \"system:a/b\": may not contain '/'"],
    );
}

#[test]
fn labels_and_annotations_have_a_form_and_a_size() {
    check(
        "ConfigMap",
        json!({"metadata": {"labels": {"a/b/c": "ok"}}}),
        &[
            "metadata.labels: Invalid value: \"a/b/c\": a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
        ],
    );
    check(
        "ConfigMap",
        json!({"metadata": {"annotations": {"a": "x".repeat(256 * 1024)}}}),
        &["metadata.annotations: Too long: may not be more than 262144 bytes"],
    );
}

#[test]
fn owners_are_complete_and_only_one_controls() {
    let owner = |name: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": "u", "controller": true});
    check(
        "ConfigMap",
        json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "", "name": "n", "uid": ""}]}}),
        &[
            "metadata.ownerReferences.kind: Invalid value: \"\": must not be empty",
            "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty",
        ],
    );
    let two = json!({"metadata": {"ownerReferences": [owner("a"), owner("b")]}});
    let kind = kind("ConfigMap");
    let errors = create(&kind, &prepared(&kind, two), Setting::default());
    assert!(errors[0].to_string().ends_with(
        "Only one reference can have Controller set to true. Found \"true\" in references for Pod/a and Pod/b"
    ));
}

#[test]
fn metadata_of_the_server_never_changes() {
    check_update(
        "ConfigMap",
        json!({}),
        json!({"metadata": {"uid": "other"}}),
        &["metadata.uid: Invalid value: \"other\": field is immutable"],
    );
    check_update(
        "ConfigMap",
        json!({}),
        json!({"metadata": {"name": "b"}}),
        &["metadata.name: Invalid value: \"b\": field is immutable"],
    );
}

#[test]
fn a_pod_has_containers_with_names_and_images() {
    check("Pod", json!({"spec": {}}), &["spec.containers: Required value"]);
    check(
        "Pod",
        json!({"spec": {"containers": [{"name": "c"}, {"name": "c", "image": "i"}]}}),
        &["spec.containers[0].image: Required value", "spec.containers[1].name: Duplicate value: \"c\""],
    );
    check(
        "Pod",
        json!({"spec": {"containers": [{"name": "c", "image": " i "}]}}),
        &["spec.containers[0].image: Invalid value: \" i \": must not have leading or trailing whitespace"],
    );
}

#[test]
fn ports_have_numbers_names_and_no_rivals() {
    let container = json!({"name": "c", "image": "i", "ports": [
        {"containerPort": 0}, {"containerPort": 70000}, {"containerPort": 80, "hostPort": 80, "name": "web"},
        {"containerPort": 80, "hostPort": 80, "name": "web"},
    ]});
    check(
        "Pod",
        json!({"spec": {"containers": [container]}}),
        &[
            "spec.containers[0].ports[0].containerPort: Required value",
            "spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            "spec.containers[0].ports[3].name: Duplicate value: \"web\"",
            "spec.containers[0].ports[3].hostPort: Duplicate value: \"TCP//80\"",
        ],
    );
}

#[test]
fn mounts_name_volumes() {
    let container = json!({"name": "c", "image": "i", "volumeMounts": [
        {"name": "v", "mountPath": "/a"}, {"name": "w", "mountPath": "/a"},
    ]});
    check(
        "Pod",
        json!({"spec": {"containers": [container], "volumes": [{"name": "v"}]}}),
        &[
            "spec.containers[0].volumeMounts[1].name: Not found: \"w\"",
            "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique",
        ],
    );
}

#[test]
fn a_volume_has_one_source() {
    check(
        "Pod",
        pod(json!({"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/a/../b"}}]})),
        &["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
    );
    check(
        "Pod",
        pod(json!({"volumes": [{"name": "v", "hostPath": {"path": "/a/../b"}}, {"name": "w", "secret": {}}]})),
        &[
            "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
            "spec.volumes[1].secret.secretName: Required value",
        ],
    );
}

#[test]
fn env_has_names_and_one_source() {
    let container = json!({"name": "c", "image": "i", "env": [
        {"name": "a=b", "value": "1"},
        {"name": "X", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "Y", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels"}}},
        {"name": "Z", "valueFrom": {}},
    ]});
    check(
        "Pod",
        json!({"spec": {"containers": [container]}}),
        &[
            "spec.containers[0].env[0].name: Invalid value: \"a=b\": a valid environment variable name must consist only of printable ASCII characters other than '='",
            "spec.containers[0].env[1].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
            "spec.containers[0].env[2].valueFrom.fieldRef.fieldPath: Unsupported value: \"metadata.labels\": supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"",
            "spec.containers[0].env[3].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        ],
    );
}

#[test]
fn requests_stay_below_limits() {
    let container =
        |resources: Value| json!({"spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]}});
    check(
        "Pod",
        container(json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}})),
        &[
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1500m",
        ],
    );
    check(
        "Pod",
        container(json!({"limits": {"cpu": "-1", "gpu": "1", "example.com/gpu": "500m"}})),
        &[
            "spec.containers[0].resources.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
            "spec.containers[0].resources.limits[example.com/gpu]: Invalid value: \"500m\": must be an integer",
            "spec.containers[0].resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource type or fully qualified",
            "spec.containers[0].resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource for containers",
            "spec.containers[0].resources.requests[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
            "spec.containers[0].resources.requests[example.com/gpu]: Invalid value: \"500m\": must be an integer",
            "spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource type or fully qualified",
            "spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource for containers",
        ],
    );
}

#[test]
fn a_probe_has_one_handler() {
    let container = json!({"name": "c", "image": "i", "livenessProbe": {"successThreshold": 2},
        "readinessProbe": {"httpGet": {"port": 0}, "exec": {"command": ["a"]}, "periodSeconds": -1}});
    check(
        "Pod",
        json!({"spec": {"containers": [container]}}),
        &[
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
            "spec.containers[0].readinessProbe.httpGet: Forbidden: may not specify more than 1 handler type",
            "spec.containers[0].readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
        ],
    );
}

#[test]
fn init_containers_have_no_probes_unless_they_keep_running() {
    let init = json!({"name": "i", "image": "i", "livenessProbe": {"exec": {"command": ["a"]}}});
    check(
        "Pod",
        pod(json!({"initContainers": [init]})),
        &[
            "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
        ],
    );
    let mut sidecar = init;
    sidecar["restartPolicy"] = json!("Always");
    check("Pod", pod(json!({"initContainers": [sidecar]})), &[]);
}

#[test]
fn policies_of_a_pod_are_words_that_kubernetes_knows() {
    check(
        "Pod",
        pod(json!({"restartPolicy": "Sometimes", "dnsPolicy": "Maybe"})),
        &[
            "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
            "spec.dnsPolicy: Unsupported value: \"Maybe\": supported values: \"ClusterFirstWithHostNet\", \"ClusterFirst\", \"Default\", \"None\"",
        ],
    );
    check(
        "Pod",
        pod(
            json!({"tolerations": [{"operator": "Equal"}, {"key": "k", "operator": "Exists", "tolerationSeconds": 1}]}),
        ),
        &[
            "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            "spec.tolerations[1].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
        ],
    );
    check(
        "Pod",
        pod(
            json!({"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "", "whenUnsatisfiable": "X", "labelSelector": {}}]}),
        ),
        &[
            "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
            "spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty",
            "spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: \"X\": supported values: \"DoNotSchedule\", \"ScheduleAnyway\"",
        ],
    );
}

#[test]
fn security_has_ranges() {
    check(
        "Pod",
        pod(json!({"securityContext": {"runAsUser": -1, "sysctls": [{"name": "a..b"}]}})),
        &[
            "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            "spec.securityContext.sysctls[0].name: Invalid value: \"a..b\": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
        ],
    );
}

#[test]
fn only_images_and_a_few_fields_of_a_pod_change() {
    let object = || pod(json!({}));
    let image = json!({"spec": {"containers": [{"name": "c", "image": "j"}]}});
    let kind = kind("Pod");
    let old = prepared(&kind, object());
    let mut new = old.clone();
    new["spec"]["containers"][0]["image"] = image["spec"]["containers"][0]["image"].clone();
    assert_eq!(lines(&update(&kind, &new, &old, Setting::default()).0), [""; 0]);
    check_update("Pod", object(), json!({"spec": {"activeDeadlineSeconds": 5}}), &[]);
    check_update("Pod", object(), json!({"spec": {"tolerations": [{"key": "k", "operator": "Exists"}]}}), &[]);
    check_update(
        "Pod",
        object(),
        json!({"spec": {"hostname": "h"}}),
        &[
            "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n+ \"hostname\": \"h\"\n",
        ],
    );
    check_update(
        "Pod",
        object(),
        json!({"spec": {"containers": []}}),
        &[
            "spec.containers: Required value",
            "spec.containers: Forbidden: pod updates may not add or remove containers",
        ],
    );
}

#[test]
fn a_pod_at_a_gate_may_become_more_choosy() {
    let gated = || pod(json!({"schedulingGates": [{"name": "a/b"}], "nodeSelector": {"x": "y"}}));
    check_update("Pod", gated(), json!({"spec": {"nodeSelector": {"z": "w"}}}), &[]);
    check_update(
        "Pod",
        gated(),
        json!({"spec": {"nodeSelector": {"x": "other"}}}),
        &[
            "spec.nodeSelector: Invalid value: {\"x\":\"other\"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)",
        ],
    );
}

#[test]
fn a_container_that_ended_for_good_does_not_run_again() {
    let kind = kind("Pod");
    let mut old = prepared(&kind, pod(json!({"restartPolicy": "Never"})));
    old["status"]["containerStatuses"] = json!([{"name": "c", "state": {"terminated": {"exitCode": 0}}}]);
    let mut new = old.clone();
    new["status"]["containerStatuses"] = json!([{"name": "c", "state": {"running": {}}}]);
    assert_eq!(
        lines(&status_update(&kind, &new, &old).0),
        ["status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"]
    );
}

#[test]
fn a_deployment_selects_its_own_pods_and_keeps_its_selector() {
    check("Deployment", deployment(json!({})), &[]);
    check(
        "Deployment",
        deployment(json!({"selector": {"matchLabels": {"app": "b"}}, "replicas": -1})),
        &[
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            "spec.template.metadata.labels: Invalid value: {\"app\":\"a\"}: `selector` does not match template `labels`",
        ],
    );
    check(
        "Deployment",
        deployment(json!({"selector": null})),
        &[
            "spec.selector: Required value",
            "spec.template.metadata.labels: Invalid value: {\"app\":\"a\"}: `selector` does not match template `labels`",
        ],
    );
    check_update(
        "Deployment",
        deployment(json!({})),
        json!({"spec": {"selector": {"matchLabels": {"app": "a", "b": "c"}}, "template": {"metadata": {"labels": {"b": "c"}}}}}),
        &["spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"a\",\"b\":\"c\"}}: field is immutable"],
    );
}

#[test]
fn a_rolling_update_moves() {
    check(
        "Deployment",
        deployment(
            json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}}),
        ),
        &["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0"],
    );
    check(
        "Deployment",
        deployment(json!({"template": {"spec": {"restartPolicy": "Never"}}})),
        &["spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\""],
    );
}

#[test]
fn few_fields_of_a_stateful_set_change() {
    let object = || {
        deployment(json!({"serviceName": "s", "volumeClaimTemplates": [{
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }], "template": {"spec": {"containers": [
        {"name": "c", "image": "i", "volumeMounts": [{"name": "data", "mountPath": "/d"}]}]}}}))
    };
    check("StatefulSet", object(), &[]);
    check_update("StatefulSet", object(), json!({"spec": {"replicas": 3}}), &[]);
    check_update(
        "StatefulSet",
        object(),
        json!({"spec": {"serviceName": "t"}}),
        &[
            "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ],
    );
}

#[test]
fn a_service_has_ports_that_differ() {
    check("Service", json!({"spec": {}}), &["spec.ports: Required value"]);
    check(
        "Service",
        json!({"spec": {"ports": [{"port": 80}, {"port": 80, "nodePort": 30000}]}}),
        &[
            "spec.ports[0].name: Required value",
            "spec.ports[1].name: Required value",
            "spec.ports[1].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
            "spec.ports[1]: Duplicate value: {\"port\":80,\"protocol\":\"TCP\"}",
        ],
    );
    check("Service", json!({"spec": {"type": "ExternalName"}}), &["spec.externalName: Required value"]);
}

#[test]
fn the_address_of_a_service_stays() {
    let object = || json!({"spec": {"ports": [{"port": 80}], "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"]}});
    check_update("Service", object(), json!({"spec": {"ports": [{"port": 81}]}}), &[]);
    check_update(
        "Service",
        object(),
        json!({"spec": {"clusterIP": "10.0.0.2", "clusterIPs": ["10.0.0.2"]}}),
        &["spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"],
    );
}

#[test]
fn immutable_maps_and_secrets_stay() {
    check_update(
        "ConfigMap",
        json!({"immutable": true, "data": {"a": "b"}}),
        json!({"data": {"a": "c"}}),
        &["data: Forbidden: field is immutable when `immutable` is set"],
    );
    check_update(
        "Secret",
        json!({"immutable": true, "data": {"a": "Yg=="}}),
        json!({"immutable": false}),
        &["immutable: Forbidden: field is immutable when `immutable` is set"],
    );
    check_update(
        "Secret",
        json!({}),
        json!({"type": "example.com/other"}),
        &["type: Invalid value: \"example.com/other\": field is immutable"],
    );
}

#[test]
fn keys_and_sizes_of_config_maps_are_bounded() {
    let words = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
    check("ConfigMap", json!({"data": {"a/b": "c"}}), &[&format!("data[a/b]: Invalid value: \"a/b\": {words}")]);
    check(
        "ConfigMap",
        json!({"data": {"a": "x".repeat(1024 * 1024 + 1)}}),
        &["<nil>: Too long: may not be more than 1048576 bytes"],
    );
    check("Secret", json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}}), &["data[tls.key]: Required value"]);
}

/// A Job with this merged into its spec.
fn job(spec: Value) -> Value {
    let mut job = json!({"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}});
    merge(&mut job["spec"], spec);
    job
}

#[test]
fn a_job_restarts_its_containers_or_not_but_never_always() {
    check("Job", job(json!({})), &[]);
    check(
        "Job",
        job(json!({"template": {"spec": {"restartPolicy": "Always"}}})),
        &["spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""],
    );
    check(
        "Job",
        job(json!({"completionMode": "Indexed", "parallelism": 2, "backoffLimit": -1})),
        &[
            "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0",
            "spec.completions: Required value: when completion mode is Indexed",
        ],
    );
    check_update(
        "Job",
        job(json!({})),
        json!({"spec": {"completions": 5}}),
        &["spec.completions: Invalid value: 5: field is immutable"],
    );
}

#[test]
fn a_jobs_selector_is_generated_or_brought_on_purpose() {
    let labels = |uid: &str| json!({"template": {"metadata": {"labels": {"batch.kubernetes.io/controller-uid": uid}}}});
    check("Job", job(labels("1-2-3")), &[]);
    let wrong = json!({"batch.kubernetes.io/controller-uid": "9", "batch.kubernetes.io/job-name": "a",
        "controller-uid": "1-2-3", "job-name": "a"});
    check(
        "Job",
        job(labels("9")),
        &[
            &format!(
                "spec.template.metadata.labels[batch.kubernetes.io/controller-uid]: Invalid value: {wrong}: must be '1-2-3'"
            ),
            &format!(
                "spec.template.metadata.labels: Invalid value: {wrong}: `selector` does not match template `labels`"
            ),
        ],
    );
    let own = json!({"manualSelector": true, "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}}});
    check("Job", job(own), &[]);
    let without_a_word =
        json!({"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}}});
    let selector = json!({"matchLabels": {"a": "b", "batch.kubernetes.io/controller-uid": "1-2-3"}});
    check(
        "Job",
        job(without_a_word),
        &[&format!("spec.selector: Invalid value: {selector}: `selector` not auto-generated")],
    );
}

#[test]
fn a_success_policy_names_indexes_that_there_are() {
    let policy =
        |rule: Value| job(json!({"completionMode": "Indexed", "completions": 5, "successPolicy": {"rules": [rule]}}));
    check("Job", policy(json!({"succeededIndexes": "0,2-3", "succeededCount": 3})), &[]);
    check(
        "Job",
        policy(json!({"succeededIndexes": "0,2-3", "succeededCount": 4})),
        &["spec.successPolicy.rules[0].succeededCount: Invalid value: 4: must be less than or equal to 3 \
            (the number of indexes in the specified succeededIndexes field)"],
    );
    check(
        "Job",
        policy(json!({"succeededIndexes": "3-5"})),
        &["spec.successPolicy.rules[0].succeededIndexes: Invalid value: \"3-5\": error parsing succeededIndexes: \
            too large index: \"5\""],
    );
}

/// Changes the template of a Job that has this status and may be suspended.
#[track_caller]
fn check_template(is_suspended: bool, status: Value, change: Value, expected: usize) {
    let kind = kind("Job");
    let mut old = prepared(&kind, job(json!({"suspend": is_suspended})));
    old["status"] = status;
    let mut new = old.clone();
    merge(&mut new["spec"]["template"], change);
    defaults::apply(&kind, &mut new);
    strategy::prepare_update(&kind, &mut new, &old);
    let faults = lines(&update(&kind, &new, &old, Setting::default()).0);
    assert!(faults.len() == expected && faults.iter().all(|line| line.ends_with("field is immutable")), "{faults:?}");
}

#[test]
fn a_jobs_template_may_change_while_it_is_suspended_and_has_no_pods() {
    let place = json!({"metadata": {"annotations": {"a": "b"}}, "spec": {"nodeSelector": {"a": "b"},
        "tolerations": [{"operator": "Exists"}], "affinity": {"nodeAffinity": {}}}});
    let resources =
        json!({"spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "1"}}}]}});
    let suspended =
        json!({"startTime": "2026-01-01T00:00:00Z", "conditions": [{"type": "Suspended", "status": "True"}]});
    for change in [&place, &resources] {
        check_template(true, json!({}), change.clone(), 0);
        check_template(true, suspended.clone(), change.clone(), 0);
        check_template(true, json!({"active": 1}), change.clone(), 1);
        check_template(true, json!({"startTime": "2026-01-01T00:00:00Z"}), change.clone(), 1);
        check_template(false, json!({}), change.clone(), 1);
    }
    let image = json!({"spec": {"containers": [{"name": "c", "image": "other"}]}});
    check_template(true, json!({}), image, 1);
    check_template(true, json!({}), json!({"spec": {"affinity": {"podAffinity": {}}}}), 1);
}

/// Changes the status of a Job with this spec.
#[track_caller]
fn check_job_status(spec: Value, before: Value, after: Value, expected: &[&str]) {
    let kind = kind("Job");
    let mut old = prepared(&kind, job(spec));
    let mut new = old.clone();
    (old["status"], new["status"]) = (before, after);
    assert_eq!(lines(&status_update(&kind, &new, &old).0), expected);
}

fn with_conditions(conditions: &[&str], more: Value) -> Value {
    let conditions: Vec<Value> = conditions.iter().map(|kind| json!({"type": kind, "status": "True"})).collect();
    let mut status = json!({"startTime": "2026-01-01T00:00:00Z", "conditions": conditions});
    merge(&mut status, more);
    status
}

#[test]
fn a_jobs_status_comes_to_its_end_in_order() {
    let started = || with_conditions(&[], json!({}));
    let end = json!({"completionTime": "2026-01-01T00:01:00Z"});
    let done = || with_conditions(&["SuccessCriteriaMet", "Complete"], end.clone());
    check_job_status(json!({}), started(), done(), &[]);
    check_job_status(json!({}), started(), with_conditions(&["FailureTarget", "Failed"], json!({})), &[]);
    check_job_status(
        json!({}),
        started(),
        with_conditions(&["Complete"], json!({"active": 1, "terminating": 1, "ready": 2})),
        &[
            "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
            "status.completionTime: Required value: completionTime is required for Complete jobs",
            "status.active: Invalid value: 1: active>0 is invalid for finished job",
            "status.terminating: Invalid value: 1: terminating>0 is invalid for finished job",
            "status.ready: Invalid value: 2: cannot set more ready pods than active",
        ],
    );
    check_job_status(
        json!({}),
        started(),
        with_conditions(&["Failed"], json!({"startTime": null, "uncountedTerminatedPods": {"failed": ["a", "a", ""]}})),
        &[
            "status.uncountedTerminatedPods.failed[1]: Duplicate value: \"a\"",
            "status.uncountedTerminatedPods.failed[2]: Invalid value: \"\": must not be empty",
            "status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition",
            "status.startTime: Required value: startTime is required for finished job",
            "status.uncountedTerminatedPods: Invalid value: {\"failed\":[\"a\",\"a\",\"\"]}: must be empty for finished job",
            "status.startTime: Invalid value: null: field is immutable for unsuspended job once set",
        ],
    );
    check_job_status(
        json!({}),
        done(),
        with_conditions(&[], end.clone()),
        &[
            "status.completionTime: Invalid value: \"2026-01-01T00:01:00Z\": cannot set completionTime when there is no Complete=True condition",
            "status.conditions: Invalid value: cannot disable the terminal Complete=True condition",
            "status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition",
        ],
    );
}

#[test]
fn a_jobs_counters_grow_and_its_indexes_are_in_order() {
    let indexed =
        || json!({"completionMode": "Indexed", "completions": 5, "parallelism": 2, "backoffLimitPerIndex": 1});
    let status = |completed: &str, failed: &str| json!({"completedIndexes": completed, "failedIndexes": failed});
    check_job_status(indexed(), json!({}), status("0,2-3", "1"), &[]);
    check_job_status(
        indexed(),
        json!({}),
        status("3,1", "3"),
        &[
            "status.completedIndexes: Invalid value: \"3,1\": error parsing completedIndexes: non-increasing order, previous: 3, current: 1",
            "status.failedIndexes: Invalid value: \"3\": failedIndexes and completedIndexes overlap at index: 3",
        ],
    );
    check_job_status(
        json!({}),
        json!({"succeeded": 2, "failed": 2}),
        json!({"succeeded": 1, "failed": 1, "completedIndexes": "0", "failedIndexes": "1"}),
        &[
            "status.completedIndexes: Invalid value: \"0\": cannot set non-empty completedIndexes when non-indexed completion mode",
            "status.failedIndexes: Invalid value: \"1\": cannot set non-null failedIndexes when backoffLimitPerIndex is null",
            "status.failed: Invalid value: 1: cannot decrease the failed counter",
            "status.succeeded: Invalid value: 1: cannot decrease the succeeded counter",
        ],
    );
    // What is scaled down loses successes.
    let scaled = json!({"completionMode": "Indexed", "completions": 2, "parallelism": 2});
    check_job_status(scaled, json!({"succeeded": 3}), json!({"succeeded": 2}), &[]);
}

#[test]
fn a_zone_is_one_of_the_database() {
    let cron = |schedule: &str, zone: &str| {
        json!({"spec": {"schedule": schedule, "timeZone": zone, "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}}})
    };
    check("CronJob", cron("0 3 * * *", "Europe/Zurich"), &[]);
    check(
        "CronJob",
        cron("TZ=Europe/Zurich 0 3 * * *", "Atlantis/Capital"),
        &[
            "spec.schedule: Invalid value: \"TZ=Europe/Zurich 0 3 * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
            "spec.timeZone: Invalid value: \"Atlantis/Capital\": unknown time zone Atlantis/Capital",
        ],
    );
    check(
        "CronJob",
        cron("0 3 * * *", "local"),
        &[
            "spec.timeZone: Invalid value: \"local\": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
            "spec.timeZone: Invalid value: \"local\": unknown time zone local",
        ],
    );
}

#[test]
fn a_cron_job_has_a_schedule() {
    let object = json!({"spec": {"schedule": "* * * *", "timeZone": "", "jobTemplate": {"spec": {"template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}}});
    check(
        "CronJob",
        object,
        &[
            "spec.schedule: Invalid value: \"* * * *\": expected exactly 5 fields, found 4: [* * * *]",
            "spec.timeZone: Invalid value: \"\": timeZone must be nil or non-empty string",
        ],
    );
}

#[test]
fn roles_and_bindings_say_what_and_whom() {
    check(
        "Role",
        json!({"rules": [{"verbs": [], "nonResourceURLs": ["/a"]}, {"verbs": ["get"]}]}),
        &[
            "rules[0].verbs: Required value: verbs must contain at least one value",
            "rules[0].nonResourceURLs: Invalid value: [\"/a\"]: namespaced rules cannot apply to non-resource URLs",
            "rules[1].apiGroups: Required value: resource rules must supply at least one api group",
            "rules[1].resources: Required value: resource rules must supply at least one resource",
        ],
    );
    let binding = || json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}]});
    check("RoleBinding", binding(), &[]);
    check_update(
        "RoleBinding",
        binding(),
        json!({"roleRef": {"name": "s"}}),
        &[
            "roleRef: Invalid value: {\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"Role\",\"name\":\"s\"}: cannot change roleRef",
        ],
    );
}

#[test]
fn nodes_have_taints_and_keep_their_identity() {
    check(
        "Node",
        json!({"spec": {"taints": [{"key": "k", "effect": "Never"}]}}),
        &[
            "metadata.taints[0].effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"",
        ],
    );
    check_update(
        "Node",
        json!({"spec": {"providerID": "a"}}),
        json!({"spec": {"providerID": "b"}}),
        &["spec.providerID: Forbidden: node updates may not change providerID except from \"\" to valid"],
    );
}

#[test]
fn a_claim_says_how_much_and_may_only_grow() {
    let claim = || json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    check("PersistentVolumeClaim", claim(), &[]);
    check(
        "PersistentVolumeClaim",
        json!({"spec": {}}),
        &[
            "spec.accessModes: Required value: at least 1 access mode is required",
            "spec.resources[storage]: Required value",
        ],
    );
    check_update(
        "PersistentVolumeClaim",
        claim(),
        json!({"spec": {"storageClassName": "fast"}}),
        &[
            "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n+ \"storageClassName\": \"fast\"\n",
        ],
    );
}

#[test]
fn an_autoscaler_has_a_range_and_a_target() {
    check(
        "HorizontalPodAutoscaler",
        json!({"spec": {"minReplicas": 3, "maxReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "", "apiVersion": "apps/v1"}}}),
        &[
            "spec.maxReplicas: Invalid value: 2: must be greater than or equal to `minReplicas`",
            "spec.scaleTargetRef.name: Required value",
        ],
    );
}

#[test]
fn small_kinds_have_their_rules() {
    check(
        "PodDisruptionBudget",
        json!({"spec": {"minAvailable": "101%"}}),
        &["spec.minAvailable: Invalid value: \"101%\": must not be greater than 100%"],
    );
    check(
        "PriorityClass",
        json!({"value": 1_000_000_001}),
        &["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
    );
    check(
        "Lease",
        json!({"spec": {"leaseDurationSeconds": 0}}),
        &["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"],
    );
    check(
        "NetworkPolicy",
        json!({"spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]}]}}),
        &[
            "spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`",
        ],
    );
    check(
        "Ingress",
        json!({"spec": {"rules": [{"host": "1.2.3.4", "http": {"paths": [{"path": "a", "pathType": "Prefix", "backend": {}}]}}]}}),
        &[
            "spec.rules[0].host: Invalid value: \"1.2.3.4\": must be a DNS name, not an IP address",
            "spec.rules[0].http.paths[0].path: Invalid value: \"a\": must be an absolute path",
            "spec.rules[0].http.paths[0].backend: Invalid value: \"\": resource or service backend is required",
        ],
    );
    check(
        "EndpointSlice",
        json!({"addressType": "IPv4", "endpoints": [{"addresses": ["127.0.0.1"]}, {"addresses": []}]}),
        &[
            "endpoints[0].addresses[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
            "endpoints[1].addresses: Required value: must contain at least 1 address",
        ],
    );
}

#[test]
fn endpoints_are_on_loopback_only_where_pods_are() {
    let kind = kind("EndpointSlice");
    let slice =
        json!({"addressType": "IPv4", "endpoints": [{"addresses": ["127.64.0.1"]}, {"addresses": ["0.0.0.0"]}]});
    let errors = create(&kind, &prepared(&kind, slice), Setting { pods_on_loopback: true });
    assert_eq!(
        lines(&errors),
        ["endpoints[1].addresses[0]: Invalid value: \"0.0.0.0\": may not be unspecified (0.0.0.0)"]
    );
}

#[test]
fn webhooks_are_named_in_full_and_can_be_called() {
    check(
        "ValidatingWebhookConfiguration",
        json!({"webhooks": [{"name": "hook", "clientConfig": {"url": "http://a?b"}, "admissionReviewVersions": ["v2"]}]}),
        &[
            "webhooks[0].name: Invalid value: \"hook\": should be a domain with at least three segments separated by dots",
            "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun",
            "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
            "webhooks[0].clientConfig.url: Invalid value: \"b\": query parameters are not permitted in the URL",
            "webhooks[0].admissionReviewVersions: Invalid value: [\"v2\"]: must include at least one of v1, v1beta1",
        ],
    );
}

#[test]
fn options_of_a_deletion_do_not_contradict_each_other() {
    assert_eq!(
        lines(&delete_options(&json!({"propagationPolicy": "Never", "dryRun": ["Some"]}))),
        [
            "propagationPolicy: Unsupported value: \"Never\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"",
            "dryRun: Unsupported value: [\"Some\"]: supported values: \"All\"",
        ]
    );
}
