//! taint, cordon, drain, uncordon.

use crate::{WEB, cluster::restless, run::with_each};

const LONELY: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: lonely}
spec: {nodeName: node-2, containers: [{name: main, image: "orch.local/toolbox:latest"}]}
"#;

#[test]
fn nodes_are_tainted_cordoned_and_drained() {
    with_each(restless, "nodes", |k| {
        k.run("taint node node-2 k=v:NoSchedule").prints("node/node-2 tainted\n");
        k.run("taint node node-2 k=v:NoSchedule").fails("already has k taint(s) with same effect(s)");
        k.run("taint node node-2 k=w:NoSchedule --overwrite").prints("node/node-2 modified\n");
        k.run("taint node node-2 k=v:Sometimes").fails("invalid taint effect: Sometimes, unsupported taint effect");
        k.run("taint node nothing k=v:NoSchedule").fails("nodes \"nothing\" not found");
        k.run("taint node node-2 k-").prints("node/node-2 untainted\n");
        k.run("taint node node-2 k-").fails("taint \"k\" not found");

        k.run("cordon node-2").prints("node/node-2 cordoned\n");
        k.run("cordon node-2").contains("node/node-2 already cordoned");
        k.run("get node node-2").has_row(&["node-2", "Ready,SchedulingDisabled", "<none>", "*", "*"]);
        k.run("uncordon node-2").prints("node/node-2 uncordoned\n");

        k.apply(WEB).succeeds();
        k.apply(LONELY).succeeds();
        k.run("rollout status deploy/web --timeout=30s").succeeds();
        k.run("wait --for=condition=Ready pod/lonely --timeout=30s").succeeds();
        let refused =
            format!("cannot delete Pods that declare no controller (use --force to override): {}/lonely", k.namespace);
        k.run("drain node-2 --timeout=30s").fails(&refused);
        k.run("drain node-2 --force --timeout=30s").contains("pod/lonely evicted").contains("node/node-2 drained");
        k.run("get pod lonely").fails("pods \"lonely\" not found");
        k.run("get pods -o wide").lacks("node-2");
        k.run("drain nothing").fails("nodes \"nothing\" not found");
        k.run("uncordon node-2").prints("node/node-2 uncordoned\n");
        k.run("taint node node-1 gone=now:NoExecute").prints("node/node-1 tainted\n");
        k.run("wait --for=delete pod --field-selector spec.nodeName=node-1 --timeout=30s").succeeds();
        k.run("taint node node-1 gone-").succeeds();
        k.run("rollout status deploy/web --timeout=30s").succeeds();
        k.run(&format!("delete namespace {}", k.namespace)).succeeds();
    });
}
