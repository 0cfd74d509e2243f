//! A DaemonSet rolls over three nodes.

use super::{IMAGES, SLEEP, kubectl, rollouts::version, until, watch::Watch};
use crate::command::Kubectl;
use std::collections::BTreeSet;

const DONE: &str = "daemon set \"agent\" successfully rolled out";

fn daemons(strategy: &str) -> String {
    format!(
        r#"
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: agent}}
spec:
  selector: {{matchLabels: {{app: agent}}}}
  updateStrategy: {{type: RollingUpdate, rollingUpdate: {{{strategy}}}}}
  template:
    metadata: {{labels: {{app: agent}}}}
    spec:
      terminationGracePeriodSeconds: 5
      containers: [{{name: main, image: "{image}", args: ["{SLEEP}"]}}]
"#,
        image = IMAGES[0],
    )
}

#[test]
fn a_daemon_set_rolls_over_three_nodes() {
    let Some(k) = kubectl("daemons") else { return };
    k.apply(&daemons("maxUnavailable: 1")).succeeds();
    k.rolled_out("ds/agent", DONE);
    assert_eq!(nodes(&k), (3, 3), "a pod on each");
    k.run("get ds agent").has_row(&["agent", "3", "3", "3", "3", "3", "<none>", "*"]);

    // One node after the other is without.
    let available = Watch::start(&k, "ds/agent", "{.status.numberAvailable}");
    k.run(&format!("set image ds/agent main={}", IMAGES[1])).prints("daemonset.apps/agent image updated\n");
    k.rolled_out("ds/agent", DONE);
    available.never_below(2);
    runs(&k, "2");
    k.run("annotate ds/agent kubernetes.io/change-cause=second").succeeds();
    k.run("rollout history ds/agent")
        .contains("daemonset.apps/agent \nREVISION  CHANGE-CAUSE\n1         <none>\n2         <none>\n");
    k.run("rollout history ds/agent --revision=1").contains(IMAGES[0]);

    // No node is without: the new pod runs beside the old one until it is ready.
    k.run(r#"patch ds agent -p {"spec":{"updateStrategy":{"rollingUpdate":{"maxSurge":1,"maxUnavailable":0}}}}"#)
        .succeeds();
    let available = Watch::start(&k, "ds/agent", "{.status.numberAvailable}");
    k.run("rollout undo ds/agent").prints("daemonset.apps/agent rolled back\n");
    k.rolled_out("ds/agent", DONE);
    available.never_below(3);
    runs(&k, "1");
    k.run("rollout history ds/agent").lacks("\n1  ").contains("\n2         <none>\n3         <none>\n");
    k.run("rollout undo ds/agent --to-revision=9").fails("unable to find specified revision 9 in history");
    k.run("rollout pause ds/agent").fails("daemonsets.apps \"agent\" pausing is not supported");
    k.run("rollout restart ds/agent").prints("daemonset.apps/agent restarted\n");
    k.rolled_out("ds/agent", DONE);
    k.run("describe ds agent").contains("SuccessfulCreate").contains("SuccessfulDelete");
    k.run("delete ds agent").succeeds();
    until("the pods to go", || k.names("pods").is_empty().then_some(()));
}

#[test]
fn the_nodes_of_a_machine_are_told_apart() {
    let Some(k) = kubectl("machine") else { return };
    k.wait("condition=Ready", "nodes --all");
    let all = |path: &str| -> BTreeSet<String> {
        let text = k.read("nodes", &format!("{{.items[*]{path}}}"));
        text.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(all(".metadata.name").len(), 3);
    assert_eq!(all(".metadata.labels.kubernetes\\.io/hostname"), all(".metadata.name"));
    assert_eq!(all(".status.addresses[?(@.type==\"InternalIP\")].address").len(), 3);
    let disks = all(".status.capacity.ephemeral-storage");
    assert!(disks.len() == 1 && !disks.contains("0Ki"), "{disks:?}");
}

/// How many pods there are, and on how many nodes.
fn nodes(k: &Kubectl) -> (usize, usize) {
    let nodes = k.read("pods -l app=agent", "{.items[*].spec.nodeName}");
    let nodes: Vec<_> = nodes.split_whitespace().collect();
    (nodes.len(), nodes.iter().collect::<BTreeSet<_>>().len())
}

/// Sees on every node that the version runs, once the last of the others is gone.
#[track_caller]
fn runs(k: &Kubectl, wanted: &str) {
    until("one pod on each node", || (nodes(k) == (3, 3)).then_some(()));
    for pod in k.names("pods -l app=agent") {
        assert_eq!(version(k, &pod), wanted, "{pod}");
    }
}
