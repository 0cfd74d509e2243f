use super::*;
use crate::pod::observed::Volumes;
use k8s_openapi::api::core::v1::PodCondition;
use orch_runtime::node::container::{Container, ContainerState, Sandbox};
use serde_json::{Value, json};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn pod(spec: Value, status: Value) -> Pod {
    let meta = json!({"name": "web", "namespace": "default", "uid": "u", "generation": 4});
    serde_json::from_value(json!({"metadata": meta, "spec": spec, "status": status})).unwrap()
}

fn seen(containers: &[(&str, ContainerState)]) -> Observed {
    let containers = containers.iter().map(|(name, state)| Container {
        id: format!("{name}-0"),
        name: (*name).into(),
        image: "i".into(),
        state: state.clone(),
        ..Container::default()
    });
    let containers = containers.collect();
    let sandbox = Sandbox { ready: true, ips: vec![[10, 0, 0, 1].into()], containers, ..Sandbox::default() };
    Observed { sandboxes: vec![sandbox], volumes: Volumes::Ready, accepted_at: Some(at(-9)), ..Observed::default() }
}

fn running() -> ContainerState {
    ContainerState::Running { started_at: at(-5), pid: 1 }
}

fn condition(status: &PodStatus, kind: &str) -> PodCondition {
    status.conditions.iter().flatten().find(|c| c.type_ == kind).unwrap().clone()
}

fn run(pod: &Pod, seen: &Observed) -> PodStatus {
    generate(pod, seen, &[[192, 168, 0, 1].into()], "test", at(0))
}

#[test]
fn unmet_readiness_gates_hold_a_ready_pod_back_and_foreign_conditions_stay() {
    let spec = json!({"containers": [{"name": "a"}], "readinessGates": [{"conditionType": "x/y"}]});
    let status = run(&pod(spec.clone(), json!({})), &seen(&[("a", running())]));
    let ready = condition(&status, "Ready");
    assert_eq!((ready.status.as_str(), ready.reason.as_deref()), ("False", Some("ReadinessGatesNotReady")));
    let words = "corresponding condition of pod readiness gate \"x/y\" does not exist.";
    assert_eq!(ready.message.as_deref(), Some(words));
    let given =
        json!({"conditions": [{"type": "x/y", "status": "True"}, {"type": "DisruptionTarget", "status": "True"}]});
    let status = run(&pod(spec, given), &seen(&[("a", running())]));
    assert_eq!(condition(&status, "Ready").status, "True");
    assert_eq!(condition(&status, "DisruptionTarget").status, "True");
}

#[test]
fn transition_times_move_only_when_a_condition_does() {
    let before =
        json!({"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2001-01-01T00:00:00Z"}]});
    let spec = json!({"containers": [{"name": "a"}]});
    let time = |seen: &Observed| {
        condition(&run(&pod(spec.clone(), before.clone()), seen), "Ready").last_transition_time.unwrap().0
    };
    assert_eq!(time(&seen(&[("a", running())])).to_string(), "2001-01-01T00:00:00Z");
    assert_eq!(time(&seen(&[])), at(0));
}

#[test]
fn containers_wait_for_their_reasons() {
    let spec = json!({"containers": [{"name": "a"}], "initContainers": [{"name": "i"}]});
    let status = run(&pod(spec, json!({})), &seen(&[("i", running())]));
    let reason =
        |s: &[k8s_openapi::api::core::v1::ContainerStatus]| s[0].state.clone().unwrap().waiting.unwrap().reason;
    assert_eq!(reason(status.container_statuses.as_ref().unwrap()).as_deref(), Some("PodInitializing"));
    assert_eq!(status.phase.as_deref(), Some("Pending"));
    let initialized = condition(&status, "Initialized");
    assert_eq!(initialized.message.as_deref(), Some("containers with incomplete status: [i]"));
    assert_eq!((initialized.observed_generation, status.observed_generation), (Some(4), Some(4)));
    let status = run(&pod(json!({"containers": [{"name": "a"}]}), json!({})), &Observed::default());
    assert_eq!(reason(status.container_statuses.as_ref().unwrap()).as_deref(), Some("ContainerCreating"));
}

#[test]
fn a_final_phase_is_final_and_a_deadline_fails_the_pod() {
    let spec = json!({"containers": [{"name": "a"}]});
    let status = run(&pod(spec.clone(), json!({"phase": "Succeeded"})), &seen(&[("a", running())]));
    assert_eq!(status.phase.as_deref(), Some("Succeeded"));
    let mut over = seen(&[]);
    over.outcome = Some(Outcome::Failed { reason: "DeadlineExceeded".into(), message: "too long".into() });
    let status = run(&pod(spec, json!({})), &over);
    assert_eq!((status.phase.as_deref(), status.reason.as_deref()), (Some("Failed"), Some("DeadlineExceeded")));
    assert_eq!(condition(&status, "ContainersReady").reason.as_deref(), Some("PodFailed"));
}
