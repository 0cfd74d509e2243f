//! `test/e2e/network/service_cidrs.go`.

use super::*;
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};

/// [sig-network] ServiceCIDR and IPAddress API should support ServiceCIDR API operations [Conformance]
#[tokio::test(start_paused = true)]
async fn networks_of_services_are_guarded_and_deleted() {
    let here = World::start().await;
    let cidr = json!({"metadata": {"name": "e2e-cidr", "labels": {"e2e": "yes"}}, "spec": {"cidrs": ["10.10.0.0/24"]}});
    here.kind::<ServiceCIDR>().create(cidr).await;
    here.kind::<ServiceCIDR>()
        .until_one("a network that is ready", "e2e-cidr", |c| {
            let ready =
                c["status"]["conditions"][0]["type"] == "Ready" && c["status"]["conditions"][0]["status"] == "True";
            ready && c["metadata"]["finalizers"] == json!(["networking.k8s.io/service-cidr-finalizer"])
        })
        .await;
    let patch = json!({"metadata": {"annotations": {"patched": "true"}}});
    assert_eq!(here.kind::<ServiceCIDR>().merge("e2e-cidr", patch).await["metadata"]["annotations"]["patched"], "true");
    assert_eq!(here.kind::<ServiceCIDR>().everywhere().list("e2e=yes").await.len(), 1);
    here.kind::<ServiceCIDR>().delete("e2e-cidr").await;
    here.kind::<ServiceCIDR>().until_gone("e2e-cidr").await;
}

/// [sig-network] ServiceCIDR and IPAddress API should support IPAddress API operations [Conformance]
#[tokio::test(start_paused = true)]
async fn addresses_are_created_changed_and_deleted() {
    let here = World::start().await;
    let address = json!({"metadata": {"name": "192.168.1.1", "labels": {"e2e": "yes"}},
        "spec": {"parentRef": {"group": "", "resource": "services", "namespace": "default", "name": "kubernetes"}}});
    here.kind::<IPAddress>().create(address).await;
    let patch = json!({"metadata": {"annotations": {"patched": "true"}}});
    assert_eq!(
        here.kind::<IPAddress>().merge("192.168.1.1", patch).await["metadata"]["annotations"]["patched"],
        "true"
    );
    assert_eq!(here.kind::<IPAddress>().everywhere().list("e2e=yes").await.len(), 1);
    here.kind::<IPAddress>().delete("192.168.1.1").await;
    here.kind::<IPAddress>().until_gone("192.168.1.1").await;
}
