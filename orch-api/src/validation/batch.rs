//! Job and CronJob (`pkg/apis/batch/validation`).

use super::{
    at::At,
    indexes, job_status,
    names::{dns_label, dns_subdomain, qualified},
    pod,
    selector::{label_selector, matches, selects},
};
use crate::cron::{Schedule, zone};
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
fn template_spec(spec: At<'_>) {
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
    failure_policy(spec);
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
    success_policy(spec);
}

fn success_policy(spec: At<'_>) {
    let policy = spec.at("successPolicy");
    if !policy.is_set() {
        return;
    }
    let rules = policy.at("rules");
    rules.require("at least one rules must be specified when the successPolicy is specified");
    if rules.len() > 20 {
        rules.too_many(20);
    }
    let all = spec.at("completions").int().unwrap_or_default();
    for rule in rules.items() {
        let (count, indexes) = (rule.at("succeededCount"), rule.at("succeededIndexes"));
        if !count.is_set() && !indexes.is_set() {
            rule.required("at least one of succeededCount or succeededIndexes must be specified");
        }
        if indexes.str().len() > MOST_INDEXES {
            indexes.too_long(MOST_INDEXES);
        }
        let listed = indexes::read(indexes.str(), all);
        if let Err(why) = &listed {
            indexes.invalid(format!("error parsing succeededIndexes: {why}"));
        }
        count.non_negative();
        if count.int().is_some_and(|n| n > all) {
            count.invalid(format!("must be less than or equal to {all} (the number of specified completions)"));
        }
        let listed = listed.map_or(0, |listed| listed.iter().map(|(first, last)| last - first + 1).sum());
        if indexes.is_set() && count.int().is_some_and(|n| n > listed) {
            let of = "the number of indexes in the specified succeededIndexes field";
            count.invalid(format!("must be less than or equal to {listed} ({of})"));
        }
    }
}

/// The most bytes of a list of indexes.
const MOST_INDEXES: usize = 64 * 1024;

fn failure_policy(spec: At<'_>) {
    const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
    let rules = spec.at("podFailurePolicy").at("rules");
    if rules.len() > 20 {
        rules.too_many(20);
    }
    for rule in rules.items() {
        let action = rule.at("action");
        match action.str() {
            "" => action.required("valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]"),
            "FailIndex" if !spec.at("backoffLimitPerIndex").is_set() => {
                action.invalid("requires the backoffLimitPerIndex to be set");
            }
            _ => action.one_of(&ACTIONS),
        }
        let (codes, conditions) = (rule.at("onExitCodes"), rule.at("onPodConditions"));
        if codes.is_set() {
            exit_codes(codes, spec.at("template").at("spec"));
        }
        if conditions.len() > 20 {
            conditions.too_many(20);
        }
        for pattern in conditions.items() {
            pattern.at("type").text(qualified);
            let status = pattern.at("status");
            if status.require("valid values: [\"False\" \"True\" \"Unknown\"]") {
                status.one_of(&["False", "True", "Unknown"]);
            }
        }
        match (codes.is_set(), !conditions.is_empty()) {
            (true, true) => rule.invalid_bare("specifying both OnExitCodes and OnPodConditions is not supported"),
            (false, false) => rule.invalid_bare("specifying one of OnExitCodes and OnPodConditions is required"),
            _ => {}
        }
    }
}

fn exit_codes<'a>(codes: At<'a>, pod: At<'a>) {
    let (operator, name, values) = (codes.at("operator"), codes.at("containerName"), codes.at("values"));
    if operator.require("valid values: [\"In\" \"NotIn\"]") {
        operator.one_of(&["In", "NotIn"]);
    }
    let lists = ["containers", "initContainers"].map(|list| pod.at(list));
    if name.is_set() && !lists.iter().flat_map(|l| l.items()).any(|c| c.at("name").str() == name.str()) {
        name.invalid("must be one of the container or initContainer names in the pod template");
    }
    if values.is_empty() {
        values.invalid("at least one value is required");
    } else if values.len() > 255 {
        values.too_many(255);
    }
    let mut seen: Vec<i64> = Vec::new();
    let mut is_ordered = true;
    for value in values.items() {
        let number = value.int().unwrap_or_default();
        if operator.str() == "In" && number == 0 {
            value.invalid("must not be 0 for the In operator");
        }
        if seen.contains(&number) {
            value.duplicate();
        }
        is_ordered &= seen.last().is_none_or(|last| *last <= number);
        seen.push(number);
    }
    if !is_ordered {
        values.invalid("must be ordered");
    }
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

/// A new CronJob.
pub(super) fn cron_job(object: At<'_>) {
    cron_spec(object.at("spec"), None);
    let name = object.at("metadata").at("name");
    if name.str().len() > 52 {
        name.invalid("must be no more than 52 characters");
    }
}

/// An update of a CronJob.
pub(super) fn cron_job_updated<'a>(new: At<'a>, old: At<'a>) {
    cron_spec(new.at("spec"), Some(old.at("spec")));
}

fn cron_spec<'a>(spec: At<'a>, old: Option<At<'a>>) {
    let schedule = spec.at("schedule");
    if schedule.require("") {
        if let Err(message) = Schedule::parse(schedule.str()) {
            schedule.invalid(message);
        }
        let had_zone = old.is_some_and(|old| old.at("schedule").str().contains("TZ"));
        match (had_zone, schedule.str().contains("TZ")) {
            (true, true) if spec.at("timeZone").is_set() => {
                schedule.invalid("cannot use both timeZone field and TZ or CRON_TZ in schedule");
            }
            (false, true) => schedule.invalid("cannot use TZ or CRON_TZ in schedule, use timeZone field instead"),
            _ => {}
        }
    }
    spec.at("startingDeadlineSeconds").non_negative();
    if old.is_none_or(|old| !old.at("timeZone").same(spec.at("timeZone"))) {
        time_zone(spec.at("timeZone"));
    }
    spec.at("concurrencyPolicy").required_one_of(&["Allow", "Forbid", "Replace"]);
    let job = spec.at("jobTemplate").at("spec");
    if job.at("selector").is_set() {
        job.at("selector").invalid("`selector` will be auto-generated");
    }
    if job.at("manualSelector").flag() {
        job.at("manualSelector").not_supported(&["nil", "false"]);
    }
    template_spec(job);
    spec.at("successfulJobsHistoryLimit").non_negative();
    spec.at("failedJobsHistoryLimit").non_negative();
}

fn time_zone(at: At<'_>) {
    if !at.is_set() {
        return;
    }
    if at.is_empty() {
        return at.invalid("timeZone must be nil or non-empty string");
    }
    let is_part = |part: &str| {
        let chars = part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+'));
        (1..=14).contains(&part.len()) && chars && !matches!(part, "." | "..") && !part.starts_with('-')
    };
    if !at.str().split('/').all(is_part) {
        return at.invalid(format!("unknown time zone {}", at.str()));
    }
    if at.str().eq_ignore_ascii_case("local") {
        at.invalid("timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
    }
    if at.str() != "Local"
        && let Err(why) = zone(at.str())
    {
        at.invalid(why);
    }
}
