//! Job (`pkg/apis/batch/validation`).

use super::{
    at::At,
    job_policy, job_status,
    names::{dns_label, dns_subdomain},
    pod,
    selector::{label_selector, matches, selects},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// A new Job.
pub(super) fn job(job: At<'_>) {
    named_and_selected(job, true);
    job_spec(job.at("spec"));
}

fn named_and_selected(job: At<'_>, has_prefixed_labels: bool) {
    generated_selector(job, has_prefixed_labels);
    let (name, completions) =
        (job.at("metadata").at("name"), job.at("spec").at("completions").int().unwrap_or_default());
    if job.at("spec").at("completionMode").str() == "Indexed" && completions > 0 {
        let longest = format!("{}-{}", name.str(), completions - 1);
        if !dns_label(&longest).is_empty() {
            name.invalid(format!("will not able to create pod with invalid DNS label: {longest}"));
        }
    }
}

const UID: &str = "batch.kubernetes.io/controller-uid";
const NAME: &str = "batch.kubernetes.io/job-name";

/// Unless the Job brings its own selector, template and selector name the Job by UID and name. Jobs from before 1.27 have
/// no labels with a prefix.
fn generated_selector(job: At<'_>, has_prefixed_labels: bool) {
    let (meta, spec) = (job.at("metadata"), job.at("spec"));
    if spec.at("manualSelector").flag() || !spec.at("selector").is_set() {
        return;
    }
    meta.at("uid").require("");
    let labels = spec.at("template").at("metadata").at("labels");
    let names = [("controller-uid", "uid"), ("job-name", "name"), (UID, "uid"), (NAME, "name")];
    let expected: BTreeMap<&str, &str> = names
        .iter()
        .take(if has_prefixed_labels { 4 } else { 2 })
        .map(|(key, field)| (*key, meta.at(field).str()))
        .collect();
    for (key, _) in names.iter().take(expected.len()) {
        let (label, expected) = (labels.key(key), expected.get(key).copied().unwrap_or_default());
        if !label.is_set() {
            label.required(format!("must be '{expected}'"));
        } else if label.str() != expected {
            labels.key(key).invalid_as(labels.value().cloned().unwrap_or_default(), format!("must be '{expected}'"));
        }
    }
    if !selects(spec.at("selector"), |key| expected.get(key).copied()) {
        spec.at("selector").invalid("`selector` not auto-generated");
    }
}

fn job_spec(spec: At<'_>) {
    template_spec(spec);
    let (selector, labels) = (spec.at("selector"), spec.at("template").at("metadata").at("labels"));
    if selector.is_set() {
        label_selector(selector);
    } else {
        selector.required("");
    }
    if !selector.is_set() || !matches(selector, labels) {
        labels
            .invalid_as(labels.value().cloned().unwrap_or(Value::Null), "`selector` does not match template `labels`");
    }
}

/// A Job's spec as a CronJob has it: without what is generated.
pub(super) fn template_spec(spec: At<'_>) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        spec.at(field).non_negative();
    }
    if spec.at("maxFailedIndexes").is_set() && !spec.at("backoffLimitPerIndex").is_set() {
        spec.at("backoffLimitPerIndex").required("when maxFailedIndexes is specified");
    }
    managed_by(spec.at("managedBy"));
    spec.at("completionMode").one_of(&["NonIndexed", "Indexed"]);
    if spec.at("completionMode").str() == "Indexed" {
        indexed(spec);
    } else {
        for field in ["backoffLimitPerIndex", "maxFailedIndexes", "successPolicy"] {
            if spec.at(field).is_set() {
                spec.at(field).invalid("requires indexed completion mode");
            }
        }
    }
    job_policy::failure(spec);
    let replacement = spec.at("podReplacementPolicy");
    let has_policy = spec.at("podFailurePolicy").is_set();
    replacement.one_of(if has_policy { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] });
    pod::template(spec.at("template"));
    let restart = spec.at("template").at("spec").at("restartPolicy");
    match restart.str() {
        "Always" | "" => restart.required("valid values: \"OnFailure\", \"Never\""),
        "OnFailure" if has_policy => restart.invalid("only \"Never\" is supported when podFailurePolicy is specified"),
        "OnFailure" | "Never" => {}
        _ => restart.not_supported(&["OnFailure", "Never"]),
    }
}

