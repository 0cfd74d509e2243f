//! The conformance tests about volumes, claims and their classes (`test/e2e/storage`).

use futures::StreamExt;
use orch::Cluster;
use orch_api::{Gvr, Key};
use orch_store::{
    Client, Stored,
    client::{DeleteOptions, ListOptions, Patch, WatchEvent, WatchOptions, WriteOptions},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

const VOLUMES: Gvr = Gvr::of("", "v1", "persistentvolumes");
const CLAIMS: Gvr = Gvr::of("", "v1", "persistentvolumeclaims");

/// A cluster with all controllers and one node.
async fn cluster() -> Cluster {
    Cluster::builder().seed(1).simulated_nodes(1).build().await.unwrap()
}

/// A kind of objects in a place.
struct Kind {
    client: Arc<dyn Client>,
    gvr: Gvr,
    namespace: &'static str,
}

impl Kind {
    fn of(cluster: &Cluster, gvr: Gvr, namespace: &'static str) -> Self {
        Self { client: cluster.client(), gvr, namespace }
    }

    fn storage(cluster: &Cluster, resource: &'static str) -> Self {
        Self::of(cluster, Gvr::of("storage.k8s.io", "v1", resource), "")
    }

    fn key(&self, name: &str) -> Key {
        Key::new(self.namespace, name)
    }

    async fn create(&self, body: &Value) -> orch_store::client::Result<Arc<Stored>> {
        let name = body.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        self.client.create(&self.gvr, &self.key(name), None, body.clone(), &WriteOptions::default()).await
    }

    async fn get(&self, name: &str, subresource: Option<&str>) -> Value {
        self.client.get(&self.gvr, &self.key(name), subresource).await.unwrap().parse().unwrap()
    }

    async fn patch(&self, name: &str, subresource: Option<&str>, patch: Patch) -> Value {
        let options = WriteOptions::default();
        let key = self.key(name);
        self.client.patch(&self.gvr, &key, subresource, patch, &options).await.unwrap().parse().unwrap()
    }

    /// Changes the object as it is now, again after a conflict.
    async fn update(&self, name: &str, subresource: Option<&str>, change: impl Fn(&mut Value)) -> Value {
        loop {
            let mut body = self.get(name, None).await;
            change(&mut body);
            let options = WriteOptions::default();
            match self.client.update(&self.gvr, &self.key(name), subresource, body, &options).await {
                Err(error) if error.is_conflict() => {}
                other => return other.unwrap().parse().unwrap(),
            }
        }
    }

    async fn labelled(&self, labels: &str) -> Vec<Arc<Stored>> {
        let options = ListOptions { labels: labels.into(), namespace: self.namespace.into(), ..ListOptions::default() };
        self.client.list(&self.gvr, &options).await.unwrap().items
    }

    async fn delete(&self, name: &str) {
        self.client.delete(&self.gvr, &self.key(name), &DeleteOptions::default()).await.unwrap();
        let gone = async {
            while self.client.get(&self.gvr, &self.key(name), None).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), gone).await.expect("it is deleted");
    }

    async fn delete_labelled(&self, labels: &str) {
        let options = ListOptions { labels: labels.into(), namespace: self.namespace.into(), ..ListOptions::default() };
        self.client.delete_collection(&self.gvr, &options, &DeleteOptions::default()).await.unwrap();
        let gone = async {
            while !self.labelled(labels).await.is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), gone).await.expect("all are deleted");
    }

    async fn label(&self, name: &str, value: &str) {
        let before = self.get(name, None).await;
        let after = self.patch(name, None, Patch::Strategic(json!({"metadata": {"labels": {name: value}}}))).await;
        assert_eq!(after["metadata"]["labels"][name], value);
        assert!(revision(&after) > revision(&before));
    }

    async fn relabel(&self, name: &str, value: &str) {
        let updated = self.update(name, None, |body| body["metadata"]["labels"][name] = json!(value)).await;
        assert_eq!(updated["metadata"]["labels"][name], value);
    }

    /// What the suite asks of kinds that only the API server knows: an object is created, read, patched, listed and deleted,
    /// and another one updated, listed and deleted with its collection.
    async fn runs_through_its_life(&self, body: &Value) {
        let created = self.create(body).await.unwrap();
        let name = created.key.name.clone();
        assert!(created.revision.0 > 0);
        if body.pointer("/metadata/name").is_some() {
            assert!(self.create(body).await.unwrap_err().is_already_exists());
        }
        assert_eq!(self.get(&name, None).await["metadata"]["uid"], *created.meta.uid);
        self.label(&name, "patched").await;
        assert_eq!(self.labelled(&format!("{name}=patched")).await.len(), 1);
        self.delete(&name).await;

        let name = self.create(body).await.unwrap().key.name.clone();
        self.relabel(&name, "updated").await;
        let selector = format!("{name}=updated");
        assert_eq!(self.labelled(&selector).await.len(), 1);
        self.delete_labelled(&selector).await;
    }
}

