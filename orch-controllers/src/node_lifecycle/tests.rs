use super::*;
use crate::fixtures::{self, expect_plan, minutes_ago, now};
use expect_test::{Expect, expect};
use jiff::SignedDuration;
use k8s_openapi::{
    api::{
        coordination::v1::LeaseSpec,
        core::v1::{NodeSpec, NodeStatus, Taint},
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, Time},
};
use orch_runtime::testing::Objects;

fn node(name: &str, ready: &str) -> Node {
    let condition = NodeCondition {
        type_: "Ready".into(),
        status: ready.into(),
        reason: Some("KubeletReady".into()),
        message: None,
        last_heartbeat_time: Some(Time(minutes_ago(4))),
        last_transition_time: Some(Time(minutes_ago(30))),
    };
    Node {
        metadata: fixtures::meta("", name, &format!("node-{name}")),
        spec: Some(NodeSpec::default()),
        status: Some(NodeStatus { conditions: Some(vec![condition]), ..NodeStatus::default() }),
    }
}

fn lease(name: &str, renewed: Timestamp) -> Lease {
    let spec = LeaseSpec { renew_time: Some(MicroTime(renewed)), ..LeaseSpec::default() };
    Lease { metadata: fixtures::meta(LEASES, name, ""), spec: Some(spec) }
}

/// A cluster with this node and its lease, another node that is ready, and pods.
fn cluster(node: &Node, pods: &[Pod]) -> Objects {
    let controller = NodeLifecycle::new(minutes_ago(60));
    let mut objects = Objects::new(&controller.watches()).with(node).with(&self::node("other", "True"));
    objects.insert(&lease("n1", minutes_ago(3)));
    pods.iter().for_each(|pod| objects.insert(pod));
    objects
}

/// Runs in virtual time.
fn paused(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(test);
}

/// Looks at the node `n1` once.
fn look(controller: &NodeLifecycle, objects: &Objects, now: Timestamp) -> Plan {
    let world = controller.observe(&Key::cluster("n1"), &View::fixed(objects)).unwrap();
    let plan = controller.plan(&world, now);
    controller.remember(&world, now, None);
    plan
}

/// What is planned for the node `n1`, which was known before and then said nothing for so many minutes, round by round until
/// nothing is left to do.
#[track_caller]
fn check(mut objects: Objects, silent: u64, expect: Expect) {
    let mut text = String::new();
    paused(async {
        let controller = NodeLifecycle::new(minutes_ago(60));
        let world = controller.observe(&Key::cluster("n1"), &View::fixed(&objects)).unwrap();
        controller.registry.remember(&world.node, world.presence, world.heard);
        tokio::time::advance(Duration::from_secs(60 * silent)).await;
        for _ in 0..5 {
            let plan = look(&controller, &objects, now());
            text += &plan.to_string();
            objects.apply(&plan, now());
            if plan.is_empty() {
                break;
            }
        }
    });
    expect.assert_eq(&text);
}

