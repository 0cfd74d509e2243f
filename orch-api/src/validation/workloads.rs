//! Workloads of `apps/v1` and the ReplicationController (`pkg/apis/apps/validation`).

use super::{
    at::At,
    names::{dns_label, percent},
    pod,
    selector::{is_everything, label_selector, matches},
    storage,
};
use serde_json::Value;

const MISMATCH: &str = "`selector` does not match template `labels`";

/// Deployment.
pub(super) fn deployment(object: At<'_>) {
    let spec = object.at("spec");
    spec.at("replicas").non_negative();
    replicated(spec, "deployment", "ReplicaSet");
    deployment_strategy(spec.at("strategy"));
    for field in ["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"] {
        spec.at(field).non_negative();
    }
    let deadline = spec.at("progressDeadlineSeconds");
    if deadline.int().is_some_and(|n| n <= spec.at("minReadySeconds").int().unwrap_or_default()) {
        deadline.invalid("must be greater than minReadySeconds");
    }
}

/// An update of a Deployment.
pub(super) fn deployment_updated<'a>(new: At<'a>, old: At<'a>) {
    deployment(new);
    selector_stays(new, old);
}

fn deployment_strategy(strategy: At<'_>) {
    let rolling = strategy.at("rollingUpdate");
    match strategy.at("type").str() {
        "Recreate" if rolling.is_set() => {
            rolling.forbidden("may not be specified when strategy `type` is 'Recreate'");
        }
        "Recreate" => {}
        "RollingUpdate" if !rolling.is_set() => rolling.required("this should be defaulted and never be nil"),
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.at("maxUnavailable"), rolling.at("maxSurge"));
            int_or_percent(unavailable);
            int_or_percent(surge);
            if amount(unavailable) == 0 && amount(surge) == 0 {
                unavailable.invalid("may not be 0 when `maxSurge` is 0");
            }
            at_most_all(unavailable);
        }
        _ => strategy.not_supported(&["Recreate", "RollingUpdate"]),
    }
}

/// ReplicaSet.
pub(super) fn replica_set(object: At<'_>) {
    let spec = object.at("spec");
    spec.at("replicas").non_negative();
    spec.at("minReadySeconds").non_negative();
    replicated(spec, "deployment", "ReplicaSet");
}

/// An update of a ReplicaSet.
pub(super) fn replica_set_updated<'a>(new: At<'a>, old: At<'a>) {
    replica_set(new);
    selector_stays(new, old);
}

/// Selector and template of a Deployment or ReplicaSet.
fn replicated(spec: At<'_>, word: &str, kind: &str) {
    let is_valid = selector(spec, word);
    if is_valid {
        labels_match(spec, true);
        pod::template(spec.at("template"));
        runs_forever(spec, kind);
    }
}

/// Judges a selector; returns whether it can select anything.
fn selector(spec: At<'_>, word: &str) -> bool {
    let selector = spec.at("selector");
    let before = selector.faults();
    if !selector.is_set() {
        selector.required("");
        return true;
    }
    label_selector(selector);
    let is_valid = selector.faults() == before;
    if is_everything(selector) {
        selector.invalid(format!("empty selector is invalid for {word}"));
    }
    if !is_valid {
        selector.invalid("invalid label selector");
    }
    is_valid
}

/// A selector, where it selects less than everything, selects the pods of its own template.
fn labels_match(spec: At<'_>, everything_is_fine: bool) {
    let (selector, labels) = (spec.at("selector"), spec.at("template").at("metadata").at("labels"));
    let is_exempt = everything_is_fine && selector.is_set() && is_everything(selector);
    if !is_exempt && (!selector.is_set() || !matches(selector, labels)) {
        labels.invalid_as(labels.value().cloned().unwrap_or(Value::Null), MISMATCH);
    }
}

