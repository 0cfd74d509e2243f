//! `test/e2e/apps/daemon_set.go` and `controller_revision.go`.

use super::world::{NODES, PODS, REVISIONS, World, all_ready, controller, has_image, image, is_ready, name, template};
use orch::api::Gvr;
use serde_json::{Value, json};

const DAEMON_SETS: Gvr = Gvr::of("apps", "v1", "daemonsets");
const DAEMONS: &str = "name=daemon-set";

fn daemon_set() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "daemon-set", "namespace": "default",
        "labels": {"name": "daemon-set"}},
        "spec": {"selector": {"matchLabels": {"name": "daemon-set"}}, "template": template("daemon-set", "app:1")}})
}

/// Whether there is one ready pod on each of so many nodes.
fn on_every_node(nodes: usize) -> impl Fn(&[Value]) -> bool {
    move |pods| {
        let ready = pods.iter().filter(|pod| is_ready(pod));
        let mut on: Vec<_> = ready.filter_map(|pod| pod["spec"]["nodeName"].as_str()).collect();
        on.sort_unstable();
        on.dedup();
        on.len() == nodes && pods.len() == nodes
    }
}

async fn running(here: &World, nodes: usize) -> Vec<Value> {
    here.of(&DAEMON_SETS).create(daemon_set()).await;
    let pods = here.of(&PODS).until("a pod on every node", DAEMONS, on_every_node(nodes)).await;
    let counted = move |set: &Value| {
        let (desired, ready) = (&set["status"]["desiredNumberScheduled"], &set["status"]["numberReady"]);
        (desired.as_u64(), ready.as_u64()) == (Some(nodes as u64), Some(nodes as u64))
    };
    here.of(&DAEMON_SETS).until_one("their count", "daemon-set", counted).await;
    pods
}

/// [sig-apps] Daemon set should run and stop simple daemon [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn a_daemon_that_is_stopped_comes_back() {
    let here = World::with_nodes(3).await;
    let pods = running(&here, 3).await;
    here.of(&PODS).delete(&name(&pods[0])).await;
    here.of(&PODS).until("a pod on every node again", DAEMONS, on_every_node(3)).await;
    here.stop().await;
}

/// [sig-apps] Daemon set should run and stop complex daemon [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn daemons_follow_the_labels_of_nodes() {
    let here = World::with_nodes(2).await;
    let mut object = daemon_set();
    object["spec"]["template"]["spec"]["nodeSelector"] = json!({"daemonset-color": "blue"});
    here.of(&DAEMON_SETS).create(object).await;
    let observed = |set: &Value| set["status"]["observedGeneration"] == set["metadata"]["generation"];
    here.of(&DAEMON_SETS).until_one("the set to be seen", "daemon-set", observed).await;
    assert!(here.of(&PODS).list(DAEMONS).await.is_empty());
    let node = name(&here.of(&NODES).list("").await[0]);
    let colour = |colour: Value| json!({"metadata": {"labels": {"daemonset-color": colour}}});
    here.of(&NODES).patch(&node, colour("blue".into())).await;
    let pods = here.of(&PODS).until("a daemon on the blue node", DAEMONS, all_ready(1)).await;
    assert_eq!(pods[0]["spec"]["nodeName"], node.as_str());
    here.of(&NODES).patch(&node, colour("green".into())).await;
    here.of(&PODS).until("no daemon", DAEMONS, <[Value]>::is_empty).await;
    let patch = json!({"spec": {"template": {"spec": {"nodeSelector": {"daemonset-color": "green"}}},
        "updateStrategy": {"type": "RollingUpdate"}}});
    here.of(&DAEMON_SETS).patch("daemon-set", patch).await;
    here.of(&PODS).until("a daemon on the green node", DAEMONS, all_ready(1)).await;
    here.stop().await;
}

/// [sig-apps] Daemon set should retry creating failed daemon pods [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn a_daemon_that_failed_is_replaced() {
    let here = World::with_nodes(2).await;
    let failed = name(&running(&here, 2).await[0]);
    here.of(&PODS).sub("status").patch(&failed, json!({"status": {"phase": "Failed"}})).await;
    here.of(&PODS).until("the end of the failed pod", DAEMONS, |pods| pods.iter().all(|pod| name(pod) != failed)).await;
    here.of(&PODS).until("a pod on every node again", DAEMONS, on_every_node(2)).await;
    here.stop().await;
}

