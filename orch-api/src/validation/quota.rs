//! ResourceQuota and LimitRange (`ValidateResourceQuota`, `ValidateLimitRange`).

use super::{at::At, pod};
use crate::quantity::{Format, Quantity};

/// ResourceQuota.
pub(super) fn quota(quota: At<'_>) {
    let spec = quota.at("spec");
    for (name, amount) in spec.at("hard").entries() {
        if pod::resource_name(name, amount) && !name.contains('/') && !is_countable(name) {
            amount.invalid_as(name, "must be a standard resource for quota");
        }
        pod::quantity(name, amount);
    }
    let scopes = spec.at("scopes");
    for _ in scopes.items().filter(|scope| !is_scope(scope.str())) {
        scopes.invalid("unsupported scope");
    }
    let has = |name: &str| scopes.items().any(|s| s.str() == name);
    if (has("BestEffort") && has("NotBestEffort")) || (has("Terminating") && has("NotTerminating")) {
        scopes.invalid("conflicting scopes");
    }
    scope_selector(spec.at("scopeSelector").at("matchExpressions"));
}

/// Faults of an expression stand, as upstream has it, on the list.
fn scope_selector(expressions: At<'_>) {
    for requirement in expressions.items() {
        let at = expressions.with(requirement.value());
        let (scope, operator, values) = (at.at("scopeName"), at.at("operator"), at.at("values"));
        if !is_scope(scope.str()) {
            scope.invalid("unsupported scope");
        }
        match operator.str() {
            "In" | "NotIn" => {
                values.require("must be at least one value when `operator` is 'In' or 'NotIn' for scope selector");
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                values.invalid("must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector");
            }
            "Exists" | "DoesNotExist" => {}
            _ => operator.invalid("not a valid selector operator"),
        }
    }
}

fn is_scope(name: &str) -> bool {
    matches!(
        name,
        "BestEffort"
            | "CrossNamespacePodAffinity"
            | "NotBestEffort"
            | "NotTerminating"
            | "PriorityClass"
            | "Terminating"
            | "VolumeAttributesClass"
    )
}

/// Whether a quota knows the resource by a plain name.
fn is_countable(name: &str) -> bool {
    matches!(
        name,
        "cpu"
            | "memory"
            | "ephemeral-storage"
            | "pods"
            | "resourcequotas"
            | "services"
            | "replicationcontrollers"
            | "secrets"
            | "configmaps"
            | "persistentvolumeclaims"
            | "services.nodeports"
            | "services.loadbalancers"
            | "requests.cpu"
            | "requests.memory"
            | "requests.storage"
            | "requests.ephemeral-storage"
            | "limits.cpu"
            | "limits.memory"
            | "limits.ephemeral-storage"
    ) || name.starts_with("hugepages-")
        || name.starts_with("requests.hugepages-")
}

/// An update of a quota: its scopes stay.
pub(super) fn quota_updated<'a>(new: At<'a>, old: At<'a>) {
    quota(new);
    let (scopes, before) = (new.at("spec").at("scopes"), old.at("spec").at("scopes"));
    let is_in = |scope: &serde_json::Value, list: At<'_>| list.list().contains(scope);
    let stays = scopes.list().iter().all(|s| is_in(s, before)) && before.list().iter().all(|s| is_in(s, scopes));
    if !stays {
        scopes.invalid("field is immutable");
    }
}

/// LimitRange.
pub(super) fn limit_range(range: At<'_>) {
    let mut kinds = Vec::new();
    for item in range.at("spec").at("limits").items() {
        let kind = item.at("type");
        if !matches!(kind.str(), "Container" | "Pod" | "PersistentVolumeClaim") && !kind.str().contains('/') {
            kind.invalid("must be a standard limit type or fully qualified");
        }
        if kinds.contains(&kind.str()) {
            kind.duplicate();
        }
        kinds.push(kind.str());
        limits(item, kind.str());
        order(item);
    }
}

fn limits(item: At<'_>, kind: &str) {
    for field in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        if kind == "Pod" && field.starts_with("default") {
            if !item.at(field).is_empty() {
                item.at(field).forbidden("may not be specified when `type` is 'Pod'");
            }
            continue;
        }
        for (name, amount) in item.at(field).entries() {
            if matches!(kind, "Pod" | "Container") {
                pod::container_resource_name(name, amount);
            } else {
                pod::resource_name(name, amount);
            }
        }
    }
    let is_open = ["min", "max"].iter().all(|field| !item.at(field).at("storage").is_set());
    if kind == "PersistentVolumeClaim" && is_open {
        item.at("limits").required("either minimum or maximum storage value is required, but neither was provided");
    }
}

/// A pair of fields that must not be the wrong way round: the lower one, the higher one, the one that is blamed,
/// and the words for both.
type Order = (&'static str, &'static str, &'static str, [&'static str; 2]);

const ORDERS: [Order; 6] = [
    ("min", "max", "min", ["min", "max"]),
    ("min", "defaultRequest", "defaultRequest", ["min", "default request"]),
    ("defaultRequest", "max", "defaultRequest", ["default request", "max"]),
    ("defaultRequest", "default", "defaultRequest", ["default request", "default limit"]),
    ("min", "default", "default", ["min", "default"]),
    ("default", "max", "default", ["default", "max"]),
];

fn order(item: At<'_>) {
    let amount = |at: At<'_>| at.value().and_then(Quantity::of);
    for (low, high, blamed, [low_word, high_word]) in ORDERS {
        for (name, below) in item.at(low).entries() {
            let above = item.at(high).at(name);
            if let (Some(b), Some(a)) = (amount(below), amount(above))
                && b > a
            {
                let (below, above) = (below.str(), above.str());
                let words = format!("{low_word} value {below} is greater than {high_word} value {above}");
                item.at(blamed).key(name).invalid(words);
            }
        }
    }
    for (_, ratio) in item.at("maxLimitRequestRatio").entries() {
        if amount(ratio) < Some(Quantity::new(1, Format::DecimalSi)) {
            ratio.invalid(format!("ratio {} is less than 1", ratio.str()));
        }
    }
}
