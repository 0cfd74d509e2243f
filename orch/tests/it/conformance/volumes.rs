//! The conformance tests about volumes, claims and their classes (`test/e2e/storage`).

use super::{kind::Kind, operations::Operations, world::*};
use orch::api::Gvr;
use serde_json::{Value, json};

const VOLUMES: Gvr = Gvr::of("", "v1", "persistentvolumes");
const CLAIMS: Gvr = Gvr::of("", "v1", "persistentvolumeclaims");

impl World {
    fn storage(&self, resource: &'static str) -> Kind {
        self.of(&Gvr::of("storage.k8s.io", "v1", resource))
    }
}

impl Kind {
    async fn label(&self, name: &str, value: &str) {
        let before = self.get(name).await;
        let after = self.patch(name, json!({"metadata": {"labels": {name: value}}})).await;
        assert_eq!(after["metadata"]["labels"][name], value);
        assert!(revision(&after) > revision(&before));
    }

    async fn relabel(&self, name: &str, value: &str) {
        let updated = self.update(name, |body| body["metadata"]["labels"][name] = json!(value)).await;
        assert_eq!(updated["metadata"]["labels"][name], value);
    }

    /// What the suite asks of kinds that only the API server knows: an object is created, read, patched, listed and deleted,
    /// and another one updated, listed and deleted with its collection.
    async fn runs_through_its_life(self, body: Value) {
        let created = self.create(body.clone()).await;
        let name = super::world::name(&created);
        if body.pointer("/metadata/name").is_some() {
            assert!(self.try_create(body.clone()).await.unwrap_err().is_already_exists());
        }
        assert_eq!(self.get(&name).await["metadata"]["uid"], created["metadata"]["uid"]);
        self.label(&name, "patched").await;
        assert_eq!(self.list(&format!("{name}=patched")).await.len(), 1);
        self.end(&name).await;

        let name = super::world::name(&self.create(body).await);
        self.relabel(&name, "updated").await;
        let selector = format!("{name}=updated");
        assert_eq!(self.list(&selector).await.len(), 1);
        self.end_all(&selector).await;
    }
}

/// [sig-storage] StorageClasses CSI Conformance should run through the lifecycle of a StorageClass [Conformance]
#[tokio::test(start_paused = true)]
async fn a_storage_class_runs_through_its_life() {
    let here = World::with_nodes(1).await;
    let class = json!({"metadata": {"generateName": "e2e-"}, "provisioner": "e2e-fake-provisioner"});
    here.storage("storageclasses").runs_through_its_life(class).await;
}

/// [sig-storage] VolumeAttributesClass [FeatureGate:VolumeAttributesClass] should run through the lifecycle of a VolumeAttributesClass [Conformance]
#[tokio::test(start_paused = true)]
async fn a_volume_attributes_class_runs_through_its_life() {
    let here = World::with_nodes(1).await;
    let class = json!({"metadata": {"generateName": "e2e-"}, "driverName": "e2e-fake-csi-driver", "parameters": {"foo": "bar"}});
    here.storage("volumeattributesclasses").runs_through_its_life(class).await;
}

/// [sig-storage] CSIInlineVolumes should run through the lifecycle of a CSIDriver [Conformance]
#[tokio::test(start_paused = true)]
async fn a_csi_driver_runs_through_its_life() {
    let here = World::with_nodes(1).await;
    let driver = json!({"metadata": {"name": "inline-driver-1", "labels": {"e2e-test": "csi"}}, "spec": {
        "volumeLifecycleModes": ["Ephemeral"], "fsGroupPolicy": "ReadWriteOnceWithFSType"}});
    here.storage("csidrivers").runs_through_its_life(driver).await;
}

/// [sig-storage] CSINodes CSI Conformance should run through the lifecycle of a csinode [Conformance]
#[tokio::test(start_paused = true)]
async fn a_csi_node_runs_through_its_life() {
    let here = World::with_nodes(1).await;
    let node = json!({"metadata": {"name": "e2e-csinode-1"}, "spec": {"drivers": []}});
    here.storage("csinodes").runs_through_its_life(node).await;
}

