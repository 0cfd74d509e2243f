//! Conversion webhooks over HTTPS (`apiserver/conversion/webhook_converter.go`).

use super::*;
use crate::hook_server::{Raw, Rig};
use std::{sync::Arc, time::Duration};

const V1: &str = "/apis/stable.example.com/v1/namespaces/default/e2e-tests";
const V2: &str = "/apis/stable.example.com/v2/namespaces/default/e2e-tests";
const NAME: &str = "e2e-tests.stable.example.com";

/// `v1` has `hostPort`, `v2` has `host` and `port`, as in the end-to-end tests of Kubernetes.
fn definition_of(rig: &Rig, path: &str, stored: &str) -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let version = |name: &str| json!({"name": name, "served": true, "storage": name == stored, "schema": schema});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": NAME},
        "spec": {"group": "stable.example.com", "scope": "Namespaced",
            "names": {"plural": "e2e-tests", "singular": "e2e-test", "kind": "E2eTest", "listKind": "E2eTestList"},
            "versions": [version("v1"), version("v2")],
            "conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {
                "caBundle": rig.ca, "service": {"namespace": "hooks", "name": "hook", "path": path}}}}}})
}

fn v1(name: &str) -> Value {
    json!({"apiVersion": "stable.example.com/v1", "kind": "E2eTest", "metadata": {"name": name},
        "hostPort": "localhost:8080"})
}

/// What the webhook of the end-to-end tests does (`test/images/agnhost/crd-conversion-webhook`).
fn converted(object: &Value, version: &str) -> Value {
    let mut new = object.clone();
    new["apiVersion"] = json!(version);
    let fields = new.as_object_mut().unwrap();
    if version.ends_with("/v2") {
        let both = fields.remove("hostPort").unwrap_or_default();
        let (host, port) = both.as_str().unwrap_or_default().split_once(':').unwrap_or_default();
        fields.extend([("host".to_owned(), json!(host)), ("port".to_owned(), json!(port))]);
    } else {
        let mut text =
            |field: &str| fields.remove(field).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        let both = format!("{}:{}", text("host"), text("port"));
        fields.insert("hostPort".into(), json!(both));
    }
    new
}

/// The answer to a review; the path says what is wrong with it.
fn answer(path: &str, body: &[u8]) -> Raw {
    let review: Value = serde_json::from_slice(body).unwrap();
    let (request, version) = (&review["request"], review["request"]["desiredAPIVersion"].as_str().unwrap());
    let objects = request["objects"].as_array().unwrap();
    let objects: Vec<Value> = objects.iter().map(|object| converted(object, version)).collect();
    let mut answer = json!({"apiVersion": review["apiVersion"], "kind": "ConversionReview", "response": {
        "uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": objects}});
    let mut raw = Raw { delay: Duration::ZERO, code: 200, body: String::new() };
    let response = &mut answer["response"];
    match path {
        "/uid" => response["uid"] = json!("other"),
        "/failure" => response["result"] = json!({"status": "Failure", "message": "the host is not known"}),
        "/silent" => response["result"] = json!({}),
        "/count" => response["convertedObjects"] = json!([]),
        "/version" => response["convertedObjects"][0]["apiVersion"] = json!("stable.example.com/v3"),
        "/kind" => response["convertedObjects"][0]["kind"] = json!("Other"),
        "/name" => response["convertedObjects"][0]["metadata"]["name"] = json!("other"),
        "/own-uid" => response["convertedObjects"][0]["metadata"]["uid"] = json!("other"),
        "/bare" => drop(response["convertedObjects"][0].as_object_mut().unwrap().remove("metadata")),
        "/labels" => response["convertedObjects"][0]["metadata"]["labels"] = json!({"a": 1}),
        "/label" => response["convertedObjects"][0]["metadata"]["labels"] = json!({"a b": "c"}),
        "/finalizers" => response["convertedObjects"][0]["metadata"]["finalizers"] = json!(["example.com/x"]),
        "/marks" => response["convertedObjects"][0]["metadata"]["labels"] = json!({"seen": "yes"}),
        "/nothing" => drop(answer.as_object_mut().unwrap().remove("response")),
        "/review" => answer["kind"] = json!("AdmissionReview"),
        "/late" => raw.delay = Duration::from_secs(40),
        "/404" => raw.code = 404,
        "/500" => raw.code = 500,
        _ => {}
    }
    raw.body = match path {
        "/404" | "/500" => "out of order".to_owned(),
        "/nonsense" => "nonsense".to_owned(),
        _ => answer.to_string(),
    };
    raw
}

/// A server with the definition and an object `a`, stored as `v1`.
async fn rig(path: &str) -> Rig {
    let rig = Rig::serving(Arc::new(answer)).await;
    add(&rig.server, definition_of(&rig, path, "v1")).await;
    rig.server.post(V1, v1("a")).await.ok();
    rig
}

/// [sig-api-machinery] CustomResourceConversionWebhook [Privileged:ClusterAdmin] should be able to convert from CR v1 to
/// CR v2 [Conformance]
#[tokio::test]
async fn a_webhook_converts_from_one_version_to_another() {
    let rig = rig("/crdconvert").await;
    let v2 = rig.server.get(&format!("{V2}/a")).await.ok();
    assert_eq!((&v2["apiVersion"], &v2["hostPort"]), (&json!("stable.example.com/v2"), &Value::Null));
    assert_eq!((&v2["host"], &v2["port"]), (&json!("localhost"), &json!("8080")));
}

