//! A webhook that is served over HTTPS, asked by the API server of a cluster as by any other: by its URL and the
//! certificate authority of its configuration. The time is real, since there are sockets.

use examples::{operator_orch, scenario::InProcess, scenario::User, site::Site};
use k8s_openapi::ByteString;
use orch::{
    Cluster,
    api::review::{AdmissionRequest, AdmissionResponse},
    apiserver::pki::Pki,
    runtime::webhook::Webhooks,
    store::Ambient,
};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// A directory with the certificate of a webhook.
struct Files(tempfile::TempDir);

impl Files {
    /// A certificate of another authority, in place of the one before. The authority's own is returned.
    fn renew(&self) -> String {
        let now = Ambient::system().clock.now();
        let authority = Pki::in_memory(now).unwrap();
        let serving = authority.serving(&["localhost".into()], now).unwrap();
        std::fs::write(self.0.path().join("tls.crt"), &serving.certificate).unwrap();
        std::fs::write(self.0.path().join("tls.key"), serving.key.reveal()).unwrap();
        authority.ca_certificate().to_owned()
    }

    async fn serve(&self, ambient: &Ambient) -> SocketAddr {
        let hooks = Webhooks::new().admission("/validate", operator_orch::validate).admission("/mutate", sign);
        let path = |name: &str| self.0.path().join(name);
        hooks.serve("127.0.0.1:0".parse().unwrap(), path("tls.crt"), path("tls.key"), &ambient.tasks).await.unwrap()
    }
}

async fn sign(request: AdmissionRequest) -> AdmissionResponse {
    let mut signed = request.object.clone();
    signed["metadata"]["annotations"]["signed"] = json!("yes");
    AdmissionResponse::mutate(&request, &signed)
}

/// The configuration of the webhook that decides at a path.
fn configuration(kind: &str, address: SocketAddr, authority: &str) -> Value {
    let path = if kind == "Mutating" { "mutate" } else { "validate" };
    let rule = json!({"operations": ["CREATE", "UPDATE"], "apiGroups": ["example.com"], "apiVersions": ["v1"],
        "resources": ["sites"]});
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": format!("{kind}WebhookConfiguration"),
        "metadata": {"name": "sites"}, "webhooks": [{"name": format!("{path}.example.com"), "rules": [rule],
            "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": format!("https://localhost:{}/{path}", address.port()),
                "caBundle": ByteString(authority.as_bytes().to_vec())}}]})
}

fn site(name: &str, image: &str) -> Value {
    examples::scenario::site(name, image, 1)
}

#[tokio::test]
async fn a_served_webhook_is_asked_and_its_renewed_certificate_is_taken() {
    let cluster = Cluster::builder().build().await.unwrap();
    cluster.register::<Site>().await.unwrap();
    let user = InProcess(cluster.client());
    let hooks = Ambient { tasks: orch::store::Tasks::new(), ..cluster.ambient().clone() };
    let files = Files(tempfile::tempdir().unwrap());
    let old = files.renew();
    let address = files.serve(&hooks).await;

    user.apply(&configuration("Validating", address, &old)).await.unwrap();
    user.apply(&configuration("Mutating", address, &old)).await.unwrap();
    let error = user.apply(&site("bare", "web")).await.unwrap_err().to_string();
    assert!(error.contains("validate.example.com\" denied the request: spec.image: \"web\" has no tag"), "{error}");
    user.apply(&site("shop", "web:1")).await.unwrap();
    let found = user.list("sites").await.unwrap();
    assert_eq!(found[0]["metadata"]["annotations"]["signed"], "yes");

    // Another authority, whom the API server trusts only once it is told; the server reads its files anew.
    let new = files.renew();
    user.delete("sites", "shop").await.unwrap();
    user.apply(&configuration("Validating", address, &new)).await.unwrap();
    user.apply(&configuration("Mutating", address, &new)).await.unwrap();
    user.apply(&site("shop", "web:1")).await.unwrap();
    user.apply(&configuration("Validating", address, &old)).await.unwrap();
    let error = user.apply(&site("cafe", "web:1")).await.unwrap_err().to_string();
    assert!(error.contains("failed calling webhook \"validate.example.com\""), "{error}");

    // A webhook that is gone guards as well: its failure policy is to refuse.
    user.apply(&configuration("Validating", address, &new)).await.unwrap();
    hooks.tasks.stop().await;
    let error = user.apply(&site("cafe", "web:1")).await.unwrap_err().to_string();
    assert!(error.contains("failed calling webhook"), "{error}");
    cluster.stop().await;
}
