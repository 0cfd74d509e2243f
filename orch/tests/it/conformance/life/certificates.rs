//! `test/e2e/auth/{certificates,projected_clustertrustbundle}.go`.

use super::*;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest as Request, ClusterTrustBundle};

/// A request in PEM, in base64.
const CSR: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIWU1JR0FBZ0VBTUI0eERUQUxCZ05WQkFvTUJIUmxZVzB4RFRBTEJnTlZCQU1NQkdwaGJtVXdXVEFUQmdjcQpoa2pPUFFJQkJnZ3Foa2pPUFFNQkJ3TkNBQVQ0MDBDZjBHK3hDdTlvUnFyb05PVVJ0RFZkcVFEQVRwR2VTd2lyCnJ1ZUl3SzJ2a0dEMVlJSkxIYWVvVU0yaWlGYjA4VnVxVmI0dlhYNWQwSUd4UnQ3eW9BQXdDZ1lJS29aSXpqMEUKQXdJRFJ3QXdSQUlnSzdhYWN3TnI2a3FlMlNLSzhkMXE1S1Z6SzBXSVYxV1dEa1pOOEhqQVBpRUNJRDdneDQyNgpxOWpNcUpBYUhNdThwUzNXRGoveTdCbzdoazR0WDdLTUdKSFYKLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==";

fn request(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"request": CSR, "signerName": "example.com/e2e",
        "expirationSeconds": 3600, "usages": ["digital signature", "key encipherment", "server auth"]}})
}

/// [sig-auth] Certificates API [Privileged:ClusterAdmin] should support CSR API operations [Conformance]
#[tokio::test(start_paused = true)]
async fn requests_are_approved_signed_and_deleted() {
    let here = World::start().await;
    here.kind::<Request>().create(request("csr-1")).await;
    here.kind::<Request>()
        .merge("csr-1", json!({"metadata": {"annotations": {"patched": "true"}, "labels": {"e2e": "yes"}}}))
        .await;
    assert_eq!(here.kind::<Request>().everywhere().list("e2e=yes").await.len(), 1);
    let approval = json!({"status": {"conditions": [
        {"type": "Approved", "status": "True", "reason": "E2E", "message": "Set from an e2e test"}]}});
    let approved = here.kind::<Request>().sub("approval").merge("csr-1", approval).await;
    assert_eq!(approved["status"]["conditions"][0]["type"], "Approved");
    let status = json!({"status": {"certificate": null, "conditions": [
        {"type": "Approved", "status": "True", "reason": "E2E", "message": "Set from an e2e test"},
        {"type": "StatusPatch", "status": "True", "reason": "E2E", "message": "Set from an e2e test"}]}});
    let patched = here.kind::<Request>().sub("status").merge("csr-1", status).await;
    assert_eq!(patched["status"]["conditions"][1]["type"], "StatusPatch");
    here.kind::<Request>().delete("csr-1").await;
    here.kind::<Request>().until_gone("csr-1").await;
}

/// [sig-auth] [FeatureGate:ClusterTrustBundle] [FeatureGate:ClusterTrustBundleProjection] CRUD Tests
/// certificates.k8s.io/v1 ClusterTrustBundles [MinimumKubeletVersion:1.37] [Conformance]
#[tokio::test(start_paused = true)]
async fn trust_bundles_are_created_changed_and_deleted() {
    let here = World::start().await;
    let ca = here.kind::<ClusterTrustBundle>().everywhere().list("").await;
    let published = ca.iter().find(|b| b["spec"]["signerName"] == "kubernetes.io/kube-apiserver-serving");
    let pem =
        match published {
            Some(bundle) => bundle["spec"]["trustBundle"].clone(),
            None => {
                here.kind::<ClusterTrustBundle>().until("the cluster's own", "", |all| !all.is_empty()).await[0]["spec"]
                    ["trustBundle"]
                    .clone()
            }
        };
    let bundle = json!({"metadata": {"name": "e2e-bundle", "labels": {"e2e": "yes"}}, "spec": {"trustBundle": pem}});
    here.kind::<ClusterTrustBundle>().create(bundle).await;
    let patch = json!({"metadata": {"annotations": {"patched": "true"}}});
    assert_eq!(
        here.kind::<ClusterTrustBundle>().merge("e2e-bundle", patch).await["metadata"]["annotations"]["patched"],
        "true"
    );
    assert_eq!(here.kind::<ClusterTrustBundle>().everywhere().list("e2e=yes").await.len(), 1);
    here.kind::<ClusterTrustBundle>().delete("e2e-bundle").await;
    here.kind::<ClusterTrustBundle>().until_gone("e2e-bundle").await;
}