fn revision(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

/// [sig-storage] StorageClasses CSI Conformance should run through the lifecycle of a StorageClass [Conformance]
#[tokio::test(start_paused = true)]
async fn a_storage_class_runs_through_its_life() {
    let cluster = cluster().await;
    let class = json!({"metadata": {"generateName": "e2e-"}, "provisioner": "e2e-fake-provisioner"});
    Kind::storage(&cluster, "storageclasses").runs_through_its_life(&class).await;
}

/// [sig-storage] VolumeAttributesClass [FeatureGate:VolumeAttributesClass] should run through the lifecycle of a VolumeAttributesClass [Conformance]
#[tokio::test(start_paused = true)]
async fn a_volume_attributes_class_runs_through_its_life() {
    let cluster = cluster().await;
    let class = json!({"metadata": {"generateName": "e2e-"}, "driverName": "e2e-fake-csi-driver", "parameters": {"foo": "bar"}});
    Kind::storage(&cluster, "volumeattributesclasses").runs_through_its_life(&class).await;
}

/// [sig-storage] CSIInlineVolumes should run through the lifecycle of a CSIDriver [Conformance]
#[tokio::test(start_paused = true)]
async fn a_csi_driver_runs_through_its_life() {
    let cluster = cluster().await;
    let driver = json!({"metadata": {"name": "inline-driver-1", "labels": {"e2e-test": "csi"}}, "spec": {
        "volumeLifecycleModes": ["Ephemeral"], "fsGroupPolicy": "ReadWriteOnceWithFSType"}});
    Kind::storage(&cluster, "csidrivers").runs_through_its_life(&driver).await;
}

/// [sig-storage] CSINodes CSI Conformance should run through the lifecycle of a csinode [Conformance]
#[tokio::test(start_paused = true)]
async fn a_csi_node_runs_through_its_life() {
    let cluster = cluster().await;
    let node = json!({"metadata": {"name": "e2e-csinode-1"}, "spec": {"drivers": []}});
    Kind::storage(&cluster, "csinodes").runs_through_its_life(&node).await;
}

/// [sig-storage] CSIInlineVolumes should support CSIVolumeSource in Pod API [Conformance]
#[tokio::test(start_paused = true)]
async fn a_pod_may_state_volumes_of_csi_drivers() {
    let cluster = cluster().await;
    let pods = Kind::of(&cluster, Gvr::of("", "v1", "pods"), "default");
    let pod = json!({"metadata": {"name": "pod-csi-inline-volumes"}, "spec": {
        "volumes": [
            {"name": "csi-inline-vol1", "csi": {"driver": "e2e.example.com"}},
            {"name": "csi-inline-vol2", "csi": {"driver": "e2e.example.com", "fsType": "ext4", "readOnly": true}}],
        "containers": [{"name": "main", "image": "busybox", "volumeMounts": [
            {"name": "csi-inline-vol1", "mountPath": "/mnt/vol1"},
            {"name": "csi-inline-vol2", "mountPath": "/mnt/vol2"}]}]}});
    let created = pods.create(&pod).await.unwrap();
    assert!(pods.create(&pod).await.unwrap_err().is_already_exists());
    let name = &*created.key.name;
    assert_eq!(pods.get(name, None).await["metadata"]["uid"], *created.meta.uid);
    assert_eq!(pods.get(name, None).await["spec"]["volumes"][1]["csi"]["fsType"], "ext4");
    assert_eq!(pods.labelled("").await.len(), 1);
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"patched": "true"}}}));
    assert_eq!(pods.patch(name, None, patch).await["metadata"]["annotations"]["patched"], "true");
    let key = pods.key(name);
    pods.client.delete(&pods.gvr, &key, &DeleteOptions::default()).await.unwrap();
    match pods.client.get(&pods.gvr, &key, None).await {
        Ok(found) => assert!(found.meta.is_deleting()),
        Err(error) => assert!(error.is_not_found()),
    }
}

