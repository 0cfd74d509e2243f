//! Situations and what the plan makes of them, in the manner of upstream's TestComputePodActions.

use super::{observed::Volumes, *};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use orch_runtime::node::container::{Container, ContainerState, Sandbox};
use serde_json::{Value, json};
use std::time::Duration;

const NOW: i64 = 1_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW + seconds).unwrap()
}

fn pod(spec: Value) -> Pod {
    let meta = json!({"name": "web", "namespace": "default", "uid": "u"});
    serde_json::from_value(json!({"metadata": meta, "spec": spec})).unwrap()
}

fn two() -> Pod {
    pod(json!({"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]}))
}

fn with_init(policy: &str) -> Pod {
    pod(json!({"restartPolicy": policy,
        "initContainers": [{"name": "i1", "image": "i"}, {"name": "i2", "image": "i"}],
        "containers": [{"name": "a", "image": "i"}]}))
}

fn with_sidecar(policy: &str) -> Pod {
    pod(json!({"restartPolicy": policy,
        "initContainers": [{"name": "s", "image": "i", "restartPolicy": "Always"}, {"name": "i", "image": "i"}],
        "containers": [{"name": "a", "image": "i"}]}))
}

fn running() -> ContainerState {
    ContainerState::Running { started_at: at(-100), pid: 1 }
}

fn exited(exit_code: i32) -> ContainerState {
    ContainerState::Exited {
        started_at: at(-100),
        finished_at: at(-5),
        exit_code,
        signal: 0,
        reason: String::new(),
        message: String::new(),
    }
}

fn seen(containers: &[(&str, ContainerState)]) -> Observed {
    let containers = containers
        .iter()
        .map(|(name, state)| Container {
            id: format!("{name}-0"),
            name: (*name).into(),
            image: "i".into(),
            state: state.clone(),
            ..Container::default()
        })
        .collect();
    let sandbox =
        Sandbox { id: "box".into(), ready: true, ips: vec![[10, 0, 0, 1].into()], containers, ..Sandbox::default() };
    Observed { sandboxes: vec![sandbox], volumes: Volumes::Ready, accepted_at: Some(at(-100)), ..Observed::default() }
}

#[track_caller]
fn check(pod: &Pod, seen: &Observed, expected: &[&str]) {
    let plan = plan(pod, seen, at(0));
    let text = plan.to_string();
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_new_pod_gets_volumes_then_a_sandbox() {
    let mut empty = Observed::default();
    check(&two(), &empty, &["prepare volumes"]);
    empty.busy.volumes = true;
    check(&two(), &empty, &[]);
    let ready = Observed { volumes: Volumes::Ready, ..Observed::default() };
    check(&two(), &ready, &["create sandbox #0"]);
}

#[test]
fn containers_start_together_once_the_sandbox_is_there() {
    check(&two(), &seen(&[]), &["start a #0", "start b #0"]);
    let mut busy = seen(&[("a", running())]);
    busy.busy.starting.insert("b".into());
    check(&two(), &busy, &[]);
    check(&two(), &seen(&[("a", running()), ("b", running())]), &[]);
}

#[test]
fn restart_policies_decide_who_runs_again() {
    let policy = |p: &str| {
        pod(json!({"restartPolicy": p, "containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]}))
    };
    let mixed = seen(&[("a", exited(0)), ("b", exited(1))]);
    check(&policy("Always"), &mixed, &["start a #1, then back off 10s", "start b #1, then back off 10s"]);
    check(&policy("OnFailure"), &mixed, &["start b #1, then back off 10s"]);
    check(&policy("Never"), &mixed, &["stop sandbox box", "outcome: completed"]);
}

#[test]
fn a_crashing_container_waits_out_its_back_off() {
    let mut crashing = seen(&[("a", exited(1)), ("b", running())]);
    crashing.backoff.insert("a".into(), Backoff { delay: Duration::from_secs(10), updated: at(-50) });
    let waiting = plan(&two(), &crashing, at(0));
    assert_eq!((waiting.actions.len(), waiting.wake_at), (0, Some(at(5))));
    let due = plan(&two(), &crashing, at(5));
    assert_eq!(due.to_string(), "start a #1, then back off 20s\n");
}

#[test]
fn a_dead_sandbox_is_replaced_after_its_containers_stopped() {
    let mut dead = seen(&[("a", running()), ("b", exited(0))]);
    dead.sandboxes[0].ready = false;
    check(&two(), &dead, &["kill a-0 within 30s: SandboxChanged"]);
    dead.sandboxes[0].containers[0].state = exited(137);
    check(&two(), &dead, &["create sandbox #1"]);
}

#[test]
fn a_dead_sandbox_of_a_finished_pod_stays_dead() {
    let once = pod(json!({"restartPolicy": "Never", "containers": [{"name": "a", "image": "i"}]}));
    let mut dead = seen(&[("a", exited(0))]);
    dead.sandboxes[0].ready = false;
    check(&once, &dead, &["finish", "outcome: completed"]);
}

#[test]
fn init_containers_run_one_after_the_other() {
    let pod = with_init("Always");
    check(&pod, &seen(&[]), &["start i1 #0"]);
    check(&pod, &seen(&[("i1", running())]), &[]);
    check(&pod, &seen(&[("i1", exited(0))]), &["start i2 #0"]);
    check(&pod, &seen(&[("i1", exited(0)), ("i2", exited(3))]), &["start i2 #1, then back off 10s"]);
    check(&pod, &seen(&[("i1", exited(0)), ("i2", exited(0))]), &["start a #0"]);
    check(&pod, &seen(&[("a", exited(0))]), &["start a #1, then back off 10s"]);
}

#[test]
fn a_failed_init_container_ends_a_pod_that_never_restarts() {
    check(&with_init("Never"), &seen(&[("i1", exited(3))]), &["stop sandbox box", "outcome: completed"]);
}

#[test]
fn sidecars_start_before_what_follows_and_stop_after_the_apps() {
    let pod = with_sidecar("Never");
    check(&pod, &seen(&[]), &["start s #0"]);
    check(&pod, &seen(&[("s", running())]), &["start i #0"]);
    check(&pod, &seen(&[("s", running()), ("i", exited(0))]), &["start a #0"]);
    check(&pod, &seen(&[("s", exited(1)), ("i", exited(0)), ("a", running())]), &["start s #1, then back off 10s"]);
    let done = seen(&[("s", running()), ("i", exited(0)), ("a", exited(0))]);
    check(&pod, &done, &["kill s-0 within 30s: PodEnds", "outcome: completed"]);
}

#[test]
fn a_sidecar_with_a_startup_probe_holds_up_the_next_container() {
    let mut pod = with_sidecar("Always");
    let init = pod.spec.as_mut().unwrap().init_containers.as_mut().unwrap();
    init[0].startup_probe = Some(Default::default());
    let mut world = seen(&[("s", running())]);
    check(&pod, &world, &[]);
    world.health.insert("s-0".into(), Health { startup: Some(true), live: true, ready: false });
    check(&pod, &world, &["start i #0"]);
}

#[test]
fn failed_probes_kill_and_an_image_change_does_too() {
    let mut sick = seen(&[("a", running()), ("b", running())]);
    sick.health.insert("a-0".into(), Health { startup: Some(true), live: false, ready: true });
    sick.health.insert("b-0".into(), Health { startup: Some(false), live: true, ready: false });
    check(&two(), &sick, &["kill a-0 within 30s: Liveness", "kill b-0 within 30s: Startup"]);
    let changed = pod(json!({"containers": [{"name": "a", "image": "j"}, {"name": "b", "image": "i"}]}));
    check(&changed, &seen(&[("a", running()), ("b", running())]), &["kill a-0 within 30s: Changed"]);
}

#[test]
fn deletion_stops_containers_then_the_sandbox_then_finishes() {
    let mut pod = two();
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(0)));
    pod.metadata.deletion_grace_period_seconds = Some(7);
    let mut world = seen(&[("a", running()), ("b", exited(0))]);
    check(&pod, &world, &["kill a-0 within 7s: PodEnds"]);
    world.busy.stopping.insert("a-0".into(), at(7));
    check(&pod, &world, &[]);
    pod.metadata.deletion_grace_period_seconds = Some(0);
    check(&pod, &world, &["kill a-0 within 1s: PodEnds"]);
    world.sandboxes[0].containers[0].state = exited(143);
    check(&pod, &world, &["stop sandbox box"]);
    world.sandboxes[0].ready = false;
    check(&pod, &world, &["finish"]);
}

#[test]
fn an_active_deadline_fails_the_pod() {
    let pod = pod(json!({"activeDeadlineSeconds": 60, "containers": [{"name": "a", "image": "i"}]}));
    check(&pod, &seen(&[("a", running())]), &["kill a-0 within 30s: PodEnds", "outcome: DeadlineExceeded"]);
    let mut young = seen(&[("a", running())]);
    young.accepted_at = Some(at(-10));
    assert_eq!(plan(&pod, &young, at(0)).wake_at, Some(at(50)));
}

#[test]
fn old_dead_containers_are_removed_and_one_is_kept_for_its_logs() {
    let mut world = seen(&[("a", exited(1)), ("a", exited(1)), ("a", running()), ("b", running())]);
    for (n, container) in world.sandboxes[0].containers.iter_mut().enumerate() {
        container.id = format!("c{n}");
        container.attempt = n as u32;
    }
    check(&two(), &world, &["remove container c0"]);
}
