//! One `check` for new objects and one for updates; expectations are Kubernetes' own lines.

mod jobs;
mod network;
mod pods;
mod workloads;

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

#[test]
fn a_migration_names_a_resource_and_keeps_what_it_has_come_to() {
    check(
        "StorageVersionMigration",
        json!({"spec": {"resource": {}}}),
        &["spec.resource.resource: Required value: resource is required to be set"],
    );
    check(
        "StorageVersionMigration",
        json!({"spec": {"resource": {"resource": "Widgets", "group": "a_b"}}}),
        &[
            "spec.resource.resource: Invalid value: \"Widgets\": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
            "spec.resource.group: Invalid value: \"a_b\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ],
    );
    let kind = kind("StorageVersionMigration");
    let with = |revision: &str, conditions: &[&str]| {
        let conditions: Vec<Value> = conditions.iter().map(|kind| json!({"type": kind, "status": "True"})).collect();
        json!({"metadata": {"name": "a"}, "status": {"resourceVersion": revision, "conditions": conditions}})
    };
    let judge = |new: &Value, old: &Value| lines(&status_update(&kind, new, old).0);
    assert_eq!(judge(&with("7", &["Succeeded"]), &with("", &[])), [""; 0]);
    assert_eq!(
        judge(&with("08", &[]), &with("7", &["Failed"])),
        [
            "status.resourceVersion: Invalid value: \"08\": resource version is not well formed: 08",
            "status.resourceVersion: Invalid value: \"08\": field is immutable",
            "status.conditions: Invalid value: []: Failed condition cannot be set to false once it is true",
        ]
    );
}