/// [sig-storage] CSIInlineVolumes should support CSIVolumeSource in Pod API [Conformance]
#[tokio::test(start_paused = true)]
async fn a_pod_may_state_volumes_of_csi_drivers() {
    let here = World::with_nodes(1).await;
    let pods = here.of(&PODS);
    let pod = json!({"metadata": {"name": "pod-csi-inline-volumes"}, "spec": {
        "volumes": [
            {"name": "csi-inline-vol1", "csi": {"driver": "e2e.example.com"}},
            {"name": "csi-inline-vol2", "csi": {"driver": "e2e.example.com", "fsType": "ext4", "readOnly": true}}],
        "containers": [{"name": "main", "image": "busybox", "volumeMounts": [
            {"name": "csi-inline-vol1", "mountPath": "/mnt/vol1"},
            {"name": "csi-inline-vol2", "mountPath": "/mnt/vol2"}]}]}});
    let created = pods.create(pod.clone()).await;
    assert!(pods.try_create(pod).await.unwrap_err().is_already_exists());
    let name = &name(&created);
    assert_eq!(pods.get(name).await["metadata"]["uid"], created["metadata"]["uid"]);
    assert_eq!(pods.get(name).await["spec"]["volumes"][1]["csi"]["fsType"], "ext4");
    assert_eq!(pods.list("").await.len(), 1);
    let patch = json!({"metadata": {"annotations": {"patched": "true"}}});
    assert_eq!(pods.merge(name, patch).await["metadata"]["annotations"]["patched"], "true");
    pods.delete(name).await;
    match pods.try_get(name).await {
        Ok(found) => assert!(!found["metadata"]["deletionTimestamp"].is_null()),
        Err(error) => assert!(error.is_not_found()),
    }
}

/// [sig-storage] CSIStorageCapacity should support CSIStorageCapacities API operations [Conformance]
#[tokio::test(start_paused = true)]
async fn csi_storage_capacities_have_all_operations_of_the_api() {
    let here = World::without_controllers().await;
    let body = json!({"storageClassName": "e2e-test", "capacity": "1Gi"});
    Operations::of(&Gvr::of("storage.k8s.io", "v1", "csistoragecapacities"), body).run(&here).await;
}

fn attachment(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {
        "attacher": "e2e-attacher", "nodeName": "node-0", "source": {"persistentVolumeName": "e2e-pv"}}})
}

/// [sig-storage] VolumeAttachment Conformance should run through the lifecycle of a VolumeAttachment [Conformance]
#[tokio::test(start_paused = true)]
async fn a_volume_attachment_runs_through_its_life() {
    let here = World::with_nodes(1).await;
    here.storage("volumeattachments").runs_through_its_life(attachment("va-1")).await;
}

/// [sig-storage] VolumeAttachment Conformance should apply changes to a volumeattachment status [Conformance]
#[tokio::test(start_paused = true)]
async fn the_status_of_a_volume_attachment_is_read_patched_and_updated() {
    let here = World::with_nodes(1).await;
    let attachments = here.storage("volumeattachments");
    attachments.create(attachment("va-1")).await;
    assert_eq!(attachments.sub("status").get("va-1").await["status"]["attached"], false);
    let patched = attachments.sub("status").merge("va-1", json!({"status": {"attached": true}})).await;
    assert_eq!(patched["status"]["attached"], true);
    let updated = attachments.sub("status").update("va-1", |body| body["status"]["attached"] = json!(false)).await;
    assert_eq!(updated["status"]["attached"], false);
    attachments.end("va-1").await;
}

fn volume(name: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"e2e-pv-pool": "pool"}}, "spec": {
        "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"],
        "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "e2e",
        "csi": {"driver": "inline-driver-1", "volumeHandle": "e2e-conformance"}}})
}

