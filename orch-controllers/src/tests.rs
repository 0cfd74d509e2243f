use super::*;
use crate::fixtures::{self, minutes_ago, now};
use k8s_openapi::api::core::v1::{Node, NodeCondition, NodeSpec, NodeStatus, Service, ServiceSpec, Taint};
use orch_runtime::testing::{Objects, laws};

fn loops() -> Vec<Arc<dyn ControlLoop>> {
    let mut config = Config::new(Arc::new(Vec::new()), "PEM".into(), Clock::system());
    config.since = minutes_ago(60);
    all(&config)
}

/// A cluster with something for every controller: whole, begun, broken and ending.
fn cluster() -> Objects {
    let mut objects = Objects::default()
        .with(&fixtures::namespace("demo"))
        .with(&fixtures::deleting(fixtures::namespace("ending")))
        .with(&fixtures::deployment("fresh", 3))
        .with(&fixtures::deleting(fixtures::deployment("ending", 3)))
        .with(&fixtures::replica_set("few", 5))
        .with(&fixtures::replica_set("many", 1))
        .with(&fixtures::deleting(fixtures::replica_set("ending", 2)))
        .with(&fixtures::job("fresh", 3))
        .with(&fixtures::job("half", 5))
        .with(&fixtures::job("done", 1))
        .with(&fixtures::deleting(fixtures::job("ending", 2)))
        .with(&fixtures::cron_job("hourly", "0 * * * *"))
        .with(&fixtures::cron_job("never", "0 0 31 12 *"))
        .with(&fixtures::deleting(fixtures::cron_job("ending", "* * * * *")))
        .with(&fixtures::deleting(fixtures::pod("forsaken", "nothing")))
        .with(&fixtures::stateful_set("fresh", 2))
        .with(&fixtures::deleting(fixtures::stateful_set("ending", 2)))
        .with(&fixtures::daemon_set("fresh"))
        .with(&fixtures::deleting(fixtures::daemon_set("ending")))
        .with(&service("web"));
    for (i, phase) in ["Running", "Succeeded", "Failed"].into_iter().enumerate() {
        for (name, completions) in [("half", 5), ("done", 1), ("ending", 2)] {
            let pod = fixtures::pod_of_job(&format!("{name}-{i}"), &fixtures::job(name, completions));
            objects.insert(&fixtures::phase(pod, phase));
        }
    }
    for i in 0..4 {
        let pod = fixtures::pod_of_set(&format!("many-{i}"), &fixtures::replica_set("many", 1));
        objects.insert(&fixtures::ready(fixtures::on_node(pod, "silent"), minutes_ago(i)));
        let pod = fixtures::on_node(fixtures::pod(&format!("web-{i}"), "web"), "tainted");
        objects.insert(&fixtures::with_ip(fixtures::ready(pod, minutes_ago(i)), &format!("10.0.0.{i}")));
        objects.insert(&fixtures::pod(&format!("orphan-{i}"), "few"));
    }
    objects.with(&node("well", &[])).with(&node("silent", &[])).with(&node("tainted", &["NoExecute"]))
}

fn service(name: &str) -> Service {
    let selector = Some(fixtures::labels(&[("app", name)]));
    let spec = ServiceSpec { cluster_ip: Some("10.96.0.1".into()), selector, ..ServiceSpec::default() };
    Service { metadata: fixtures::meta("default", name, "service"), spec: Some(spec), status: None }
}

fn node(name: &str, taints: &[&str]) -> Node {
    let taint = |effect: &&str| Taint { key: "example.com/x".into(), effect: (*effect).into(), ..Taint::default() };
    let heartbeat = if name == "silent" { minutes_ago(30) } else { now() };
    let condition = NodeCondition {
        type_: "Ready".into(),
        status: "True".into(),
        last_heartbeat_time: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(heartbeat)),
        ..NodeCondition::default()
    };
    let taints = (!taints.is_empty()).then(|| taints.iter().map(taint).collect());
    Node {
        metadata: fixtures::meta("", name, &format!("node-{name}")),
        spec: Some(NodeSpec { taints, ..NodeSpec::default() }),
        status: Some(NodeStatus { conditions: Some(vec![condition]), ..NodeStatus::default() }),
    }
}

#[test]
fn every_loop_has_a_name_of_its_own() {
    laws::names_are_unique(&loops());
}

#[test]
fn every_controller_obeys_the_laws() {
    laws::check_all(&loops(), &cluster(), now());
}

#[test]
fn the_table_of_controllers_is_current() {
    expect_test::expect_file!["../../docs/controllers.md"].assert_eq(&table(&loops()));
}
