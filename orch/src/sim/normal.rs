//! [`Normal`]: a state without what may differ between two runs that both went well: generated names, UIDs, times,
//! revisions, addresses, which node a Pod is on.

use super::state::{Seen, State};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fmt};

/// A state, comparable. One line per object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Normal {
    lines: Vec<String>,
}

/// Fields that say when or how often, and not what.
const DROPPED: &[&str] = &[
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "managedFields",
    "generation",
    "observedGeneration",
    "nodeName",
    "podIP",
    "podIPs",
    "hostIP",
    "hostIPs",
    "containerID",
    "imageID",
    "restartCount",
    "lastState",
    "clusterIP",
    "clusterIPs",
    "addresses",
    "images",
    "pod-template-generation",
    "endpoints.kubernetes.io/last-change-trigger-time",
    "controller-uid",
    "batch.kubernetes.io/controller-uid",
    "deprecated.daemonset.template.generation",
];

/// What an autoscaler did last, and why, it forgets with its process.
fn without_history(seen: &Seen, value: &mut Value) {
    if seen.kind == "HorizontalPodAutoscaler" {
        value.as_object_mut().map(|object| object.remove("status"));
    }
}

impl Normal {
    /// The normal form of everything but Nodes, Leases, Events and what the cluster itself begins with.
    pub fn of(state: &State) -> Self {
        Self::with(state, |seen| {
            let mut value = seen.value.clone();
            value.as_object_mut().map(|object| object.remove("apiVersion"));
            without_history(seen, &mut value);
            Some(value)
        })
    }

    /// What must be the same on all ways to one desired state, however many detours they took: no history
    /// (ReplicaSets without Pods, revisions), no words of conditions. What of Pods must be the same depends on who keeps them:
    /// a ReplicaSet that nobody rolls out keeps a number of them, made from whichever template there was.
    pub fn reached(state: &State) -> Self {
        Self::with(state, |seen| {
            if keeps_what_it_made(seen, state) {
                return Some(
                    json!({"status": {"phase": seen.at("/status/phase")}, "ready": seen.has_condition("Ready")}),
                );
            }
            if seen.kind == "ControllerRevision" || (seen.kind == "ReplicaSet" && seen.number("/spec/replicas") == 0) {
                return None;
            }
            let mut value = seen.value.clone();
            value.as_object_mut().map(|object| object.remove("apiVersion"));
            without_history(seen, &mut value);
            if let Some(annotations) = value.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
                annotations
                    .retain(|name, _| !name.starts_with("deployment.kubernetes.io/") && !name.contains("last-change"));
                if annotations.is_empty() {
                    value["metadata"].as_object_mut().map(|meta| meta.remove("annotations"));
                }
            }
            if let Some(status) = value.get_mut("status").and_then(Value::as_object_mut) {
                status.remove("collisionCount");
                // That a Job was suspended once is history.
                let conditions = status.get_mut("conditions").and_then(Value::as_array_mut);
                if let Some(conditions) = conditions {
                    conditions
                        .retain(|condition| !(condition["type"] == "Suspended" && condition["status"] == "False"));
                    for condition in conditions.iter_mut().filter_map(Value::as_object_mut) {
                        condition.retain(|name, _| name == "type" || name == "status");
                    }
                }
            }
            Some(value)
        })
    }

    fn with(state: &State, form: impl Fn(&Seen) -> Option<Value>) -> Self {
        let names: BTreeMap<&str, String> =
            state.all().filter_map(|seen| Some((&*seen.name, stand_in(seen)?))).collect();
        let mut lines: Vec<String> = state
            .all()
            .filter(|seen| is_of_interest(seen))
            .filter_map(|seen| {
                let mut value = form(seen)?;
                if let Some(status) =
                    value.get_mut("status").filter(|_| seen.kind == "Job").and_then(Value::as_object_mut)
                {
                    status.remove("failed"); // How many tries it took.
                }
                let value = normal("", &value, &names);
                let name = names.get(&*seen.name).cloned().unwrap_or_else(|| seen.name.clone());
                Some(format!("{} {}/{name} {value}", seen.kind, seen.namespace))
            })
            .collect();
        lines.sort();
        Self { lines }
    }

    /// What one has and the other has not, in a few lines each; `None` when they are the same.
    pub fn differs(&self, other: &Self) -> Option<String> {
        if self == other {
            return None;
        }
        let mut words = String::new();
        let mut left = other.lines.clone();
        for line in &self.lines {
            match left.iter().position(|known| known == line) {
                Some(at) => drop(left.remove(at)),
                None => words += &explain("here only", line, &other.lines),
            }
        }
        for line in left {
            words += &explain("there only", &line, &self.lines);
        }
        Some(words)
    }

    /// The lines.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