fn runs_forever(spec: At<'_>, kind: &str) {
    let pod = spec.at("template").at("spec");
    if pod.at("restartPolicy").str() != "Always" {
        pod.at("restartPolicy").not_supported(&["Always"]);
    }
    if pod.at("activeDeadlineSeconds").is_set() {
        let message = format!("activeDeadlineSeconds in {kind} is not Supported");
        pod.at("activeDeadlineSeconds").forbidden(message);
    }
}

fn selector_stays<'a>(new: At<'a>, old: At<'a>) {
    new.at("spec").at("selector").immutable(old.at("spec").at("selector"));
}

/// ReplicationController.
pub(super) fn replication_controller(object: At<'_>) {
    let spec = object.at("spec");
    spec.at("minReadySeconds").non_negative();
    spec.at("selector").require("");
    if spec.at("replicas").is_set() {
        spec.at("replicas").non_negative();
    } else {
        spec.at("replicas").required("");
    }
    let template = spec.at("template");
    if !template.is_set() {
        return template.required("");
    }
    let labels = template.at("metadata").at("labels");
    let is_selected = |(key, value): (&str, At<'_>)| labels.value().and_then(|l| l.get(key)) == value.value();
    if !spec.at("selector").entries().all(is_selected) {
        labels.invalid_as(labels.value().cloned().unwrap_or(Value::Null), MISMATCH);
    }
    pod::template(template);
    runs_forever(spec, "ReplicationController");
}

/// DaemonSet.
pub(super) fn daemon_set(object: At<'_>) {
    let spec = object.at("spec");
    label_selector(spec.at("selector"));
    labels_match(spec, true);
    if spec.at("selector").is_set() && is_everything(spec.at("selector")) {
        spec.at("selector").invalid("empty selector is invalid for daemonset");
    }
    pod::template(spec.at("template"));
    runs_forever(spec, "DaemonSet");
    spec.at("minReadySeconds").non_negative();
    daemon_strategy(spec.at("updateStrategy"));
    spec.at("revisionHistoryLimit").non_negative();
}

/// An update of a DaemonSet.
pub(super) fn daemon_set_updated<'a>(new: At<'a>, old: At<'a>) {
    selector_stays(new, old);
    daemon_set(new);
}

fn daemon_strategy(strategy: At<'_>) {
    let rolling = strategy.at("rollingUpdate");
    match strategy.at("type").str() {
        "OnDelete" => {}
        "RollingUpdate" if !rolling.is_set() => rolling.required(""),
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.at("maxUnavailable"), rolling.at("maxSurge"));
            for bound in [unavailable, surge] {
                int_or_percent(bound);
                at_most_all(bound);
            }
            match (amount(unavailable) != 0, amount(surge) != 0) {
                (true, true) => surge.invalid("may not be set when maxUnavailable is non-zero"),
                (false, false) => unavailable.required("cannot be 0 when maxSurge is 0"),
                _ => {}
            }
        }
        _ => strategy.not_supported(&["RollingUpdate", "OnDelete"]),
    }
}

/// StatefulSet.
pub(super) fn stateful_set(object: At<'_>) {
    let spec = object.at("spec");
    spec.at("volumeClaimTemplates").items().for_each(|claim| storage::claim_spec(claim.at("spec")));
    let name = spec.at("serviceName");
    if !name.is_empty() {
        name.text(dns_label);
    }
    stateful_spec(spec);
}

fn stateful_spec(spec: At<'_>) {
    let policy = spec.at("podManagementPolicy");
    if policy.require("") && !matches!(policy.str(), "OrderedReady" | "Parallel") {
        policy.invalid("must be 'OrderedReady' or 'Parallel'");
    }
    stateful_strategy(spec.at("updateStrategy"));
    let retention = spec.at("persistentVolumeClaimRetentionPolicy");
    for field in ["whenDeleted", "whenScaled"] {
        if retention.is_set() && !matches!(retention.at(field).str(), "Retain" | "Delete") {
            retention.at(field).not_supported(&["Retain", "Delete"]);
        }
    }
    spec.at("replicas").non_negative();
    spec.at("minReadySeconds").non_negative();
    if spec.at("ordinals").at("start").int().is_some_and(|n| n < 0) {
        let start = spec.at("ordinals").at("start").int().unwrap_or_default();
        spec.at("ordinals.start").invalid_as(start, "must be greater than or equal to 0");
    }
    if selector(spec, "statefulset") {
        labels_match(spec, true);
        pod::template_with_claims(spec.at("template"), spec.at("volumeClaimTemplates"));
    }
    runs_forever(spec, "StatefulSet");
}

