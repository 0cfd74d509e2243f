//! Warnings that go with an accepted object (`WarningsOnCreate`, `WarningsOnUpdate` of the strategies).

mod pod;
mod service;

use super::meta_int;
use crate::{
    access::texts,
    kind::Kind,
    names::qualified_name,
    quantity::Quantity,
    validation::{
        at::{At, Run},
        names::dns_label,
    },
};
use serde_json::Value;

/// What the writer of an object should know although it was accepted. `old` is there on updates.
pub fn warnings(kind: &Kind, new: &Value, old: Option<&Value>) -> Vec<String> {
    let generation = |object: &Value| object.as_object().map(|o| meta_int(o, "generation"));
    let is_changed = old.is_none_or(|old| generation(old) != generation(new));
    let run = Run::default();
    let (at, is_new) = (run.root(new), old.is_none());
    let mut out = Vec::new();
    let schedule = at.at("spec").at("schedule");
    if kind.kind == "CronJob" && kind.group == "batch" && !is_new && schedule.str().contains("TZ") {
        let see = "see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details";
        out.push(format!("cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, {see}"));
    }
    match (&*kind.group, &*kind.kind) {
        ("", "Pod") if is_new => {
            name(at, "this is used in the Pod's hostname", &mut out);
            pod::pod(at, false, &mut out);
        }
        ("", "Service") => service::service(at, &mut out),
        ("", "PersistentVolumeClaim") => claim(at.at("spec"), &mut out),
        ("", "PodTemplate" | "ReplicationController") | ("apps", _) | ("batch", _) if is_changed => {
            workload(kind, at, is_new, &mut out);
        }
        ("networking.k8s.io", "Ingress") if is_new => ingress(at, &mut out),
        _ if kind.custom.is_some() => finalizers(new, old, &mut out),
        _ => {}
    }
    out
}

/// Finalizers that a custom object gets (`registry/customresource/validator.go`).
fn finalizers(new: &Value, old: Option<&Value>, out: &mut Vec<String>) {
    const STANDARD: [&str; 3] = ["orphan", "foregroundDeletion", "kubernetes"];
    let before: Vec<&str> = old.map(|old| texts(old, "metadata.finalizers").collect()).unwrap_or_default();
    let mut added: Vec<&str> = texts(new, "metadata.finalizers").filter(|name| !before.contains(name)).collect();
    added.sort_unstable();
    added.dedup();
    for name in added {
        let mut say = |words: &str| out.push(format!("metadata.finalizers: {name:?}: {words}"));
        qualified_name(name).iter().for_each(|fault| say(fault));
        if !name.contains('/') && !STANDARD.contains(&name) {
            let path = if name.contains('.') { " including a path (/)" } else { "" };
            say(&format!(
                "prefer a domain-qualified finalizer name{path} to avoid accidental conflicts with other finalizer writers"
            ));
        }
    }
}

fn workload(kind: &Kind, at: At<'_>, is_new: bool, out: &mut Vec<String>) {
    let has_plain_names =
        matches!(&*kind.kind, "Deployment" | "ReplicaSet" | "ReplicationController" | "Job" | "CronJob");
    if is_new && has_plain_names {
        name(at, "this is used in Pod names and hostnames", out);
    }
    let spec = match &*kind.kind {
        "PodTemplate" => at,
        "CronJob" => at.at("spec").at("jobTemplate").at("spec"),
        _ => at.at("spec"),
    };
    if kind.group == "batch" {
        job(spec, out);
    }
    pod::pod(spec.at("template"), true, out);
    spec.at("volumeClaimTemplates").items().for_each(|template| claim(template.at("spec"), out));
    if kind.kind == "StatefulSet" && spec.at("revisionHistoryLimit").int().is_some_and(|n| n < 0) {
        let words = "a negative value retains all historical revisions; a value >= 0 is recommended";
        out.push(format!("spec.revisionHistoryLimit: {words}"));
    }
}

fn job(spec: At<'_>, out: &mut Vec<String>) {
    let count = |field| spec.at(field).int().unwrap_or_default();
    let is_indexed = spec.at("completionMode").str() == "Indexed";
    if is_indexed && count("completions") > 100_000 && count("parallelism") > 10_000 {
        let words = "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, \
            Kubernetes might not be able to track completedIndexes when a big number of indexes fail";
        out.push(format!("{}: {words}", spec.path()));
    }
}

fn name(at: At<'_>, why: &str, out: &mut Vec<String>) {
    let complaints = dns_label(at.at("metadata").at("name").str());
    if !complaints.is_empty() {
        let complaints = complaints.join(" ");
        out.push(format!(
            "metadata.name: {why}, which can result in surprising behavior; a DNS label is recommended: [{complaints}]"
        ));
    }
}

fn claim(spec: At<'_>, out: &mut Vec<String>) {
    for list in ["requests", "limits"] {
        whole_bytes(spec.at("resources").at(list).key("storage"), out);
    }
}

/// Bytes come whole.
fn whole_bytes(amount: At<'_>, out: &mut Vec<String>) {
    if amount.value().and_then(Quantity::of).is_some_and(|a| !a.is_whole()) {
        let text = amount.str();
        out.push(format!("{}: fractional byte value {text:?} is invalid, must be an integer", amount.path()));
    }
}

fn ingress(at: At<'_>, out: &mut Vec<String>) {
    let annotation = "kubernetes.io/ingress.class";
    if at.at("metadata").at("annotations").at(annotation).is_set() && !at.at("spec").at("ingressClassName").is_set() {
        out.push(format!("annotation {annotation:?} is deprecated, please use 'spec.ingressClassName' instead"));
    }
}