/// [sig-apps] Daemon set should update pod when spec was updated and update strategy is RollingUpdate [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn a_rolling_update_replaces_every_daemon() {
    let here = World::with_nodes(3).await;
    running(&here, 3).await;
    let first = here.of(&REVISIONS).list(DAEMONS).await;
    assert_eq!((first.len(), &first[0]["revision"]), (1, &json!(1)));
    here.of(&DAEMON_SETS).patch("daemon-set", image("app:2")).await;
    let renewed = |pods: &[Value]| on_every_node(3)(pods) && pods.iter().all(|pod| has_image(pod, "app:2"));
    let pods = here.of(&PODS).until("new pods", DAEMONS, renewed).await;
    let revisions = here.of(&REVISIONS).list(DAEMONS).await;
    let current = revisions.iter().find(|revision| revision["revision"] == 2).unwrap();
    let hash = &current["metadata"]["labels"]["controller-revision-hash"];
    assert!(pods.iter().all(|pod| pod["metadata"]["labels"]["controller-revision-hash"] == *hash));
    here.stop().await;
}

/// [sig-apps] Daemon set should rollback without unnecessary restarts [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn a_rollback_leaves_the_daemons_that_were_not_updated() {
    let here = World::with_nodes(3).await;
    running(&here, 3).await;
    let broken = |image_name: &str, error: Value| {
        let mut patch = image(image_name);
        patch["spec"]["template"]["metadata"] = json!({"annotations": {"simulated.orch.dev/start-error": error}});
        patch
    };
    here.of(&DAEMON_SETS).patch("daemon-set", broken("foo:non-existent", "no such image".into())).await;
    let begun = |pods: &[Value]| pods.iter().any(|pod| has_image(pod, "foo:non-existent"));
    let middle = here.of(&PODS).until("a rollout that has begun", DAEMONS, begun).await;
    let kept: Vec<String> = middle.iter().filter(|pod| has_image(pod, "app:1")).map(name).collect();
    assert!(!kept.is_empty() && kept.len() < 3);
    here.of(&DAEMON_SETS).patch("daemon-set", broken("app:1", Value::Null)).await;
    let back = |pods: &[Value]| on_every_node(3)(pods) && pods.iter().all(|pod| has_image(pod, "app:1"));
    let pods = here.of(&PODS).until("the rollback", DAEMONS, back).await;
    assert!(kept.iter().all(|kept| pods.iter().any(|pod| name(pod) == *kept)));
    here.stop().await;
}

/// [sig-apps] Daemon set should list and delete a collection of DaemonSets [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn daemon_sets_are_listed_and_deleted_together() {
    let here = World::with_nodes(2).await;
    running(&here, 2).await;
    assert_eq!(here.of(&DAEMON_SETS).list(DAEMONS).await.len(), 1);
    here.of(&DAEMON_SETS).delete_all(DAEMONS).await;
    here.of(&DAEMON_SETS).until("the end", DAEMONS, <[Value]>::is_empty).await;
    here.of(&PODS).until("the end of their pods", DAEMONS, <[Value]>::is_empty).await;
    here.stop().await;
}

/// [sig-apps] Daemon set should verify changes to a daemon set status [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn the_status_of_a_daemon_set_is_served() {
    let here = World::with_nodes(2).await;
    running(&here, 2).await;
    here.of(&DAEMON_SETS).status_is_served("daemon-set").await;
    here.stop().await;
}

/// [sig-apps] ControllerRevision should manage the lifecycle of a ControllerRevision [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn revisions_are_kept_by_others_too() {
    let here = World::with_nodes(2).await;
    running(&here, 2).await;
    let first = here.of(&REVISIONS).list(DAEMONS).await.remove(0);
    assert_eq!(controller(&first), Some(("DaemonSet".into(), "daemon-set".into())));
    let patch = json!({"metadata": {"labels": {name(&first): "patched"}}});
    let patched = here.of(&REVISIONS).patch(&name(&first), patch).await;
    assert_eq!(patched["metadata"]["labels"][name(&first)], "patched");

    let mut second = first.clone();
    second["metadata"] = json!({"name": "daemon-set-second", "namespace": "default",
        "labels": {"name": "daemon-set", "controller-revision-hash": "second"},
        "ownerReferences": first["metadata"]["ownerReferences"]});
    second["revision"] = 2.into();
    here.of(&REVISIONS).create(second).await;
    let count = |count: usize| move |revisions: &[Value]| revisions.len() == count;
    here.of(&REVISIONS).until("two revisions", DAEMONS, count(2)).await;
    here.of(&REVISIONS).delete(&name(&first)).await;
    here.of(&REVISIONS).until("one revision", DAEMONS, count(1)).await;
    here.of(&REVISIONS)
        .update("daemon-set-second", |revision| {
            revision["metadata"]["labels"]["daemon-set-second"] = "updated".into();
        })
        .await;
    let grace = json!({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 0}}}});
    here.of(&DAEMON_SETS).patch("daemon-set", grace).await;
    here.of(&REVISIONS).until("two revisions", DAEMONS, count(2)).await;
    here.of(&REVISIONS).delete_all("daemon-set-second=updated").await;
    let left = here.of(&REVISIONS).until("one revision", DAEMONS, count(1)).await;
    assert_eq!(left[0]["revision"], 3);
    here.stop().await;
}
