use super::*;
use crate::fixtures::{self, expect_plan, minutes_ago, now};
use expect_test::{Expect, expect};
use k8s_openapi::{
    api::{
        coordination::v1::LeaseSpec,
        core::v1::{NodeSpec, NodeStatus, Taint},
    },
    apimachinery::pkg::apis::meta::v1::MicroTime,
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

/// A cluster with this node, its lease renewed so many minutes ago, another node that is ready, and pods.
fn cluster(node: &Node, renewed: i64, pods: &[Pod]) -> Objects {
    let controller = NodeLifecycle::new(minutes_ago(60));
    let mut objects = Objects::new(&controller.watches()).with(node).with(&self::node("other", "True"));
    objects.insert(&lease("n1", minutes_ago(renewed)));
    pods.iter().for_each(|pod| objects.insert(pod));
    objects
}

/// Plans for the node `n1` round by round until nothing is left to do.
#[track_caller]
fn check(mut objects: Objects, expect: Expect) {
    let controller = NodeLifecycle::new(minutes_ago(60));
    let mut text = String::new();
    for _ in 0..5 {
        let world = controller.observe(&Key::cluster("n1"), &View::fixed(&objects)).unwrap();
        let plan = controller.plan(&world, now());
        text += &plan.to_string();
        objects.apply(&plan, now());
        if plan.is_empty() {
            break;
        }
    }
    expect.assert_eq(&text);
}

#[test]
fn a_node_that_renews_its_lease_is_left_alone() {
    check(
        cluster(&node("n1", "True"), 0, &[]),
        expect![[r#"
        requeue after 50s
    "#]],
    );
}

#[test]
fn a_silent_node_becomes_unknown_and_is_tainted_and_its_pods_are_not_ready() {
    let pod = fixtures::ready(fixtures::on_node(fixtures::pod("a", "web"), "n1"), minutes_ago(9));
    check(
        cluster(&node("n1", "True"), 3, &[pod]),
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
        cluster(&lost, 3, &[since("before", 3), since("after", 1), since("then", 2)]),
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
        cluster(&silent, 2, &[]),
        expect![[r#"
        status Node n1 conditions[DiskPressure].message="Kubelet never posted node status." conditions[DiskPressure].reason=NodeStatusNeverUpdated conditions[DiskPressure].status=Unknown conditions[MemoryPressure].message="Kubelet never posted node status." conditions[MemoryPressure].reason=NodeStatusNeverUpdated conditions[MemoryPressure].status=Unknown conditions[PIDPressure].message="Kubelet never posted node status." conditions[PIDPressure].reason=NodeStatusNeverUpdated conditions[PIDPressure].status=Unknown conditions[Ready].message="Kubelet never posted node status." conditions[Ready].reason=NodeStatusNeverUpdated conditions[Ready].status=Unknown
        update Node n1 spec.taints=[{"effect":"NoSchedule","key":"node.kubernetes.io/unreachable","timeAdded":"2025-12-18T00:00:00Z"},{"effect":"NoExecute","key":"node.kubernetes.io/unreachable","timeAdded":"2025-12-18T00:00:00Z"}]
    "#]],
    );
}

#[test]
fn a_node_that_says_it_is_not_ready_is_tainted() {
    check(
        cluster(&node("n1", "False"), 0, &[]),
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
        cluster(&tainted, 0, &[]),
        expect![[r#"
        update Node n1 spec.taints=[{"effect":"NoSchedule","key":"example.com/gpu","timeAdded":"2025-12-17T23:59:00Z"}]
        requeue after 50s
        requeue after 50s
    "#]],
    );
}

#[test]
fn while_all_nodes_are_down_no_pod_is_evicted() {
    let mut objects = cluster(&node("n1", "False"), 0, &[]);
    objects.insert(&node("other", "Unknown"));
    check(
        objects,
        expect![[r#"
        update Node n1 spec.taints=[{"effect":"NoSchedule","key":"node.kubernetes.io/not-ready","timeAdded":"2025-12-18T00:00:00Z"}]
        requeue after 50s
        requeue after 50s
    "#]],
    );
}

#[test]
fn silence_counts_from_when_the_controller_began() {
    let controller = NodeLifecycle::new(now());
    let objects = cluster(&node("n1", "True"), 30, &[]);
    let world = controller.observe(&Key::cluster("n1"), &View::fixed(&objects)).unwrap();
    expect_plan(
        &controller.plan(&world, now()),
        &expect![[r#"
        requeue after 50s
    "#]],
    );
}

#[test]
fn a_cordoned_node_is_tainted() {
    let mut cordoned = node("n1", "True");
    cordoned.spec.as_mut().unwrap().unschedulable = Some(true);
    check(
        cluster(&cordoned, 0, &[]),
        expect![[r#"
        update Node n1 spec.taints=[{"effect":"NoSchedule","key":"node.kubernetes.io/unschedulable","timeAdded":"2025-12-18T00:00:00Z"}]
        requeue after 50s
        requeue after 50s
    "#]],
    );
}
