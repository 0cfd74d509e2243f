//! Admission webhooks and custom resources; the conformance tests of Kubernetes that are named in the comments
//! (`test/e2e/apimachinery/webhook.go`), all under `[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin]`.

use crate::hook_server::{Rig, agnhost, rule};
use serde_json::{Value, json};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const V1: &str = "/apis/stable.example.com/v1/namespaces/default/tests";
const V2: &str = "/apis/stable.example.com/v2/namespaces/default/tests";

fn definition(stored: &str, schema: &Value) -> Value {
    let version = |name: &str| json!({"name": name, "served": true, "storage": name == stored, "schema": {"openAPIV3Schema": schema}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "tests.stable.example.com"},
        "spec": {"group": "stable.example.com", "scope": "Namespaced",
            "names": {"kind": "Test", "listKind": "TestList", "plural": "tests", "singular": "test"},
            "versions": [version("v1"), version("v2")]}})
}

fn open() -> Value {
    json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

fn test(name: &str, data: Value) -> Value {
    json!({"apiVersion": "stable.example.com/v1", "kind": "Test", "metadata": {"name": name}, "data": data})
}

async fn rig(schema: &Value) -> Rig {
    let rig = Rig::start(agnhost).await;
    rig.server.post(DEFINITIONS, definition("v1", schema)).await.ok();
    rig
}

/// [sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should be able to deny custom resource creation, update and deletion [Conformance]
#[tokio::test]
async fn custom_resources_can_be_denied() {
    let rig = rig(&open()).await;
    let hook = rig.hook("/custom-resource", rule(&["CREATE", "UPDATE", "DELETE"], "stable.example.com", &["tests"]));
    let unwanted = json!({"webhook-e2e-test": "webhook-disallow"});
    rig.server.post(V1, test("early", unwanted.clone())).await.ok();
    rig.validating("deny", vec![hook]).await;
    let denied = "admission webhook \"custom-resource.k8s.io\" denied the request: the custom resource";
    let status = rig.server.post(V1, test("a", unwanted)).await.json()["message"].clone();
    assert_eq!(status, format!("{denied} contains unwanted data"));
    let patch = json!({"data": {"webhook-e2e-test": "webhook-disallow", "other": "x"}});
    let status = rig.server.patch(&format!("{V1}/early"), "merge-patch+json", patch).await.json()["message"].clone();
    assert_eq!(status, format!("{denied} contains unwanted data"));
    let status = rig.server.delete(&format!("{V1}/early")).await.json()["message"].clone();
    assert_eq!(status, format!("{denied} cannot be deleted because it contains unwanted key and value"));
}

fn stages(rig: &Rig) -> Vec<Value> {
    let stage = |name: &str| {
        let mut hook =
            rig.hook("/mutating-custom-resource", rule(&["CREATE", "UPDATE"], "stable.example.com", &["tests"]));
        hook["name"] = name.into();
        hook
    };
    vec![stage("mutate-custom-resource-data-stage-1.k8s.io"), stage("mutate-custom-resource-data-stage-2.k8s.io")]
}

/// [sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate custom resource [Conformance]
#[tokio::test]
async fn custom_resources_are_mutated() {
    let rig = rig(&open()).await;
    rig.mutating("stages", stages(&rig)).await;
    let made = rig.server.post(V1, test("a", json!({"mutation-start": "yes"}))).await.ok();
    let expected = json!({"mutation-start": "yes", "mutation-stage-1": "yes", "mutation-stage-2": "yes"});
    assert_eq!(made["data"], expected);
}

/// [sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate custom resource with pruning [Conformance]
#[tokio::test]
async fn what_a_webhook_adds_beyond_the_schema_is_pruned() {
    let text = json!({"type": "string"});
    let schema = json!({"type": "object", "properties": {"data": {"type": "object", "properties": {
        "mutation-start": text, "mutation-stage-1": text}}}});
    let rig = rig(&schema).await;
    rig.mutating("stages", stages(&rig)).await;
    let made = rig.server.post(V1, test("a", json!({"mutation-start": "yes"}))).await.ok();
    assert_eq!(made["data"], json!({"mutation-start": "yes", "mutation-stage-1": "yes"}));
}

/// [sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate custom resource with different stored version [Conformance]
#[tokio::test]
async fn a_webhook_sees_the_version_of_its_rule_whatever_is_stored() {
    let rig = rig(&open()).await;
    rig.mutating("stages", stages(&rig)).await;
    rig.server.post(V1, test("a", json!({"mutation-start": "yes"}))).await.ok();
    let mut stored = definition("v2", &open());
    stored["metadata"]["resourceVersion"] =
        rig.server.get(&format!("{DEFINITIONS}/tests.stable.example.com")).await.ok()["metadata"]["resourceVersion"]
            .clone();
    rig.server.put(&format!("{DEFINITIONS}/tests.stable.example.com"), stored).await.ok();
    let patch = json!({"dummy": "test"});
    let patched = rig.server.patch(&format!("{V1}/a"), "merge-patch+json", patch).await.ok();
    assert_eq!((&patched["dummy"], &patched["apiVersion"]), (&json!("test"), &json!("stable.example.com/v1")));

    // A rule about v1 is asked about v2 as well, and shown v1.
    let patch = json!({"data": {"mutation-start": "again"}});
    let patched = rig.server.patch(&format!("{V2}/a"), "merge-patch+json", patch).await.ok();
    assert_eq!(
        (&patched["data"]["mutation-stage-2"], &patched["apiVersion"]),
        (&json!("yes"), &json!("stable.example.com/v2"))
    );
    let asked = rig.asked.lock();
    let last = asked.last().unwrap();
    assert_eq!((&*last.kind.version, &*last.request_kind.as_ref().unwrap().version), ("v1", "v2"));
    assert_eq!(last.object["apiVersion"], "stable.example.com/v1");
}
