//! A program in a pod that talks to its cluster: by the name of the API server, with the pod's own account.

use crate::{
    cluster::{ORCH, Orch},
    image::Image,
    namespaces::{inside, need},
    tools::kubectls,
};
use std::process::Command;

const IMAGE: &str = "tools.test/kubectl:v1";

const MANIFESTS: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: viewers, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: default, namespace: default}]
---
apiVersion: v1
kind: Pod
metadata: {name: asker, namespace: default}
spec:
  restartPolicy: OnFailure
  containers:
  - {name: main, image: "tools.test/kubectl:v1", args: [get, pods, -o, name]}
---
apiVersion: v1
kind: Pod
metadata: {name: thief, namespace: default}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: "tools.test/kubectl:v1"
    args: [get, secrets]
    env: # The name instead of the address that every pod is told.
    - {name: KUBERNETES_SERVICE_HOST, value: kubernetes.default.svc}
    - {name: KUBERNETES_SERVICE_PORT, value: "443"}
"#;

#[test]
fn a_pod_asks_the_api_with_its_own_account() {
    if inside("in_cluster::a_pod_asks_the_api_with_its_own_account") && need(&["kubectl"]) {
        story();
    }
}

fn story() {
    let dir = tempfile::Builder::new().prefix("orch-inside-").tempdir().unwrap();
    let kubectl = kubectls().first().and_then(|program| program.canonicalize().ok()).unwrap();
    let kubectl = kubectl.to_str().unwrap();
    let image = Image { programs: &[kubectl], directories: &["/tmp"], entrypoint: &[kubectl], ..Image::default() };
    let layout = image.write(dir.path(), "kubectl");

    let data = dir.path().join("data");
    let mut orch = Orch::up(&data);
    let loaded = Command::new(ORCH)
        .args(["image", "load", "--name", IMAGE, "--data-dir"])
        .args([&data, &layout])
        .output()
        .unwrap();
    assert!(loaded.status.success(), "{loaded:?}");
    let listed = Command::new(ORCH).args(["image", "ls", "--data-dir"]).arg(&data).output().unwrap();
    assert!(String::from_utf8_lossy(&listed.stdout).contains(IMAGE), "{listed:?}");

    let manifests = dir.path().join("manifests.yaml");
    std::fs::write(&manifests, MANIFESTS).unwrap();
    orch.kubectl(&format!("apply -f {}", manifests.display()));
    orch.kubectl("wait --for=jsonpath={.status.phase}=Succeeded pod/asker --timeout=60s");
    assert_eq!(orch.kubectl("logs asker"), "pod/asker\npod/thief\n");
    orch.kubectl("wait --for=jsonpath={.status.phase}=Failed pod/thief --timeout=60s");
    let refused =
        "secrets is forbidden: User \"system:serviceaccount:default:default\" cannot list resource \"secrets\"";
    let log = orch.kubectl("logs thief");
    assert!(log.contains(refused), "{log}");
    orch.down();
}
