//! Volumes that outlive their pods.

use super::{Case, World, world::main};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use orch_api::{Key, Object};
use orch_runtime::node::container::Ability::{Mounts, Processes};
use orch_store::{ClientExt, client::DeleteOptions};
use serde_json::{Value, json};
use std::{path::PathBuf, sync::Arc};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "a volume is made for the first pod of a claim and goes with the claim",
            needs: &[],
            run: |w| Box::pin(made(w)),
        },
        Case {
            name: "what a pod wrote into its claim the next one reads",
            needs: &[Processes, Mounts],
            run: |w| Box::pin(kept(w)),
        },
        Case {
            name: "a pod waits for a claim that nobody can satisfy, and runs when somebody can",
            needs: &[Processes, Mounts],
            run: |w| Box::pin(by_hand(w)),
        },
    ]
}

async fn made(w: &World) {
    w.claim("made", "local").await;
    let spec = json!({"containers": [mounted(&["sleep", "1000"])], "volumes": [claimed("made", false)]});
    w.pod("maker", json!({}), spec).await;
    w.ready("maker").await;
    let (name, path) = w.volume_of("made").await;
    w.unclaim("made").await;
    // The pod keeps its claim, and the claim its volume.
    assert!(w.client.find::<PersistentVolume>(&Key::cluster(name.as_str())).await.unwrap().is_some());
    w.delete("maker").await;
    w.until_true("the end of the volume", async || {
        w.client.find::<PersistentVolume>(&Key::cluster(name.as_str())).await.unwrap().is_none()
    })
    .await;
    assert!(!path.exists(), "{}", path.display());
}

async fn kept(w: &World) {
    w.claim("kept", "local").await;
    let mut writer = mounted(&["sleep", "1000"]);
    writer["volumeMounts"] = json!([
        {"name": "data", "mountPath": "/data"}, {"name": "data", "mountPath": "/part", "subPath": "below/part"},
    ]);
    let mut spec = json!({"containers": [writer], "volumes": [claimed("kept", false)]});
    spec["securityContext"] = json!({"runAsUser": 1000, "fsGroup": 2000});
    w.pod("writer", json!({}), spec).await;
    w.ready("writer").await;
    assert_eq!(w.exec("writer", &["write", "/data/file", "kept"]).await.0, 0);
    assert_eq!(w.exec("writer", &["write", "/part/file", "too"]).await.0, 0);
    let (_, path) = w.volume_of("kept").await;
    let group = |path: PathBuf| std::os::unix::fs::MetadataExt::gid(&std::fs::metadata(path).unwrap());
    assert_eq!(
        (group(path.clone()), group(path.join("file"))),
        (2000, 2000),
        "new files have the group of their directory"
    );
    w.delete("writer").await;

    let spec = json!({"containers": [mounted(&["sleep", "1000"])], "volumes": [claimed("kept", true)]});
    w.pod("reader", json!({}), spec).await;
    w.ready("reader").await;
    assert_eq!(w.exec("reader", &["cat", "/data/file", "/data/below/part/file"]).await, (0, "kept\ntoo\n".to_owned()));
    assert_ne!(w.exec("reader", &["write", "/data/file", "changed"]).await.0, 0, "it may only read");
    w.delete("reader").await;
    w.unclaim("kept").await;
}

async fn by_hand(w: &World) {
    let dir = tempdir("by-hand");
    std::fs::write(dir.join("file"), "from the node\n").unwrap();
    w.claim("by-hand", "by-hand").await;
    let spec = json!({"containers": [mounted(&["cat", "/data/file"])], "restartPolicy": "Never",
        "volumes": [claimed("by-hand", false)]});
    w.pod("patient", json!({}), spec).await;
    w.event("patient", "FailedScheduling").await;
    let volume = json!({"metadata": {"name": "by-hand"}, "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "by-hand",
        "hostPath": {"path": dir, "type": "Directory"}}});
    w.client.add(&serde_json::from_value::<PersistentVolume>(volume).unwrap()).await.unwrap();
    w.phase("patient", "Succeeded").await;
    assert_eq!(w.log("patient", "main").await, "from the node\n");
    w.delete("patient").await;
    w.unclaim("by-hand").await;
    assert!(dir.join("file").exists(), "what a person made stays");
    std::fs::remove_dir_all(dir).unwrap();
}

fn mounted(command: &[&str]) -> Value {
    let mut container = main(command);
    container["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    container
}

fn claimed(claim: &str, read_only: bool) -> Value {
    json!({"name": "data", "persistentVolumeClaim": {"claimName": claim, "readOnly": read_only}})
}

fn tempdir(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("orch-volumes-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

impl World {
    async fn claim(&self, name: &str, class: &str) {
        let spec = json!({"storageClassName": class, "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}}});
        let claim = json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec});
        self.client.add(&serde_json::from_value::<PersistentVolumeClaim>(claim).unwrap()).await.unwrap();
    }

    async fn unclaim(&self, name: &str) {
        let (gvr, key) = (PersistentVolumeClaim::gvr(), Key::new("default", name));
        self.client.delete(&gvr, &key, &DeleteOptions::default()).await.unwrap();
    }

    /// The volume of a claim: its name, and where it is on the node.
    async fn volume_of(&self, claim: &str) -> (String, PathBuf) {
        let claim: Arc<PersistentVolumeClaim> = self.client.read(&Key::new("default", claim)).await.unwrap();
        let name = claim.spec.clone().unwrap().volume_name.unwrap();
        let volume: Arc<PersistentVolume> = self.client.read(&Key::cluster(name.as_str())).await.unwrap();
        (name, PathBuf::from(volume.spec.clone().unwrap().local.unwrap().path))
    }
}
