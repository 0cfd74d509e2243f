//! Labels and selectors (`apimachinery/pkg/apis/meta/v1/validation`).

use super::{
    at::At,
    names::{label_value, qualified},
};

/// Keys and values of labels; faults stand on the map.
pub(super) fn labels(at: At<'_>) {
    for (key, value) in at.entries() {
        for message in qualified(key) {
            at.invalid_as(key, message);
        }
        for message in label_value(value.str()) {
            at.invalid_as(value.str(), message);
        }
    }
}

/// A `LabelSelector`.
pub(super) fn label_selector(at: At<'_>) {
    labels(at.at("matchLabels"));
    for requirement in at.at("matchExpressions").items() {
        let values = requirement.at("values");
        match requirement.at("operator").str() {
            "In" | "NotIn" => {
                values.require("must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                values.forbidden("may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
            }
            "Exists" | "DoesNotExist" => {}
            _ => requirement.at("operator").invalid("not a valid selector operator"),
        }
        requirement.at("key").text(qualified);
        values.items().for_each(|value| value.text(label_value));
    }
}

/// Whether a selector names nothing, so that it selects everything.
pub(super) fn is_everything(at: At<'_>) -> bool {
    at.at("matchLabels").is_empty() && at.at("matchExpressions").is_empty()
}

/// Whether a selector matches these labels. A malformed selector matches nothing.
pub(super) fn matches(selector: At<'_>, labels: At<'_>) -> bool {
    selects(selector, |key| labels.value().and_then(|l| l.get(key)).and_then(serde_json::Value::as_str))
}

/// The same for labels that are nowhere in an object.
pub(super) fn selects<'l>(selector: At<'_>, label: impl Fn(&str) -> Option<&'l str>) -> bool {
    let equal = selector.at("matchLabels").entries().all(|(key, value)| label(key) == Some(value.str()));
    equal
        && selector.at("matchExpressions").items().all(|requirement| {
            let value = label(requirement.at("key").str());
            let listed = || requirement.at("values").list().iter().any(|v| v.as_str() == value);
            match requirement.at("operator").str() {
                "In" => value.is_some() && listed(),
                "NotIn" => value.is_none() || !listed(),
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}
