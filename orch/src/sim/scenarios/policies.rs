//! Admission policies, and migrations of what is stored.

use crate::sim::{Change, Edit, Scenario};
use orch_api::Key;
use serde_json::{Value, json};

const CONFIG_MAP: &str = "v1 ConfigMap";
const MIGRATION: &str = "storagemigration.k8s.io/v1 StorageVersionMigration";
const POLICY: &str = "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy";

/// The scenarios of what looks after policies and after what is stored.
pub(super) fn all() -> Vec<Scenario> {
    let key = Key::cluster("sizes");
    vec![
        Scenario::new(
            "policy",
            "A ValidatingAdmissionPolicy is created, gets an expression that fits no Deployment, and is mended.",
            &["validatingadmissionpolicy-status"],
        )
        .with([
            Change::given(policy()),
            Change::patch(4_000, POLICY, &key, expression("object.spec.maxReplicas < 9")),
            Change::patch(8_000, POLICY, &key, expression("object.spec.replicas < 9")),
        ])
        .about_object(POLICY, key),
        Scenario::new(
            "migration",
            "ConfigMaps are migrated twice, one migration after the other, while one changes and one goes; then nothing is.",
            &["storage-version-migrator-controller"],
        )
        .with([
            Change::given(config_map("a")),
            Change::given(config_map("b")),
            Change::given(migration("first", "configmaps")),
            Change::at(1, Edit::Put { object: migration("second", "configmaps") }),
            Change::patch(2, CONFIG_MAP, &Key::new("default", "a"), json!({"data": {"a": "c"}})),
            Change::delete(4, CONFIG_MAP, &Key::new("default", "b"), None),
            Change::at(4_000, Edit::Put { object: migration("nothing", "nothings") }),
        ])
        .about_object(MIGRATION, Key::cluster("first")),
    ]
}

fn migration(name: &str, resource: &str) -> Value {
    json!({"apiVersion": "storagemigration.k8s.io/v1", "kind": "StorageVersionMigration", "metadata": {"name": name},
        "spec": {"resource": {"group": "", "resource": resource}}})
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "default", "name": name}, "data": {"a": "b"}})
}

fn expression(text: &str) -> Value {
    json!({"spec": {"validations": [{"expression": text}]}})
}

fn policy() -> Value {
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "sizes"}, "spec": {"failurePolicy": "Fail",
            "validations": [{"expression": "object.spec.replicas < 5"}],
            "matchConstraints": {"resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["v1"],
                "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]}]}}})
}
