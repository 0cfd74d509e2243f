//! Claims, volumes and classes as people see them.

use crate::{cluster::simulated, run::with_each};

const CLAIMS: &str = r#"
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: shared}
spec: {accessModes: [ReadWriteMany], storageClassName: "", resources: {requests: {storage: 1Gi}}}
"#;

const USER: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: user}
spec:
  containers: [{name: main, image: "orch.local/toolbox:latest", volumeMounts: [{name: data, mountPath: /data}]}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
"#;

#[test]
fn claims_wait_are_bound_protected_and_grow() {
    with_each(simulated, "volumes", |k| {
        k.run("get sc").has_row(&[
            "local (default)",
            "orch.local/directory",
            "Delete",
            "WaitForFirstConsumer",
            "true",
            "*",
        ]);
        k.apply(CLAIMS).succeeds();
        k.run("wait --for=jsonpath={.status.phase}=Pending pvc/data --timeout=30s").succeeds();
        k.run("get pvc data").has_row(&["data", "Pending", "local", "<unset>", "*"]);
        k.apply(USER).succeeds();
        k.run("wait --for=condition=Ready pod/user --timeout=30s").succeeds();
        k.run("wait --for=jsonpath={.status.phase}=Bound pvc/data --timeout=30s").succeeds();
        k.run("get pvc data").has_row(&["data", "Bound", "*", "1Gi", "RWO", "local", "<unset>", "*"]);
        let claim = format!("{}/data", k.namespace);
        k.run("get pv").has_row(&["*", "1Gi", "RWO", "Delete", "Bound", &claim, "local", "<unset>", "*"]);
        k.run("describe pvc data").contains("WaitForFirstConsumer").contains("Successfully provisioned volume pvc-");
        k.run("describe pvc shared")
            .contains("no persistent volumes available for this claim and no storage class is set");

        let more = r#"patch pvc data -p {"spec":{"resources":{"requests":{"storage":"2Gi"}}}}"#;
        k.run(more).prints("persistentvolumeclaim/data patched\n");
        k.run("wait --for=jsonpath={.status.capacity.storage}=2Gi pvc/data --timeout=30s").succeeds();
        k.run("patch pvc shared -p {\"spec\":{\"resources\":{\"requests\":{\"storage\":\"2Gi\"}}}}")
            .fails("spec is immutable after creation");

        k.run("delete pvc data --wait=false").contains("deleted");
        k.run("get pvc data").has_row(&["data", "Terminating", "*", "2Gi", "RWO", "local", "<unset>", "*"]);
        k.run("delete pod user --wait=true").contains("deleted");
        k.run("wait --for=delete pvc/data --timeout=30s").succeeds();
        k.run("delete pvc shared").succeeds();
    });
}
