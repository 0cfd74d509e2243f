//! `test/e2e/network/service.go`.

use super::*;

const SERVICES: Gvr = Gvr::of("", "v1", "services");

/// [sig-network] Services should find a service from listing all namespaces [Conformance]
#[tokio::test(start_paused = true)]
async fn services_of_all_namespaces_are_listed() {
    let here = World::without_controllers().await;
    let services = here.of(&SERVICES).everywhere().list("").await;
    assert!(services.iter().any(|s| name(s) == "kubernetes" && s["metadata"]["namespace"] == "default"));
}

/// [sig-network] Services should complete a service status lifecycle [Conformance]
#[tokio::test(start_paused = true)]
async fn the_status_of_a_service_is_patched_and_updated() {
    let here = World::without_controllers().await;
    let services = here.of(&SERVICES);
    let mut events = services.watch("test-service-static=true", 0).await;
    let spec = json!({"type": "LoadBalancer", "loadBalancerClass": "example.com/internal-vip",
        "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 80}]});
    let labels = json!({"test-service-static": "true"});
    services.create(json!({"metadata": {"name": "test-service", "labels": labels}, "spec": spec})).await;
    events.until("ADDED", |service| name(service) == "test-service").await;
    let status = services.sub("status");
    assert_eq!(status.get("test-service").await["kind"], "Service");

    let patch = json!({"metadata": {"annotations": {"patchedstatus": "true"}},
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}});
    status.merge("test-service", patch.clone()).await;
    events.until("MODIFIED", |service| contains(service, &patch)).await;

    let condition = json!({"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set from e2e test"});
    status.update("test-service", |service| service["status"]["conditions"] = json!([condition])).await;
    let updated =
        json!({"metadata": {"annotations": {"patchedstatus": "true"}}, "status": {"conditions": [condition]}});
    events.until("MODIFIED", |service| contains(service, &updated)).await;

    services.patch("test-service", json!({"metadata": {"labels": {"test-service": "patched"}}})).await;
    events.until("MODIFIED", |service| service["metadata"]["labels"]["test-service"] == "patched").await;
    services.delete("test-service").await;
    events.until("DELETED", |service| name(service) == "test-service").await;
}

/// [sig-network] Services should delete a collection of services [Conformance]
#[tokio::test(start_paused = true)]
async fn services_are_deleted_together() {
    let here = World::without_controllers().await;
    here.kind::<k8s_openapi::api::core::v1::Namespace>().create(json!({"metadata": {"name": "services"}})).await;
    let services = here.of(&SERVICES).within("services");
    for (name, label, port) in [("a", "delete", 8001), ("b", "delete", 8002), ("c", "keep", 8003)] {
        let ports = json!([{"name": "http", "protocol": "TCP", "port": port, "targetPort": port}]);
        let metadata = json!({"name": format!("e2e-svc-{name}"), "labels": {"e2e-test-service": label}});
        services.create(json!({"metadata": metadata, "spec": {"type": "ClusterIP", "ports": ports}})).await;
    }
    assert_eq!(services.list("").await.len(), 3);
    services.delete_all("e2e-test-service=delete").await;
    let left = services.list("").await;
    assert_eq!(left.iter().map(name).collect::<Vec<_>>(), ["e2e-svc-c"]);
}
