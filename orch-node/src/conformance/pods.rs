//! Pods whose fate every runtime must bring about alike. Whoever has an agent and an API server creates each
//! [`Case`] and waits for its phase.

use serde_json::{Value, json};

/// A pod and what becomes of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The pod's name.
    pub name: &'static str,
    /// The pod, without a node.
    pub pod: Value,
    /// The phase that it reaches.
    pub phase: &'static str,
    /// The exit code of its first container, once that has ended.
    pub exit_code: Option<i32>,
}

/// Every case. `image` and `command` are those of the runtime, as in [`super::Fixture`].
pub fn all(image: &str, command: fn(&[&str]) -> Vec<String>) -> Vec<Case> {
    let ends = |code: &str| json!({"simulated.orch.dev/run": "0.1", "simulated.orch.dev/exit-code": code});
    let container = |words: &[&str]| json!({"name": "main", "image": image, "command": command(words)});
    let case = |name, annotations: Value, spec: Value, phase, exit_code| Case {
        name,
        pod: json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "annotations": annotations}, "spec": spec}),
        phase,
        exit_code,
    };
    let once = |words: &[&str]| json!({"restartPolicy": "Never", "containers": [container(words)]});
    vec![
        case("runs", json!({}), json!({"containers": [container(&["sleep", "1000"])]}), "Running", None),
        case("succeeds", ends("0"), once(&["exit", "0"]), "Succeeded", Some(0)),
        case("fails", ends("3"), once(&["exit", "3"]), "Failed", Some(3)),
        case(
            "initializes",
            json!({"simulated.orch.dev/run.init": "0.1"}),
            json!({"containers": [container(&["sleep", "1000"])],
                "initContainers": [{"name": "init", "image": image, "command": command(&["exit", "0"])}]}),
            "Running",
            None,
        ),
        case(
            "overdue",
            json!({}),
            json!({"restartPolicy": "Never", "activeDeadlineSeconds": 1, "terminationGracePeriodSeconds": 1,
                "containers": [container(&["sleep", "1000"])]}),
            "Failed",
            Some(143),
        ),
    ]
}