#[test]
fn a_node_that_renews_its_lease_is_left_alone() {
    check(
        cluster(&node("n1", "True"), &[]),
        0,
        expect![[r#"
        requeue after 50s
    "#]],
    );
}

#[test]
fn a_silent_node_becomes_unknown_and_is_tainted_and_its_pods_are_not_ready() {
    let pod = fixtures::ready(fixtures::on_node(fixtures::pod("a", "web"), "n1"), minutes_ago(9));
    check(
        cluster(&node("n1", "True"), &[pod]),
        3,
        expect![[r#"
        status Node n1 conditions[DiskPressure].message="Kubelet never posted node status." conditions[DiskPressure].reason=NodeStatusNeverUpdated conditions[DiskPressure].status=Unknown conditions[MemoryPressure].message="Kubelet never posted node status." conditions[MemoryPressure].reason=NodeStatusNeverUpdated conditions[MemoryPressure].status=Unknown conditions[PIDPressure].message="Kubelet never posted node status." conditions[PIDPressure].reason=NodeStatusNeverUpdated conditions[PIDPressure].status=Unknown conditions[Ready].message="Kubelet stopped posting node status." conditions[Ready].reason=NodeStatusUnknown conditions[Ready].status=Unknown
        event Normal NodeNotReady: Node n1 status is now: NodeNotReady
        update Node n1 spec.taints=[{"effect":"NoSchedule","key":"node.kubernetes.io/unreachable","timeAdded":"2025-12-18T00:00:00Z"},{"effect":"NoExecute","key":"node.kubernetes.io/unreachable","timeAdded":"2025-12-18T00:00:00Z"}]
        status Pod default/a conditions[Ready].status=False
        event Warning NodeNotReady: Node is not ready
    "#]],
    );
}

#[test]
fn what_a_node_says_of_a_pod_after_it_was_given_up_stands() {
    let mut lost = node("n1", "Unknown");
    lost.status.as_mut().unwrap().conditions.as_mut().unwrap()[0].last_transition_time = Some(Time(minutes_ago(2)));
    lost.spec.as_mut().unwrap().taints = None;
    let since = |name: &str, minutes| {
        fixtures::ready(fixtures::on_node(fixtures::pod(name, "web"), "n1"), minutes_ago(minutes))
    };
    check(
        cluster(&lost, &[since("before", 3), since("after", 1), since("then", 2)]),
        3,
        expect![[r#"
            status Node n1 conditions[DiskPressure].message="Kubelet never posted node status." conditions[DiskPressure].reason=NodeStatusNeverUpdated conditions[DiskPressure].status=Unknown conditions[MemoryPressure].message="Kubelet never posted node status." conditions[MemoryPressure].reason=NodeStatusNeverUpdated conditions[MemoryPressure].status=Unknown conditions[PIDPressure].message="Kubelet never posted node status." conditions[PIDPressure].reason=NodeStatusNeverUpdated conditions[PIDPressure].status=Unknown
            update Node n1 spec.taints=[{"effect":"NoSchedule","key":"node.kubernetes.io/unreachable","timeAdded":"2025-12-18T00:00:00Z"},{"effect":"NoExecute","key":"node.kubernetes.io/unreachable","timeAdded":"2025-12-18T00:00:00Z"}]
            status Pod default/before conditions[Ready].status=False
            event Warning NodeNotReady: Node is not ready
        "#]],
    );
}

#[test]
fn a_node_that_never_reported_gets_a_minute() {
    let mut silent = node("n1", "True");
    silent.status = None;
    silent.metadata.creation_timestamp = Some(Time(minutes_ago(2)));
    check(
        cluster(&silent, &[]),
        2,
        expect![[r#"
            status Node n1 conditions[DiskPressure].message="Kubelet never posted node status." conditions[DiskPressure].reason=NodeStatusNeverUpdated conditions[DiskPressure].status=Unknown conditions[MemoryPressure].message="Kubelet never posted node status." conditions[MemoryPressure].reason=NodeStatusNeverUpdated conditions[MemoryPressure].status=Unknown conditions[PIDPressure].message="Kubelet never posted node status." conditions[PIDPressure].reason=NodeStatusNeverUpdated conditions[PIDPressure].status=Unknown conditions[Ready].message="Kubelet never posted node status." conditions[Ready].reason=NodeStatusNeverUpdated conditions[Ready].status=Unknown
            update Node n1 spec.taints=[{"effect":"NoSchedule","key":"node.kubernetes.io/unreachable","timeAdded":"2025-12-18T00:00:00Z"},{"effect":"NoExecute","key":"node.kubernetes.io/unreachable","timeAdded":"2025-12-18T00:00:00Z"}]
            requeue after 50s
            requeue after 50s
        "#]],
    );
}

#[test]
fn a_node_that_says_it_is_not_ready_is_tainted_and_its_pods_are_what_they_say() {
    let pod = fixtures::ready(fixtures::on_node(fixtures::pod("a", "web"), "n1"), minutes_ago(50));
    check(
        cluster(&node("n1", "False"), &[pod]),
        0,
        expect![[r#"
        update Node n1 spec.taints=[{"effect":"NoSchedule","key":"node.kubernetes.io/not-ready","timeAdded":"2025-12-18T00:00:00Z"},{"effect":"NoExecute","key":"node.kubernetes.io/not-ready","timeAdded":"2025-12-18T00:00:00Z"}]
        requeue after 50s
        requeue after 50s
    "#]],
    );
}

#[test]
fn taints_go_when_the_node_is_well_and_those_of_others_stay() {
    let mut tainted = node("n1", "True");
    let taint = |key: &str, effect: &str| Taint {
        key: key.into(),
        effect: effect.into(),
        time_added: Some(Time(minutes_ago(1))),
        value: None,
    };
    tainted.spec.as_mut().unwrap().taints = Some(vec![
        taint("node.kubernetes.io/unreachable", "NoExecute"),
        taint("node.kubernetes.io/unreachable", "NoSchedule"),
        taint("example.com/gpu", "NoSchedule"),
    ]);
    check(
        cluster(&tainted, &[]),
        0,
        expect![[r#"
        update Node n1 spec.taints=[{"effect":"NoSchedule","key":"example.com/gpu","timeAdded":"2025-12-17T23:59:00Z"}]
        requeue after 50s
        requeue after 50s
    "#]],
    );
}

#[test]
fn while_all_nodes_are_down_no_pod_is_evicted_and_that_is_looked_at_again() {
    let mut objects = cluster(&node("n1", "False"), &[]);
    objects.insert(&node("other", "Unknown"));
    check(
        objects,
        0,
        expect![[r#"
        update Node n1 spec.taints=[{"effect":"NoSchedule","key":"node.kubernetes.io/not-ready","timeAdded":"2025-12-18T00:00:00Z"}]
        requeue after 5s
        requeue after 5s
    "#]],
    );
}

#[test]
fn a_ready_node_that_does_not_count_is_no_sign_that_we_are_not_cut_off() {
    let mut objects = cluster(&node("n1", "False"), &[]);
    let mut other = node("other", "True");
    other.metadata.labels = Some(fixtures::labels(&[("node.kubernetes.io/exclude-disruption", "")]));
    objects.insert(&other);
    check(
        objects,
        0,
        expect![[r#"
        update Node n1 spec.taints=[{"effect":"NoSchedule","key":"node.kubernetes.io/not-ready","timeAdded":"2025-12-18T00:00:00Z"}]
        requeue after 5s
        requeue after 5s
    "#]],
    );
}

#[test]
fn when_the_last_ready_node_falls_the_others_get_back_what_evicts_their_pods() {
    let mut tainted = node("n1", "Unknown");
    let taint = |effect: &str| Taint {
        key: "node.kubernetes.io/unreachable".into(),
        effect: effect.into(),
        time_added: Some(Time(minutes_ago(1))),
        value: None,
    };
    tainted.spec.as_mut().unwrap().taints = Some(vec![taint("NoSchedule"), taint("NoExecute")]);
    let mut objects = cluster(&tainted, &[]);
    let watches = NodeLifecycle::new(now()).watches();
    let woken = |old: &Node, new: &Node, objects: &Objects| {
        let stored = |node| Some(Arc::new(Stored::from_json(serde_json::to_vec(node).unwrap().into()).unwrap()));
        let delta = Delta { old: stored(old), new: stored(new) };
        let keys = watches.keys(&watches.sources[1], &delta, &View::fixed(objects));
        keys.iter().map(|key| key.name.to_string()).collect::<Vec<_>>()
    };
    let (ready, fallen) = (node("other", "True"), node("other", "False"));
    assert_eq!(woken(&ready, &ready, &objects), [""; 0]);
    objects.insert(&fallen);
    assert_eq!(woken(&ready, &fallen, &objects), ["n1", "other"]);
    assert_eq!(woken(&fallen, &fallen, &objects), [""; 0]);
    check(
        objects,
        0,
        expect![[r#"
            update Node n1 spec.taints=[{"effect":"NoSchedule","key":"node.kubernetes.io/unreachable","timeAdded":"2025-12-17T23:59:00Z"}]
            requeue after 5s
            requeue after 5s
        "#]],
    );
}

#[test]
fn silence_counts_from_when_the_controller_began() {
    paused(async {
        let plan = look(&NodeLifecycle::new(now()), &cluster(&node("n1", "True"), &[]), now());
        expect_plan(
            &plan,
            &expect![[r#"
            event Normal RegisteredNode: Node n1 event: Registered Node n1 in Controller
            requeue after 50s
        "#]],
        );
    });
}

#[test]
fn a_node_of_which_nothing_was_ever_heard_counts_from_its_creation() {
    paused(async {
        let mut young = node("n1", "True");
        (young.status, young.metadata.creation_timestamp) = (None, Some(Time(now() - SignedDuration::from_secs(20))));
        let controller = NodeLifecycle::new(minutes_ago(60));
        let objects = Objects::new(&controller.watches()).with(&young).with(&node("other", "True"));
        assert_eq!(look(&controller, &objects, now()).requeue_after, Some(Duration::from_secs(40)));
    });
}

/// Looks at a node that renews its lease every ten seconds by a clock of its own, and that is not said to be silent.
async fn renews(controller: &NodeLifecycle, objects: &mut Objects, clock: &mut Timestamp, times: u32) {
    for _ in 0..times {
        *clock += SignedDuration::from_secs(10);
        objects.insert(&lease("n1", *clock));
        tokio::time::advance(Duration::from_secs(10)).await;
        let plan = look(controller, objects, now());
        assert!(plan.writes_nothing() && plan.requeue_after == Some(controller.grace), "{plan}");
    }
}

#[test]
fn a_node_whose_clock_is_wrong_is_heard_for_as_long_as_it_renews() {
    paused(async {
        let (controller, mut objects) = (NodeLifecycle::new(minutes_ago(60)), cluster(&node("n1", "True"), &[]));
        let mut behind = minutes_ago(10);
        renews(&controller, &mut objects, &mut behind, 20).await;
        // Its clock is set back, and it is silent from then on.
        behind -= SignedDuration::from_hours(1);
        renews(&controller, &mut objects, &mut behind, 1).await;
        tokio::time::advance(controller.grace).await;
        assert!(!look(&controller, &objects, now()).writes_nothing());
    });
}

#[test]
fn a_renewal_that_is_seen_late_counts_from_when_it_was_given() {
    paused(async {
        let (controller, mut objects) = (NodeLifecycle::new(minutes_ago(60)), cluster(&node("n1", "True"), &[]));
        let mut behind = minutes_ago(10);
        renews(&controller, &mut objects, &mut behind, 1).await;
        objects.insert(&lease("n1", behind + SignedDuration::from_secs(15)));
        tokio::time::advance(controller.grace).await;
        assert_eq!(look(&controller, &objects, now()).requeue_after, Some(Duration::from_secs(15)));
    });
}

#[test]
fn while_the_machine_sleeps_no_node_falls_silent() {
    paused(async {
        let (controller, objects) = (NodeLifecycle::new(minutes_ago(60)), cluster(&node("n1", "True"), &[]));
        look(&controller, &objects, now());
        let woken = look(&controller, &objects, now() + SignedDuration::from_mins(10));
        assert!(woken.writes_nothing() && woken.requeue_after == Some(controller.grace), "{woken}");
    });
}

#[test]
fn nodes_come_and_go_with_an_event_each() {
    paused(async {
        let (controller, mut objects) = (NodeLifecycle::new(minutes_ago(60)), cluster(&node("n1", "True"), &[]));
        look(&controller, &objects, now());
        assert!(look(&controller, &objects, now()).is_empty());
        objects.remove::<Node>(&Key::cluster("n1"));
        expect_plan(
            &look(&controller, &objects, now()),
            &expect![[r#"
            event Normal RemovingNode: Node n1 event: Removing Node n1 from Controller
        "#]],
        );
        assert!(controller.observe(&Key::cluster("n1"), &View::fixed(&objects)).is_none());
    });
}

#[test]
fn a_cordoned_node_is_tainted() {
    let mut cordoned = node("n1", "True");
    cordoned.spec.as_mut().unwrap().unschedulable = Some(true);
    check(
        cluster(&cordoned, &[]),
        0,
        expect![[r#"
        update Node n1 spec.taints=[{"effect":"NoSchedule","key":"node.kubernetes.io/unschedulable","timeAdded":"2025-12-18T00:00:00Z"}]
        requeue after 50s
        requeue after 50s
    "#]],
    );
}
