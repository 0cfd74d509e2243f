//! The kinds of which the suite asks `CRUD Tests` (`test/e2e/dra/dra.go`).

use super::*;

fn resource(resource: &'static str) -> Gvr {
    Gvr::of("resource.k8s.io", "v1", resource)
}

fn labelled() -> Value {
    json!({"metadata": {"labels": {"test.dra.example.com": "test"}}})
}

/// [sig-node] [DRA] CRUD Tests resource.k8s.io/v1 DeviceClass [Conformance]
#[tokio::test(start_paused = true)]
async fn device_classes() {
    let here = World::without_controllers().await;
    let matching = |expression: &str| json!({"spec": {"selectors": [{"cel": {"expression": expression}}]}});
    let change = matching("1 == 0");
    let patches = vec![Patch::Strategic(change.clone())];
    Crud::of(&resource("deviceclasses"), matching("false"), change, patches).run(&here).await;
}

fn claim() -> Value {
    json!({"devices": {"requests": [{"name": "req-0", "exactly": {"deviceClassName": "dra.example.com"}}]}})
}

/// [sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceClaim [Conformance]
#[tokio::test(start_paused = true)]
async fn resource_claims() {
    let here = World::without_controllers().await;
    let status = json!({"status": {"allocation": {}}});
    let in_every_way = |change: Value, json: Value| {
        vec![
            Patch::Strategic(change.clone()),
            Patch::Apply(change.clone()),
            Patch::Merge(change),
            Patch::Json(json!([json])),
        ]
    };
    let label = json!({"op": "add", "path": "/metadata/labels/test.dra.example.com", "value": "test"});
    let allocation = json!({"op": "add", "path": "/status/allocation", "value": {}});
    let allocation = in_every_way(status.clone(), allocation);
    Crud::of(&resource("resourceclaims"), json!({"spec": claim()}), labelled(), in_every_way(labelled(), label))
        .with_status(status, allocation)
        .run(&here)
        .await;
}

/// [sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceClaimTemplate [Conformance]
#[tokio::test(start_paused = true)]
async fn resource_claim_templates() {
    let here = World::without_controllers().await;
    let initial = json!({"spec": {"spec": claim()}});
    let patches = vec![Patch::Strategic(labelled())];
    Crud::of(&resource("resourceclaimtemplates"), initial, labelled(), patches).run(&here).await;
}

/// [sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceSlice [Conformance]
#[tokio::test(start_paused = true)]
async fn resource_slices() {
    let here = World::without_controllers().await;
    let pool = json!({"name": "cluster", "generation": 1, "resourceSliceCount": 1});
    let initial = json!({"spec": {"driver": "dra.example.com", "pool": pool, "nodeName": "no-such-node"}});
    let change = json!({"spec": {"devices": [{"name": "device-0"}]}});
    let patches = vec![Patch::Strategic(change.clone())];
    Crud::of(&resource("resourceslices"), initial, change, patches).run(&here).await;
}

/// [sig-node] [DRA] CRUD Tests resource.k8s.io/v1 DeviceTaintRule [Conformance]
#[tokio::test(start_paused = true)]
async fn device_taint_rules() {
    let here = World::without_controllers().await;
    let taint =
        |effect: &str| json!({"spec": {"taint": {"key": "dra.example.com/key", "value": "value", "effect": effect}}});
    let mut initial = taint("NoSchedule");
    initial["spec"]["deviceSelector"] = json!({"driver": "dra.example.com"});
    let change = taint("NoExecute");
    let patches = vec![Patch::Strategic(change.clone())];
    let condition = json!({"type": "EvictionInProgress", "status": "False", "reason": "E2E", "message": "Set by e2e",
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let status = json!({"status": {"conditions": [condition]}});
    Crud::of(&resource("devicetaintrules"), initial, change, patches)
        .with_status(status.clone(), vec![Patch::Strategic(status)])
        .run(&here)
        .await;
}

/// [sig-api-machinery] StorageVersionMigration CRUD Tests storagemigration.k8s.io/v1 StorageVersionMigration [Conformance]
#[tokio::test(start_paused = true)]
async fn storage_version_migrations() {
    let here = World::without_controllers().await;
    let initial = json!({"spec": {"resource": {"group": "apps", "resource": "deployments"}}});
    let patches = vec![Patch::Strategic(labelled())];
    let condition = json!({"type": "Running", "status": "True", "reason": "E2E", "message": "Set by e2e",
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let status = json!({"status": {"conditions": [condition], "resourceVersion": "1"}});
    Crud::of(&Gvr::of("storagemigration.k8s.io", "v1", "storageversionmigrations"), initial, labelled(), patches)
        .with_status(status.clone(), vec![Patch::Strategic(status)])
        .run(&here)
        .await;
}