impl fmt::Display for Normal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A line, or where there is one of the same name how it differs from that.
fn explain(what: &str, line: &str, others: &[String]) -> String {
    let parts = |line: &str| {
        let mut parts = line.splitn(3, ' ');
        let name = format!("{} {}", parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let value: Value = parts.next().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        (name, value)
    };
    let (name, value) = parts(line);
    let twin = others.iter().map(|other| parts(other)).find(|(other, _)| *other == name);
    match twin {
        Some((_, twin)) => format!("  {what}: {name}: {}\n", orch_runtime::plan::changes(&twin, &value).join(" ")),
        None => format!("  {what}: {name}\n"),
    }
}

/// Whether a Pod's owner leaves it as it is when its template changes.
fn keeps_what_it_made(pod: &Seen, state: &State) -> bool {
    match pod.controller().filter(|_| pod.kind == "Pod") {
        Some((_, "ReplicationController")) => true,
        Some((uid, "ReplicaSet")) => state.by_uid(uid).is_some_and(|set| set.controller().is_none()),
        _ => false,
    }
}

fn is_of_interest(seen: &Seen) -> bool {
    let system = matches!(&*seen.namespace, "kube-system" | "kube-public" | "kube-node-lease");
    let own = matches!(
        &*seen.kind,
        "Lease"
            | "Event"
            | "Node"
            | "PriorityClass"
            | "ClusterRole"
            | "ClusterRoleBinding"
            | "Namespace"
            | "ServiceCIDR"
            | "IPAddress"
            | "RangeAllocation"
            | "FlowSchema"
            | "PriorityLevelConfiguration"
    ) && !matches!((&*seen.kind, seen.is_deleting()), ("Namespace", true));
    // A Job's Pods are the history of its tries; what came of them is in its status.
    let tries = seen.kind == "Pod" && seen.controller().is_some_and(|(_, kind)| kind == "Job");
    !system && !own && !tries && seen.name != "kube-root-ca.crt" && seen.name != "kubernetes"
}

/// What stands for a generated name.
fn stand_in(seen: &Seen) -> Option<String> {
    if seen.kind == "PersistentVolume" && seen.name.starts_with("pvc-") {
        // Named for the UID of the claim that it was made for.
        return Some(format!("pvc-{}-*", seen.text("/spec/claimRef/name")));
    }
    if seen.kind == "IPAddress" {
        // Named for the address that chance gave to its Service.
        return Some(format!("ip of {}", seen.text("/spec/parentRef/name")));
    }
    let prefix = seen.text("/metadata/generateName");
    (!prefix.is_empty()).then(|| format!("{prefix}*"))
}

fn normal(field: &str, value: &Value, names: &BTreeMap<&str, String>) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(name, _)| !DROPPED.contains(&name.as_str()));
            let mut kept: Map<String, Value> =
                kept.map(|(name, value)| (name.clone(), normal(name, value, names))).collect();
            // None, and none that counts, are the same.
            kept.retain(|name, value| name != "annotations" || value.as_object().is_none_or(|map| !map.is_empty()));
            Value::Object(kept)
        }
        Value::Array(list) => {
            let mut list: Vec<Value> = list.iter().map(|item| normal(field, item, names)).collect();
            if matches!(field, "endpoints" | "conditions") {
                list.sort_by_key(ToString::to_string);
            }
            Value::Array(list)
        }
        Value::String(text) => Value::String(words(text, names)),
        other => other.clone(),
    }
}

/// A text with stand-ins for generated names and times.
fn words(text: &str, names: &BTreeMap<&str, String>) -> String {
    if let Some(stand_in) = names.get(text) {
        return stand_in.clone();
    }
    if text.parse::<jiff::Timestamp>().is_ok() {
        return "T".into();
    }
    // Which node a volume is on, and where it is there, says its name.
    if text.strip_prefix("node-").is_some_and(|number| number.parse::<u32>().is_ok()) {
        return "node-*".into();
    }
    if let Some((directory, name)) = text.rsplit_once('/')
        && let Some(stand_in) = names.get(name)
    {
        return format!("{directory}/{stand_in}");
    }
    // Admission draws the name of the volume with the token.
    if text.starts_with("kube-api-access-") {
        return "kube-api-access-*".into();
    }
    if !text.contains(' ') {
        return text.to_owned();
    }
    let words = text.split(' ').map(|word| {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        names.get(bare).map_or_else(|| word.to_owned(), |stand_in| word.replace(bare, stand_in))
    });
    words.collect::<Vec<_>>().join(" ")
}