/// [sig-api-machinery] CustomResourceConversionWebhook [Privileged:ClusterAdmin] should be able to convert a non
/// homogeneous list of CRs [Conformance]
#[tokio::test]
async fn a_webhook_converts_a_list_of_objects_that_are_stored_in_different_versions() {
    let rig = rig("/crdconvert").await;
    let mut stored = definition_of(&rig, "/crdconvert", "v2");
    let path = format!("{CRDS}/{NAME}");
    stored["metadata"]["resourceVersion"] = rig.server.get(&path).await.ok()["metadata"]["resourceVersion"].clone();
    let updated = rig.server.put(&path, stored).await.ok();
    assert_eq!(updated["status"]["storedVersions"], json!(["v1", "v2"]));
    rig.server.post(V1, v1("b")).await.ok();
    for (path, fields) in [(V1, json!(["localhost:8080", null, null])), (V2, json!([null, "localhost", "8080"]))] {
        let list = rig.server.get(path).await.ok();
        let items = list["items"].as_array().unwrap();
        assert_eq!(items.len(), 2);
        for item in items {
            assert_eq!(json!([item["hostPort"], item["host"], item["port"]]), fields, "{item}");
        }
    }
}

#[tokio::test]
async fn what_a_webhook_answers_wrongly_is_said_as_kubernetes_says_it() {
    let about = "conversion webhook for stable.example.com/v1, Kind=E2eTest";
    let cases = [
        ("/failure", "failed: the host is not known"),
        ("/silent", "failed: response.result.status was '', not 'Success'"),
        ("/nothing", "failed: no response provided"),
        (
            "/review",
            "failed: expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got \
             apiextensions.k8s.io/v1, Kind=AdmissionReview",
        ),
        ("/count", "returned 0 objects, expected 1"),
        (
            "/version",
            "returned invalid object at index 0: invalid groupVersion (expected stable.example.com/v2, received \
             stable.example.com/v3)",
        ),
        ("/kind", "returned invalid object at index 0: invalid kind (expected E2eTest, received Other)"),
        ("/name", "returned invalid object: must have the same name: a != other"),
        ("/bare", "returned invalid object: must have the same name: a != "),
        ("/labels", "returned invalid metadata: metadata.labels[a] must be a string, but is int64 in converted object"),
        ("/404", "failed: the server could not find the requested resource"),
        ("/500", "failed: an error on the server (\"out of order\") has prevented the request from succeeding"),
    ];
    for (path, expected) in cases {
        let rig = rig(path).await;
        let answer = rig.server.get(&format!("{V2}/a")).await;
        assert_eq!(answer.status(), format!("500 : {about} {expected}"), "{path}");
        assert_eq!(rig.server.get(&format!("{V1}/a")).await.code, 200, "what needs no conversion is not harmed");
    }
    for (path, part) in [
        ("/uid", "failed: expected response.uid="),
        ("/own-uid", "returned invalid object: must have the same UID: "),
        ("/nonsense", "failed: couldn't get version/kind; json parse error: "),
        ("/label", "returned invalid metadata: metadata.labels: Invalid value: \"a b\": "),
    ] {
        let answer = rig(path).await.server.get(&format!("{V2}/a")).await.status();
        assert!(answer.starts_with(&format!("500 : {about} {part}")), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_webhook_may_change_labels_and_annotations_and_nothing_else_of_the_metadata() {
    let marked = rig("/marks").await.server.get(&format!("{V2}/a")).await.ok();
    assert_eq!(marked["metadata"]["labels"], json!({"seen": "yes"}));
    let restored = rig("/finalizers").await.server.get(&format!("{V2}/a")).await.ok();
    assert_eq!(restored["metadata"]["finalizers"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_has_thirty_seconds() {
    let answer = rig("/late").await.server.get(&format!("{V2}/a")).await;
    assert_eq!(
        answer.status(),
        "500 : conversion webhook for stable.example.com/v1, Kind=E2eTest failed: Post \
         \"https://hook.hooks.svc:443/late?timeout=30s\": context deadline exceeded"
    );
}

#[tokio::test]
async fn a_webhook_with_a_certificate_of_somebody_else_is_not_believed() {
    let rig = Rig::serving(Arc::new(answer)).await;
    let stranger = Rig::serving(Arc::new(answer)).await;
    add(&rig.server, definition_of(&stranger, "/crdconvert", "v1")).await;
    rig.server.post(V1, v1("a")).await.ok();
    let answer = rig.server.get(&format!("{V2}/a")).await.status();
    assert!(
        answer.ends_with("tls: failed to verify certificate: x509: certificate signed by unknown authority"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_definition_whose_bundle_cannot_be_read_is_not_established_until_it_can() {
    let rig = Rig::serving(Arc::new(answer)).await;
    let mut bad = definition_of(&rig, "/crdconvert", "v1");
    bad["spec"]["conversion"]["webhook"]["clientConfig"]["caBundle"] = json!("bm9uc2Vuc2U=");
    rig.server.post(CRDS, bad).await.ok();
    let path = format!("{CRDS}/{NAME}");
    let found = wait(&rig.server, NAME, "NamesAccepted", "True").await;
    assert_eq!(condition(&found, "Established")["status"], "False");
    while condition(&rig.server.get(&path).await.ok(), "Established")["reason"] != "InvalidCABundle" {
        tokio::task::yield_now().await;
    }
    let client = |bundle: &str| json!({"spec": {"conversion": {"webhook": {"clientConfig": {"caBundle": bundle}}}}});
    rig.server.patch(&path, "merge-patch+json", client(&rig.ca)).await.ok();
    wait(&rig.server, NAME, "Established", "True").await;
    let worse = rig.server.patch(&path, "merge-patch+json", client("bm9uc2Vuc2U=")).await;
    assert_eq!(
        causes(&worse),
        ["spec.conversion.webhookClientConfig.caBundle: Invalid value: \"bm9uc2Vuc2U=\": unable to load root \
          certificates: unable to parse bytes as PEM block"]
    );
}
