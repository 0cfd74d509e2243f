//! `test/e2e/auth/projected_podcertificate.go`, and requests for the certificates of pods.

use super::*;

/// A pod that mounts a certificate of a duration.
fn with_certificate(name: &str, seconds: u32) -> Value {
    let source = json!({"podCertificate": {"signerName": "row-major.net/spiffe", "keyType": "ED25519",
        "credentialBundlePath": "credentialbundle.pem", "maxExpirationSeconds": seconds}});
    let mut pod = pod(name, json!({}));
    pod["spec"]["volumes"] = json!([{"name": "certificate", "projected": {"sources": [source]}}]);
    pod
}

async fn refusal(seconds: u32) -> String {
    let here = World::start().await;
    here.of(&PODS).try_create(with_certificate("duration-pod", seconds)).await.unwrap_err().message().to_owned()
}

/// [sig-auth] Projected PodCertificate [FeatureGate:PodCertificateRequest] [FeatureGate:ClusterTrustBundle] [FeatureGate:ClusterTrustBundleProjection] MaxExpirationSeconds validations should reject pod creation when MaxExpirationSeconds exceeds maximum (91d) [MinimumKubeletVersion:1.37] [Conformance]
#[tokio::test(start_paused = true)]
async fn a_certificate_of_more_than_91_days_is_refused() {
    let why = refusal(91 * 24 * 60 * 60 + 1).await;
    assert!(why.contains("if provided, maxExpirationSeconds must be <= 7862400"), "{why}");
}

/// [sig-auth] Projected PodCertificate [FeatureGate:PodCertificateRequest] [FeatureGate:ClusterTrustBundle] [FeatureGate:ClusterTrustBundleProjection] MaxExpirationSeconds validations should reject pod creation when MaxExpirationSeconds is less than minimum (1h) [MinimumKubeletVersion:1.37] [Conformance]
#[tokio::test(start_paused = true)]
async fn a_certificate_of_less_than_an_hour_is_refused() {
    let why = refusal(3599).await;
    assert!(why.contains("if provided, maxExpirationSeconds must be >= 3600"), "{why}");
}