/// [sig-storage] CSIStorageCapacity should support CSIStorageCapacities API operations [Conformance]
#[tokio::test(start_paused = true)]
async fn csi_storage_capacities_have_all_operations_of_the_api() {
    let cluster = cluster().await;
    let gvr = Gvr::of("storage.k8s.io", "v1", "csistoragecapacities");
    let capacities = Kind::of(&cluster, gvr.clone(), "default");
    let body = |name: &str| json!({"metadata": {"name": name, "labels": {"test": "csc"}}, "storageClassName": "e2e-test", "capacity": "1Gi"});
    let created = capacities.create(&body("one")).await.unwrap();
    assert!(capacities.create(&body("one")).await.unwrap_err().is_already_exists());
    capacities.create(&body("two")).await.unwrap();
    capacities.create(&body("three")).await.unwrap();
    assert_eq!(capacities.get("one", None).await["metadata"]["uid"], *created.meta.uid);
    assert_eq!(capacities.labelled("test=csc").await.len(), 3);
    assert_eq!(Kind::of(&cluster, gvr.clone(), "").labelled("test=csc").await.len(), 3, "in all namespaces");

    let after = Some(created.revision);
    let (namespace, labels) = ("default".into(), "test=csc".into());
    let here = WatchOptions { namespace, labels, after, ..WatchOptions::default() };
    let everywhere = WatchOptions { namespace: "".into(), ..here.clone() };
    let watches = [
        capacities.client.watch(&gvr, &here).await.unwrap(),
        capacities.client.watch(&gvr, &everywhere).await.unwrap(),
    ];
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"patched": "true"}}}));
    let patched = capacities.patch("one", None, patch).await;
    assert_eq!(patched["metadata"]["annotations"]["patched"], "true");
    assert!(revision(&patched) > created.revision.0);
    let updated =
        capacities.update("one", None, |body| body["metadata"]["annotations"]["updated"] = json!("true")).await;
    assert_eq!(updated["metadata"]["annotations"]["updated"], "true");
    for mut events in watches {
        let mut seen = Vec::new();
        while !seen.contains(&"updated") {
            match events.next().await.unwrap().unwrap() {
                WatchEvent::Added(_) => seen.push("added"),
                WatchEvent::Modified(new) => {
                    let new: Value = new.parse().unwrap();
                    let is_updated = new["metadata"]["annotations"]["updated"] == "true";
                    seen.push(if is_updated { "updated" } else { "patched" });
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(seen, ["added", "added", "patched", "updated"]);
    }
    capacities.delete("one").await;
    assert_eq!(capacities.labelled("test=csc").await.len(), 2);
    capacities.delete_labelled("test=csc").await;
}

fn attachment(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {
        "attacher": "e2e-attacher", "nodeName": "node-0", "source": {"persistentVolumeName": "e2e-pv"}}})
}

/// [sig-storage] VolumeAttachment Conformance should run through the lifecycle of a VolumeAttachment [Conformance]
#[tokio::test(start_paused = true)]
async fn a_volume_attachment_runs_through_its_life() {
    let cluster = cluster().await;
    Kind::storage(&cluster, "volumeattachments").runs_through_its_life(&attachment("va-1")).await;
}