fn claim(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"storageClassName": "e2e",
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}})
}

/// [sig-storage] PersistentVolumes CSI Conformance should run through the lifecycle of a PV and a PVC [Conformance]
#[tokio::test(start_paused = true)]
async fn a_volume_and_a_claim_run_through_their_lives() {
    let here = World::with_nodes(1).await;
    let (volumes, claims) = (here.of(&VOLUMES), here.of(&CLAIMS));
    volumes.create(volume("pv-1")).await;
    claims.create(claim("pvc-1")).await;
    assert_eq!(volumes.list("e2e-pv-pool=pool").await.len(), 1);
    assert_eq!(claims.list("").await.len(), 1);
    volumes.label("pv-1", "patched").await;
    claims.label("pvc-1", "patched").await;
    claims.until_one("a bound claim", "pvc-1", |claim| claim["status"]["phase"] == "Bound").await;
    claims.end("pvc-1").await;
    volumes.end("pv-1").await;
    assert!(volumes.list("e2e-pv-pool=pool").await.is_empty());

    volumes.create(volume("pv-2")).await;
    claims.create(claim("pvc-2")).await;
    volumes.relabel("pv-2", "updated").await;
    claims.relabel("pvc-2", "updated").await;
    let everywhere = claims.everywhere();
    assert_eq!(everywhere.list("pvc-2=updated").await.len(), 1);
    claims.end_all("pvc-2=updated").await;
    volumes.end_all("pv-2=updated").await;
}

/// [sig-storage] PersistentVolumes CSI Conformance should apply changes to a pv/pvc status [Conformance]
#[tokio::test(start_paused = true)]
async fn the_status_of_a_volume_and_of_a_claim_is_read_patched_and_updated() {
    let here = World::with_nodes(1).await;
    let (volumes, claims) = (here.of(&VOLUMES), here.of(&CLAIMS));
    volumes.create(volume("pv-1")).await;
    claims.create(claim("pvc-1")).await;
    let phase = |object: Value| object["status"]["phase"].as_str().unwrap().to_owned();
    assert!(["Pending", "Bound"].contains(&phase(claims.sub("status").get("pvc-1").await).as_str()));
    let phases = ["Pending", "Available", "Bound"];
    assert!(phases.contains(&phase(volumes.sub("status").get("pv-1").await).as_str()));

    let condition = |kind: &str, reason: &str| json!({"type": kind, "status": "True", "reason": reason, "message": "Set from e2e test"});
    let has = |object: &Value, kind: &str| {
        let all = object["status"]["conditions"].as_array().unwrap();
        all.iter().any(|c| c["type"] == kind && c["message"] == "Set from e2e test")
    };
    let patch = json!({"status": {"conditions": [condition("StatusPatched", "E2E patchedStatus")]}});
    assert!(has(&claims.sub("status").merge("pvc-1", patch).await, "StatusPatched"));
    let patch = json!({"status": {"message": "StatusPatched", "reason": "E2E patchStatus"}});
    let patched = volumes.sub("status").merge("pv-1", patch).await;
    assert_eq!(
        (&patched["status"]["message"], &patched["status"]["reason"]),
        (&json!("StatusPatched"), &json!("E2E patchStatus"))
    );

    let updated = claims
        .sub("status")
        .update("pvc-1", |body| {
            let conditions = body["status"]["conditions"].as_array_mut().unwrap();
            conditions.push(condition("StatusUpdated", "E2E updateStatus"));
        })
        .await;
    assert!(has(&updated, "StatusUpdated") && has(&updated, "StatusPatched"));
    let updated = volumes
        .sub("status")
        .update("pv-1", |body| {
            body["status"]["reason"] = json!("E2E updateStatus");
            body["status"]["message"] = json!("StatusUpdated");
        })
        .await;
    assert_eq!(updated["status"]["reason"], "E2E updateStatus");
}
