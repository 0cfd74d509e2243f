use super::*;
use crate::fixtures::{self, expect_plan, minutes_ago, now};
use expect_test::{Expect, expect};
use k8s_openapi::{
    api::core::v1::{NodeSpec, Taint},
    apimachinery::pkg::apis::meta::v1::Time,
};
use orch_runtime::testing::Objects;

/// A node that is not ready, with this taint.
fn node(taint: &str) -> Node {
    let taint = Taint { key: taint.into(), effect: "NoExecute".into(), ..Taint::default() };
    let spec = NodeSpec { taints: Some(vec![taint]), ..NodeSpec::default() };
    Node { metadata: fixtures::meta("", "n1", ""), spec: Some(spec), status: None }
}

fn pod(name: &str) -> Pod {
    fixtures::on_node(fixtures::pod(name, "web"), "n1")
}

fn ended(name: &str, minutes: i64) -> Pod {
    let mut pod = fixtures::phase(pod(name), "Failed");
    pod.metadata.creation_timestamp = Some(Time(minutes_ago(minutes)));
    pod
}

const GC: PodGarbageCollector = PodGarbageCollector { threshold: 2 };

fn plan(key: &Key, objects: &Objects) -> Plan {
    GC.observe(key, &View::fixed(objects)).map(|world| GC.plan(&world, now())).unwrap_or_default()
}

#[track_caller]
fn check(key: Key, node: Option<Node>, pods: &[Pod], expect: Expect) {
    let mut objects = Objects::new(&GC.watches());
    node.iter().for_each(|node| objects.insert(node));
    pods.iter().for_each(|pod| objects.insert(pod));
    expect_plan(&plan(&key, &objects), &expect);
}

fn of(name: &str) -> Key {
    Key::new("default", name)
}

#[test]
fn pods_of_a_node_that_is_gone_fail_and_go() {
    let done = fixtures::phase(pod("done"), "Succeeded");
    check(
        Key::cluster("n1"),
        None,
        &[pod("runs"), done],
        expect![[r#"
        status Pod default/runs conditions[DisruptionTarget].message="PodGC: node no longer exists" conditions[DisruptionTarget].observedGeneration=1 conditions[DisruptionTarget].reason=DeletionByPodGC conditions[DisruptionTarget].status=True observedGeneration=1 phase=Failed
        delete Pod default/done grace=0s
        delete Pod default/runs grace=0s
    "#]],
    );
}

#[test]
fn pods_of_a_node_that_is_there_stay() {
    check(Key::cluster("n1"), Some(node("x")), &[pod("runs")], expect![[""]]);
}

#[test]
fn a_node_that_only_the_caches_miss_keeps_its_pods() {
    let pods = Vec::new();
    let world = World::Orphans { node: Key::cluster("n1"), pods, exists: true };
    assert!(GC.plan(&world, now()).is_empty());
}

#[test]
fn a_pod_that_was_never_scheduled_goes_at_once() {
    let mut unscheduled = fixtures::deleting(fixtures::pod("a", "web"));
    unscheduled.metadata.finalizers = Some(vec!["example.com/x".into()]);
    check(
        of("a"),
        None,
        &[unscheduled.clone()],
        expect![[r#"
        status Pod default/a observedGeneration=1 phase=Failed
        delete Pod default/a grace=0s
    "#]],
    );
    // Nothing more can be done.
    unscheduled.metadata.deletion_grace_period_seconds = Some(0);
    check(of("a"), None, &[fixtures::phase(unscheduled, "Failed")], expect![[""]]);
}

#[test]
fn a_pod_that_is_to_go_from_a_node_out_of_service_goes() {
    let out = "node.kubernetes.io/out-of-service";
    check(
        of("a"),
        Some(node(out)),
        &[fixtures::deleting(pod("a"))],
        expect![[r#"
        status Pod default/a observedGeneration=1 phase=Failed
        delete Pod default/a grace=0s
    "#]],
    );
    check(of("a"), Some(node("other")), &[fixtures::deleting(pod("a"))], expect![[""]]);
    check(of("a"), Some(node(out)), &[pod("a")], expect![[""]]);
}

#[test]
fn of_too_many_that_have_ended_the_evicted_and_the_oldest_go() {
    let mut evicted = ended("evicted", 1);
    evicted.status.as_mut().unwrap().reason = Some("Evicted".into());
    let pods = [ended("new", 2), ended("old", 9), evicted, ended("older", 20), pod("runs")];
    check(
        all_that_ended(),
        None,
        &pods,
        expect![[r#"
        delete Pod default/evicted grace=0s
        delete Pod default/older grace=0s
    "#]],
    );
    check(all_that_ended(), None, &pods[..2], expect![[""]]);
}
