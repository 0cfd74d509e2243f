//! Where a pod may run: affinity, tolerations, topology spread, gates.

use crate::validation::{
    at::At,
    names::{dns_label, dns_subdomain, joined, label_value, qualified},
    selector::label_selector,
};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// `affinity`
pub(super) fn affinity(affinity: At<'_>) {
    let node = affinity.at("nodeAffinity");
    if node.at(REQUIRED).is_set() {
        node_selector(node.at(REQUIRED));
    }
    for term in node.at(PREFERRED).items() {
        weight(term.at("weight"));
        node_selector_term(term.at("preference"), false);
    }
    for side in ["podAffinity", "podAntiAffinity"].map(|side| affinity.at(side)) {
        side.at(REQUIRED).items().for_each(pod_term);
        for term in side.at(PREFERRED).items() {
            weight(term.at("weight"));
            pod_term(term.at("podAffinityTerm"));
        }
    }
}

fn weight(weight: At<'_>) {
    let value = weight.int().unwrap_or_default();
    if !(1..=100).contains(&value) {
        weight.invalid_as(value, "must be in the range 1-100");
    }
}

/// A `NodeSelector`.
pub(in crate::validation) fn node_selector(selector: At<'_>) {
    let terms = selector.at("nodeSelectorTerms");
    if terms.require("must have at least one node selector term") {
        terms.items().for_each(|term| node_selector_term(term, true));
    }
}

/// One term of a node selector. Preferences may name values that no label can have.
pub(in crate::validation) fn node_selector_term(term: At<'_>, check_values: bool) {
    for requirement in term.at("matchExpressions").items() {
        let values = requirement.at("values");
        match requirement.at("operator").str() {
            "In" | "NotIn" => {
                values.require("must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                values.forbidden("may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
            }
            "Exists" | "DoesNotExist" => {}
            "Gt" | "Lt" if values.len() != 1 => {
                values.required("must be specified single value when `operator` is 'Lt' or 'Gt'");
            }
            "Gt" | "Lt" => {}
            _ => requirement.at("operator").invalid("not a valid selector operator"),
        }
        requirement.at("key").text(qualified);
        if check_values {
            values.items().for_each(|value| value.text(label_value));
        }
    }
    term.at("matchFields").items().for_each(field_requirement);
}

fn field_requirement(requirement: At<'_>) {
    let values = requirement.at("values");
    match requirement.at("operator").str() {
        "In" | "NotIn" if values.len() != 1 => {
            values.required("must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
        }
        "In" | "NotIn" => {}
        _ => requirement.at("operator").invalid("not a valid selector operator"),
    }
    if requirement.at("key").str() == "metadata.name" {
        values.items().for_each(|value| value.text(dns_subdomain));
    } else {
        requirement.at("key").invalid("not a valid field selector key");
    }
}

fn pod_term(term: At<'_>) {
    label_selector(term.at("labelSelector"));
    label_selector(term.at("namespaceSelector"));
    for name in term.at("namespaces").items() {
        for message in dns_label(name.str()) {
            term.at("namespace").invalid_as(name.str(), message);
        }
    }
    label_keys(term);
    term.at("topologyKey").require("can not be empty");
    term.at("topologyKey").text(qualified);
}

/// `matchLabelKeys` and `mismatchLabelKeys` beside a label selector.
fn label_keys(term: At<'_>) {
    let (matching, mismatching) = (term.at("matchLabelKeys"), term.at("mismatchLabelKeys"));
    let selector = term.at("labelSelector");
    for keys in [matching, mismatching] {
        if !keys.is_empty() && !selector.is_set() {
            keys.forbidden("must not be specified when labelSelector is not set");
        } else {
            keys.items().for_each(|key| key.text(qualified));
        }
    }
    let mut seen: Vec<&str> = selector.at("matchLabels").entries().map(|(key, _)| key).collect();
    for key in selector.at("matchExpressions").items().map(|e| e.at("key").str()) {
        let place = matching.list().iter().position(|k| k == key);
        if let Some(i) = place.filter(|_| seen.contains(&key)) {
            term.index(i).invalid_as(key, "exists in both matchLabelKeys and labelSelector");
        }
        seen.push(key);
    }
    for key in matching.items().filter(|key| mismatching.items().any(|k| k.str() == key.str())) {
        key.invalid("exists in both matchLabelKeys and mismatchLabelKeys");
    }
}

/// `topologySpreadConstraints`
pub(super) fn spread_constraints(list: At<'_>) {
    for (i, constraint) in list.items().enumerate() {
        let (key, action) = (constraint.at("topologyKey"), constraint.at("whenUnsatisfiable"));
        constraint.at("maxSkew").positive_required();
        key.require("can not be empty");
        if !matches!(action.str(), "DoNotSchedule" | "ScheduleAnyway") {
            action.not_supported(&["DoNotSchedule", "ScheduleAnyway"]);
        }
        let repeats = list.items().skip(i + 1).any(|other| {
            other.at("topologyKey").str() == key.str() && other.at("whenUnsatisfiable").str() == action.str()
        });
        if repeats {
            let both = format!("{{{}, {}}}", key.str(), action.str());
            constraint.at("{topologyKey, whenUnsatisfiable}").duplicate_as(both);
        }
        let domains = constraint.at("minDomains");
        domains.positive();
        if domains.is_set() && action.str() != "DoNotSchedule" {
            domains
                .invalid(format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}", action.str()));
        }
        constraint.at("nodeAffinityPolicy").one_of(&["Honor", "Ignore"]);
        constraint.at("nodeTaintsPolicy").one_of(&["Honor", "Ignore"]);
        label_keys(constraint);
        label_selector(constraint.at("labelSelector"));
    }
}

/// `schedulingGates`
pub(super) fn scheduling_gates(list: At<'_>) {
    let mut seen = Vec::new();
    for gate in list.items() {
        let name = gate.at("name").str();
        qualified(name).into_iter().for_each(|message| gate.invalid_as(name, message));
        if seen.contains(&name) {
            gate.duplicate_as(name);
        }
        seen.push(name);
    }
}

/// `tolerations`
pub(in crate::validation) fn tolerations(list: At<'_>) {
    for toleration in list.items() {
        let (key, operator) = (toleration.at("key"), toleration.at("operator"));
        let (value, effect) = (toleration.at("value"), toleration.at("effect"));
        if !key.is_empty() {
            key.text(qualified);
        } else if operator.str() != "Exists" {
            operator
                .invalid("operator must be Exists when `key` is empty, which means \"match all values and all keys\"");
        }
        if toleration.at("tolerationSeconds").is_set() && effect.str() != "NoExecute" {
            effect.invalid("effect must be 'NoExecute' when `tolerationSeconds` is set");
        }
        match operator.str() {
            "" | "Equal" => {
                let complaints = label_value(value.str());
                if !complaints.is_empty() {
                    operator.invalid_as(value.str(), joined(&complaints));
                }
            }
            "Exists" if !value.is_empty() => {
                operator.invalid_as(value.str(), "value must be empty when `operator` is 'Exists'");
            }
            "Exists" => {}
            "Lt" | "Gt" => operator.not_supported(&["Equal", "Exists", "Lt", "Gt"]),
            _ => operator.not_supported(&["Equal", "Exists"]),
        }
        effect.one_of(&["NoSchedule", "PreferNoSchedule", "NoExecute"]);
    }
}
