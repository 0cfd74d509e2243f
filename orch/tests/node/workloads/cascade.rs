//! `kubectl delete --cascade`: what becomes of the pods of a Deployment.

use super::{IMAGES, SLEEP, kubectl, until};
use crate::command::Kubectl;
use std::collections::BTreeSet;

fn web(name: &str) -> String {
    format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 5
      containers: [{{name: web, image: "{image}", args: ["{SLEEP}"]}}]
"#,
        image = IMAGES[0],
    )
}

#[test]
fn orphans_live_on_and_are_adopted() {
    let Some(k) = kubectl("orphans") else { return };
    k.apply(&web("web")).succeeds();
    k.rolled_out("deploy/web", "successfully rolled out");
    let containers = running(&k);
    assert_eq!(containers.len(), 2);

    k.run("delete deploy web --cascade=orphan").contains("deployment.apps \"web\" deleted");
    assert_eq!(k.read("rs", "{.items[*].metadata.ownerReferences}"), "", "nobody owns the ReplicaSet");
    k.run("delete rs -l app=web --cascade=orphan").succeeds();
    assert_eq!(k.names("rs").len(), 0);
    assert_eq!(k.read("pods", "{.items[*].metadata.ownerReferences}"), "", "nobody owns the pods");
    assert_eq!(running(&k), containers, "they run on");

    // Of the same template the ReplicaSet has the same name and the same selector.
    k.apply(&web("again")).succeeds();
    k.rolled_out("deploy/again", "successfully rolled out");
    let set = k.read("rs", "{.items[*].metadata.name}");
    assert_eq!(k.read("pods", "{.items[*].metadata.ownerReferences[*].name}"), format!("{set} {set}"));
    assert_eq!(running(&k), containers, "the same containers, and no others");

    // A ReplicaSet that is left is adopted likewise.
    k.run("delete deploy again --cascade=orphan").succeeds();
    k.apply(&web("again")).succeeds();
    k.rolled_out("deploy/again", "successfully rolled out");
    assert_eq!(k.read("rs", "{.items[*].metadata.ownerReferences[*].name}"), "again");
    assert_eq!(running(&k), containers, "the same containers still");
    k.run("delete deploy again").succeeds();
    until("all to go", || k.names("rs,pods").is_empty().then_some(()));
}

#[test]
fn in_the_foreground_the_owner_is_the_last_to_go_and_in_the_background_the_first() {
    let Some(k) = kubectl("cascade") else { return };
    k.apply(&web("web")).succeeds();
    k.rolled_out("deploy/web", "successfully rolled out");
    // As long as somebody holds a pod, nobody above it goes.
    let held = k.names("pods").remove(0);
    let hold = |finalizers: &str| {
        k.run(&format!(r#"patch {held} -p {{"metadata":{{"finalizers":{finalizers}}}}} --type=merge"#)).succeeds();
    };
    hold(r#"["example.com/hold"]"#);
    k.run("delete deploy web --cascade=foreground --wait=false").contains("deployment.apps \"web\" deleted");
    until("the other pod to go", || (k.names("pods") == [&*held]).then_some(()));
    for owner in ["deploy", "rs"] {
        assert_eq!(k.read(owner, "{.items[*].metadata.finalizers[*]}"), "foregroundDeletion", "{owner}");
        assert!(!k.read(owner, "{.items[*].metadata.deletionTimestamp}").is_empty(), "{owner}");
    }
    hold("null");
    k.wait("delete", "deploy/web");
    assert_eq!(k.names("rs,pods").len(), 0, "they went before it");

    k.apply(&web("web")).succeeds();
    k.rolled_out("deploy/web", "successfully rolled out");
    let held = k.names("pods").remove(0);
    let hold = |finalizers: &str| {
        k.run(&format!(r#"patch {held} -p {{"metadata":{{"finalizers":{finalizers}}}}} --type=merge"#)).succeeds();
    };
    hold(r#"["example.com/hold"]"#);
    k.run("delete deploy web --cascade=background").succeeds();
    assert_eq!(k.names("deploy").len(), 0);
    until("the others to go", || (k.names("rs,pods") == [&*held]).then_some(()));
    hold("null");
    until("the last one to go", || k.names("pods").is_empty().then_some(()));
}

/// The containers that run, each with the time since when.
fn running(k: &Kubectl) -> BTreeSet<String> {
    let path = "{range .items[*]}{.status.containerStatuses[0].containerID} {.status.containerStatuses[0].state.running.startedAt}{\"\\n\"}{end}";
    k.read("pods", path).lines().map(str::to_owned).collect()
}
