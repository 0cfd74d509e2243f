use super::{
    volumes::{Next, next},
    *,
};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use orch_runtime::{
    node::volume::{Unable, VolumeProvisioner},
    storage::{ClaimRef, VolumeInfo, VolumePhase},
};
use serde_json::{Value, json};

fn claim(spec: Value) -> PersistentVolumeClaim {
    serde_json::from_value(json!({"metadata": {"name": "data", "namespace": "default", "uid": "u1"}, "spec": spec}))
        .unwrap()
}

fn volume(name: &str, path: &std::path::Path) -> PersistentVolume {
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"local": {"path": path}}})).unwrap()
}

fn once() -> PersistentVolumeClaim {
    claim(json!({"accessModes": ["ReadWriteOnce"]}))
}

#[tokio::test]
async fn a_directory_is_made_once_keeps_its_files_and_goes_whole() {
    let dir = tempfile::tempdir().unwrap();
    let directories = Directories::new(dir.path().join("volumes"));
    let spec = directories.provision("pvc-u1", &once()).await.unwrap();
    let path = std::path::PathBuf::from(spec.local.unwrap().path);
    std::fs::write(path.join("file"), "kept").unwrap();
    directories.provision("pvc-u1", &once()).await.unwrap();
    assert_eq!(std::fs::read_to_string(path.join("file")).unwrap(), "kept");
    for _ in 0..2 {
        directories.delete(&volume("pvc-u1", &path)).await.unwrap();
        assert!(!path.exists());
    }
}

#[tokio::test]
async fn what_was_not_made_here_is_not_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let directories = Directories::new(dir.path().join("volumes"));
    let precious = dir.path().join("precious");
    std::fs::create_dir(&precious).unwrap();
    directories.delete(&volume("pvc-u1", &precious)).await.unwrap_err();
    directories.delete(&volume("../precious", &dir.path().join("volumes/../other"))).await.unwrap_err();
    assert!(precious.exists());
}

#[tokio::test]
async fn what_a_directory_cannot_be_is_refused_for_good() {
    for spec in [
        json!({"accessModes": ["ReadWriteMany"]}),
        json!({"accessModes": ["ReadWriteOnce"], "volumeMode": "Block"}),
        json!({"accessModes": ["ReadWriteOnce"], "dataSource": {"kind": "PersistentVolumeClaim", "name": "other"}}),
        json!({"accessModes": ["ReadWriteOnce"], "selector": {"matchLabels": {"a": "b"}}}),
    ] {
        let refused = Imagined.provision("pvc-u1", &claim(spec.clone())).await;
        assert!(matches!(refused, Err(Unable::Anywhere(_))), "{spec}");
    }
}

#[test]
fn a_volume_is_deleted_when_its_claim_has_left_it_and_its_policy_says_so() {
    #[track_caller]
    fn check(phase: VolumePhase, policy: &str, deleting: bool, finalizer: bool, expected: Next) {
        let volume = VolumeInfo {
            phase,
            reclaim: policy.into(),
            deleting,
            provisioner: PROVISIONER.into(),
            claim: Some(ClaimRef::default()),
            ..VolumeInfo::default()
        };
        assert_eq!(next(&volume, finalizer), expected);
    }
    use VolumePhase::{Available, Bound, Failed, Released};
    check(Bound, "Delete", false, true, Next::Nothing);
    check(Bound, "Delete", true, true, Next::Nothing);
    check(Available, "Delete", false, true, Next::Nothing);
    check(Released, "Delete", false, true, Next::Delete);
    check(Released, "Delete", false, false, Next::Delete);
    check(Failed, "Delete", true, true, Next::Delete);
    check(Released, "Delete", true, false, Next::Nothing);
    check(Released, "Retain", false, true, Next::Nothing);
    check(Released, "Retain", true, true, Next::LetGo);
    assert_eq!(
        next(&VolumeInfo { phase: Released, reclaim: "Delete".into(), ..VolumeInfo::default() }, false),
        Next::Nothing
    );
}