fn stateful_strategy(strategy: At<'_>) {
    let rolling = strategy.at("rollingUpdate");
    match strategy.at("type").str() {
        "" => strategy.required(""),
        "OnDelete" if rolling.is_set() => rolling.invalid("only allowed for updateStrategy 'RollingUpdate'"),
        "OnDelete" => {}
        "RollingUpdate" => {
            rolling.at("partition").non_negative();
            let unavailable = rolling.at("maxUnavailable");
            if unavailable.is_set() {
                int_or_percent(unavailable);
                if amount(unavailable) == 0 {
                    unavailable.invalid("cannot be 0");
                }
                at_most_all(unavailable);
            }
        }
        _ => strategy.invalid("must be 'RollingUpdate' or 'OnDelete'"),
    }
}

/// An update of a StatefulSet: few fields may change.
pub(super) fn stateful_set_updated<'a>(new: At<'a>, old: At<'a>) {
    stateful_spec(new.at("spec"));
    const FREE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    let (spec, before) = (new.at("spec"), old.at("spec"));
    let mut fields = spec.fields().chain(before.fields());
    if fields.any(|field| !FREE.contains(&field) && !spec.at(field).same(before.at(field))) {
        spec.forbidden(
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        );
    }
}

/// ControllerRevision.
pub(super) fn revision(object: At<'_>) {
    object.at("revision").non_negative();
    match object.at("data").value() {
        None => object.at("data").required("data is mandatory"),
        Some(Value::Object(_)) => {}
        Some(_) => object.at("data").required("data must be a valid JSON object"),
    }
}

/// An update of a ControllerRevision: its data stays.
pub(super) fn revision_updated<'a>(new: At<'a>, old: At<'a>) {
    new.at("revision").non_negative();
    new.at("data").immutable(old.at("data"));
}

/// Status of any workload: counters are not negative, and parts are not more than the whole.
pub(super) fn status_updated<'a>(new: At<'a>, old: At<'a>) {
    let status = new.at("status");
    status.fields().for_each(|field| status.at(field).non_negative());
    let count = |field: &'static str| status.at(field).int().unwrap_or_default();
    if status.at("replicas").is_set() {
        for field in
            ["updatedReplicas", "fullyLabeledReplicas", "readyReplicas", "currentReplicas", "availableReplicas"]
        {
            if count(field) > count("replicas") {
                status.at(field).invalid("cannot be greater than status.replicas");
            }
        }
        if count("availableReplicas") > count("readyReplicas") {
            status.at("availableReplicas").invalid("cannot be greater than readyReplicas");
        }
    }
    let collisions = |at: At<'_>| at.at("status").at("collisionCount").int().unwrap_or_default();
    if collisions(new) < collisions(old) {
        status.at("collisionCount").invalid_as(collisions(new), "cannot be decremented");
    }
}

/// A count of pods or a share of them.
pub(super) fn int_or_percent(at: At<'_>) {
    match at.value() {
        Some(Value::String(_)) => at.text(percent),
        _ => at.non_negative(),
    }
}

/// A share is at most everything.
pub(super) fn at_most_all(at: At<'_>) {
    if share(at).is_some_and(|n| n > 100) {
        at.invalid("must not be greater than 100%");
    }
}

fn share(at: At<'_>) -> Option<i64> {
    at.str().strip_suffix('%').and_then(|digits| digits.parse().ok())
}

fn amount(at: At<'_>) -> i64 {
    share(at).or(at.int()).unwrap_or_default()
}
