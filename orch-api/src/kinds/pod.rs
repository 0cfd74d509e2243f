//! Pods, whose columns are the most read ones of all.

use super::{
    cells::{NONE, is_deleting, is_true, text_or},
    core::CORE,
    row::{Row, named, text, wide},
};
use crate::{
    access::{boolean, get, integer, list, text as field},
    duration,
    key::Gvk,
    kind::Kind,
    time,
};
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) fn kind() -> Kind {
    let connect: &'static [&'static str] = &["create", "get"];
    let options = |kind: &'static str| Gvk::of("", "v1", kind);
    let kind = CORE.namespaced("Pod", "pods").short(&["po"]).categories(&["all"]);
    let pod = kind.gvk();
    kind.sub("attach", options("PodAttachOptions"), connect)
        .sub("binding", options("Binding"), &["create"])
        .part("ephemeralcontainers")
        .sub("eviction", Gvk::of("policy", "v1", "Eviction"), &["create"])
        .sub("exec", options("PodExecOptions"), connect)
        .sub("log", pod, &["get"])
        .sub("portforward", options("PodPortForwardOptions"), connect)
        .sub("proxy", options("PodProxyOptions"), &["create", "delete", "get", "patch", "update"])
        .part("resize")
        .status()
        .columns(columns())
        .selectable(&["spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName"])
        .selectable_by("spec.hostNetwork", |o| boolean(o, "spec.hostNetwork").to_string())
        .selectable(&["status.phase"])
        .selectable_by("status.podIP", first_ip)
        .selectable_by("status.podIPs", first_ip)
        .selectable(&["status.nominatedNodeName"])
}

/// The conditions of a table row: a pod that has ended says so, for clients that grey it out.
pub fn row_conditions(pod: &Value) -> Option<Value> {
    let (reason, message) = match field(pod, "status.phase") {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!([{"type": "Completed", "status": "True", "reason": reason, "message": message}]))
}

fn columns() -> Vec<crate::kind::Column> {
    let restarts = "The number of times the containers in this pod have been restarted and when the last container in \
         this pod has restarted.";
    let mut columns = named([
        text("Ready", "The aggregate readiness state of this pod for accepting traffic.", |o, _| {
            let summary = Summary::of(o);
            Value::from(format!("{}/{}", summary.ready, summary.total))
        }),
        text("Status", "The aggregate status of the containers in this pod.", |o, _| Summary::of(o).reason.into()),
        text("Restarts", restarts, |o, now| Summary::of(o).restarts(now).into()),
    ]);
    columns.extend(
        [
            text("IP", "The address of the pod inside of the cluster.", |o, _| {
                let ip = first_ip(o);
                Value::from(if ip.is_empty() { NONE.to_owned() } else { ip })
            }),
            text("Node", "The node on which the pod runs.", |o, _| text_or(o, "spec.nodeName", NONE)),
            text("Nominated Node", "The node that is being cleared for the pod.", |o, _| {
                text_or(o, "status.nominatedNodeName", NONE)
            }),
            text("Readiness Gates", "Conditions that must hold for the pod to be ready.", |o, _| readiness_gates(o)),
        ]
        .map(wide),
    );
    columns
}

fn first_ip(pod: &Value) -> String {
    list(pod, "status.podIPs").first().map(|ip| field(ip, "ip")).unwrap_or_default().to_owned()
}

fn readiness_gates(pod: &Value) -> Value {
    let gates = list(pod, "spec.readinessGates");
    if gates.is_empty() {
        return Value::from(NONE);
    }
    let open = gates.iter().filter(|gate| is_true(pod, field(gate, "conditionType"))).count();
    Value::from(format!("{open}/{}", gates.len()))
}

/// What the columns Ready, Status and Restarts say of a pod.
struct Summary {
    ready: usize,
    total: usize,
    reason: String,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

impl Summary {
    fn of(pod: &Value) -> Self {
        let sidecars = list(pod, "spec.initContainers").iter().filter(|c| is_sidecar(c)).count();
        let mut summary = Self {
            ready: 0,
            total: list(pod, "spec.containers").len() + sidecars,
            reason: pod_reason(pod),
            restarts: 0,
            last_restart: None,
        };
        let initializing = summary.add_init_containers(pod);
        if !initializing || is_true(pod, "Initialized") {
            summary.restart_with_sidecars(pod);
            summary.add_containers(pod);
        }
        if is_deleting(pod) {
            if field(pod, "status.reason") == "NodeLost" {
                summary.reason = "Unknown".into();
            } else if !matches!(field(pod, "status.phase"), "Succeeded" | "Failed") {
                summary.reason = "Terminating".into();
            }
        }
        summary
    }