fn managed_by(by: At<'_>) {
    if !by.is_set() || !by.require("") {
        return;
    }
    match by.str().split_once('/').filter(|(host, path)| !host.is_empty() && !path.is_empty()) {
        None => by.invalid("must be a domain-prefixed path (such as \"acme.io/foo\")"),
        Some((host, _)) => dns_subdomain(host).into_iter().for_each(|message| by.invalid_as(host, message)),
    }
    if by.str().len() > 63 {
        by.too_long(63);
    }
}

fn indexed(spec: At<'_>) {
    let (completions, parallelism) = (spec.at("completions"), spec.at("parallelism"));
    let failed = spec.at("maxFailedIndexes");
    if !completions.is_set() {
        completions.required("when completion mode is Indexed");
    }
    if parallelism.int().is_some_and(|n| n > 100_000) {
        parallelism.invalid("must be less than or equal to 100000 when completion mode is Indexed");
    }
    if failed.int().zip(completions.int()).is_some_and(|(failed, all)| failed > all) {
        failed.invalid("must be less than or equal to completions");
    }
    if failed.int().is_some_and(|n| n > 100_000) {
        failed.invalid("must be less than or equal to 100000");
    }
    if completions.int().is_some_and(|n| n > 100_000) && spec.at("backoffLimitPerIndex").is_set() {
        if !failed.is_set() {
            failed.required("must be specified when completions is above 100000");
        }
        for bound in [parallelism, failed].into_iter().filter(|at| at.int().is_some_and(|n| n > 10_000)) {
            bound.invalid(
                "must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index",
            );
        }
    }
    job_policy::success(spec);
}

/// An update of a Job: what it does stays. A Job that is suspended, with no pods left, may still choose where its pods run
/// and what they need.
pub(super) fn job_updated<'a>(new: At<'a>, old: At<'a>) {
    let (spec, before) = (new.at("spec"), old.at("spec"));
    let labels_before = before.at("template").at("metadata").at("labels");
    named_and_selected(new, [UID, NAME].iter().all(|key| labels_before.key(key).is_set()));
    job_spec(spec);
    let (completions, completions_before) = (spec.at("completions"), before.at("completions"));
    if spec.at("completionMode").str() != "Indexed" {
        completions.immutable(completions_before);
    } else if completions.is_set() && !completions.same(completions_before) && !completions.same(spec.at("parallelism"))
    {
        completions.invalid("can only be modified in tandem with spec.parallelism");
    }
    spec.at("selector").immutable(before.at("selector"));
    template_stays(spec.at("template"), before.at("template"), old);
    for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        spec.at(field).immutable(before.at(field));
    }
}

/// What the template says of where pods run may change while the Job is suspended and has no pods, and what containers
/// need (KEP-2926, KEP-5440).
fn template_stays<'a>(new: At<'a>, old: At<'a>, job: At<'a>) {
    let status = job.at("status");
    let is_suspended = job.at("spec").at("suspend").flag();
    let never_ran = !status.at("startTime").is_set() || job_status::holds(status, "Suspended");
    let has_pods = status.at("active").int().unwrap_or_default() > 0;
    if !(is_suspended && never_ran && !has_pods) {
        return new.immutable(old);
    }
    let (spec, before) = (new.at("spec"), old.at("spec"));
    if !super::same(Some(&fixed(spec)), Some(&fixed(before))) {
        spec.invalid("field is immutable");
    }
}

/// What stays of a pod's spec in any case.
fn fixed(spec: At<'_>) -> Value {
    let mut spec = spec.value().cloned().unwrap_or_default();
    let Some(fields) = spec.as_object_mut() else { return spec };
    for free in ["nodeSelector", "tolerations", "schedulingGates"] {
        fields.remove(free);
    }
    let affinity = fields.get_mut("affinity").and_then(Value::as_object_mut);
    if affinity.is_some_and(|affinity| {
        affinity.remove("nodeAffinity");
        affinity.is_empty()
    }) {
        fields.remove("affinity");
    }
    for list in ["initContainers", "containers"] {
        let containers = fields.get_mut(list).and_then(Value::as_array_mut);
        containers.into_iter().flatten().filter_map(Value::as_object_mut).for_each(|c| drop(c.remove("resources")));
    }
    spec
}