/// [sig-storage] VolumeAttachment Conformance should apply changes to a volumeattachment status [Conformance]
#[tokio::test(start_paused = true)]
async fn the_status_of_a_volume_attachment_is_read_patched_and_updated() {
    let cluster = cluster().await;
    let attachments = Kind::storage(&cluster, "volumeattachments");
    attachments.create(&attachment("va-1")).await.unwrap();
    assert_eq!(attachments.get("va-1", Some("status")).await["status"]["attached"], false);
    let patched = attachments.patch("va-1", Some("status"), Patch::Merge(json!({"status": {"attached": true}}))).await;
    assert_eq!(patched["status"]["attached"], true);
    let updated = attachments.update("va-1", Some("status"), |body| body["status"]["attached"] = json!(false)).await;
    assert_eq!(updated["status"]["attached"], false);
    attachments.delete("va-1").await;
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
    let cluster = cluster().await;
    let (volumes, claims) = (Kind::of(&cluster, VOLUMES, ""), Kind::of(&cluster, CLAIMS, "default"));
    volumes.create(&volume("pv-1")).await.unwrap();
    claims.create(&claim("pvc-1")).await.unwrap();
    assert_eq!(volumes.labelled("e2e-pv-pool=pool").await.len(), 1);
    assert_eq!(claims.labelled("").await.len(), 1);
    volumes.label("pv-1", "patched").await;
    claims.label("pvc-1", "patched").await;
    bound(&claims, "pvc-1").await;
    claims.delete("pvc-1").await;
    volumes.delete("pv-1").await;
    assert!(volumes.labelled("e2e-pv-pool=pool").await.is_empty());

    volumes.create(&volume("pv-2")).await.unwrap();
    claims.create(&claim("pvc-2")).await.unwrap();
    volumes.relabel("pv-2", "updated").await;
    claims.relabel("pvc-2", "updated").await;
    let everywhere = Kind::of(&cluster, CLAIMS, "");
    assert_eq!(everywhere.labelled("pvc-2=updated").await.len(), 1);
    claims.delete_labelled("pvc-2=updated").await;
    volumes.delete_labelled("pv-2=updated").await;
}

/// [sig-storage] PersistentVolumes CSI Conformance should apply changes to a pv/pvc status [Conformance]
#[tokio::test(start_paused = true)]
async fn the_status_of_a_volume_and_of_a_claim_is_read_patched_and_updated() {
    let cluster = cluster().await;
    let (volumes, claims) = (Kind::of(&cluster, VOLUMES, ""), Kind::of(&cluster, CLAIMS, "default"));
    volumes.create(&volume("pv-1")).await.unwrap();
    claims.create(&claim("pvc-1")).await.unwrap();
    let phase = |object: Value| object["status"]["phase"].as_str().unwrap().to_owned();
    assert!(["Pending", "Bound"].contains(&phase(claims.get("pvc-1", Some("status")).await).as_str()));
    let phases = ["Pending", "Available", "Bound"];
    assert!(phases.contains(&phase(volumes.get("pv-1", Some("status")).await).as_str()));

    let condition = |kind: &str, reason: &str| json!({"type": kind, "status": "True", "reason": reason, "message": "Set from e2e test"});
    let has = |object: &Value, kind: &str| {
        let all = object["status"]["conditions"].as_array().unwrap();
        all.iter().any(|c| c["type"] == kind && c["message"] == "Set from e2e test")
    };
    let patch = json!({"status": {"conditions": [condition("StatusPatched", "E2E patchedStatus")]}});
    assert!(has(&claims.patch("pvc-1", Some("status"), Patch::Merge(patch)).await, "StatusPatched"));
    let patch = json!({"status": {"message": "StatusPatched", "reason": "E2E patchStatus"}});
    let patched = volumes.patch("pv-1", Some("status"), Patch::Merge(patch)).await;
    assert_eq!(
        (&patched["status"]["message"], &patched["status"]["reason"]),
        (&json!("StatusPatched"), &json!("E2E patchStatus"))
    );

    let updated = claims.update("pvc-1", Some("status"), |body| {
        let conditions = body["status"]["conditions"].as_array_mut().unwrap();
        conditions.push(condition("StatusUpdated", "E2E updateStatus"));
    });
    let updated = updated.await;
    assert!(has(&updated, "StatusUpdated") && has(&updated, "StatusPatched"));
    let updated = volumes.update("pv-1", Some("status"), |body| {
        body["status"]["reason"] = json!("E2E updateStatus");
        body["status"]["message"] = json!("StatusUpdated");
    });
    assert_eq!(updated.await["status"]["reason"], "E2E updateStatus");
}

async fn bound(claims: &Kind, name: &str) {
    let wait = async {
        while claims.get(name, None).await["status"]["phase"] != "Bound" {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("the claim is bound");
}