    fn restarts(&self, now: Timestamp) -> String {
        match self.last_restart {
            Some(last) if self.restarts != 0 => {
                format!("{} ({} ago)", self.restarts, duration::between(last, now))
            }
            _ => self.restarts.to_string(),
        }
    }

    /// Walks the init containers up to the first that holds the pod up. Answers whether there is one.
    fn add_init_containers(&mut self, pod: &Value) -> bool {
        let specs = list(pod, "spec.initContainers");
        for (i, status) in list(pod, "status.initContainerStatuses").iter().enumerate() {
            self.count_restarts(status);
            let sidecar = specs.iter().any(|c| field(c, "name") == field(status, "name") && is_sidecar(c));
            if let Some(ended) = get(status, "state.terminated") {
                if integer(ended, "exitCode") == 0 {
                    continue;
                }
            }
            if sidecar && boolean(status, "started") {
                self.ready += usize::from(boolean(status, "ready"));
                continue;
            }
            let waiting = field(status, "state.waiting.reason");
            self.reason = match get(status, "state.terminated") {
                Some(ended) => format!("Init:{}", ended_reason(ended)),
                None if !matches!(waiting, "" | "PodInitializing") => format!("Init:{waiting}"),
                None => format!("Init:{i}/{}", specs.len()),
            };
            return true;
        }
        false
    }

    /// Once the pod is initialized, only its sidecars' restarts count beside those of its containers.
    fn restart_with_sidecars(&mut self, pod: &Value) {
        (self.restarts, self.last_restart) = (0, None);
        let specs = list(pod, "spec.initContainers");
        for status in list(pod, "status.initContainerStatuses") {
            if specs.iter().any(|c| field(c, "name") == field(status, "name") && is_sidecar(c)) {
                self.count_restarts(status);
            }
        }
    }

    fn add_containers(&mut self, pod: &Value) {
        let (mut running, mut error) = (false, None);
        for status in list(pod, "status.containerStatuses").iter().rev() {
            self.count_restarts(status);
            let waiting = field(status, "state.waiting.reason");
            if !waiting.is_empty() {
                self.reason = waiting.to_owned();
            } else if let Some(ended) = get(status, "state.terminated") {
                self.reason = ended_reason(ended);
                if integer(ended, "exitCode") != 0 {
                    error = Some(self.reason.clone());
                }
            } else if boolean(status, "ready") && get(status, "state.running").is_some() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" {
            self.reason = match error {
                _ if running && is_true(pod, "Ready") => "Running".into(),
                Some(error) => error,
                None if running => "NotReady".into(),
                None => "Completed".into(),
            };
        }
    }

    fn count_restarts(&mut self, status: &Value) {
        self.restarts += integer(status, "restartCount");
        let ended = get(status, "lastState.terminated.finishedAt").and_then(time::read);
        self.last_restart = self.last_restart.max(ended);
    }
}

fn pod_reason(pod: &Value) -> String {
    let gated = list(pod, "status.conditions")
        .iter()
        .any(|c| field(c, "type") == "PodScheduled" && field(c, "reason") == "SchedulingGated");
    match (gated, field(pod, "status.reason")) {
        (true, _) => "SchedulingGated".into(),
        (false, "") => field(pod, "status.phase").into(),
        (false, reason) => reason.into(),
    }
}

/// Why a container ended: its reason, else its signal, else its exit code.
fn ended_reason(ended: &Value) -> String {
    match (field(ended, "reason"), integer(ended, "signal")) {
        ("", 0) => format!("ExitCode:{}", integer(ended, "exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.into(),
    }
}

/// An init container that runs beside the containers.
fn is_sidecar(container: &Value) -> bool {
    field(container, "restartPolicy") == "Always"
}
