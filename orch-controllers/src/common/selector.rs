//! Label selectors over stored labels.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use orch_store::stored::Labels;
use std::collections::BTreeMap;

/// Whether the selector selects these labels. An empty selector selects everything.
pub fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    let equal = selector.match_labels.iter().flatten().all(|(k, v)| labels.get(k) == Some(v));
    equal && selector.match_expressions.iter().flatten().all(|r| meets(r, labels))
}

/// Whether the selector asks for nothing.
pub fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
        && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}

/// Whether every pair of a map is among the labels.
pub fn contains_all(labels: &Labels, pairs: &BTreeMap<String, String>) -> bool {
    pairs.iter().all(|(k, v)| labels.get(k) == Some(v))
}

/// As Go prints a `*metav1.LabelSelector`, which messages of upstream do.
pub fn go_text(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else { return "nil".into() };
    let labels: Vec<String> = selector.match_labels.iter().flatten().map(|(k, v)| format!("{k}: {v},")).collect();
    let wanted = selector.match_expressions.iter().flatten();
    let wanted: Vec<String> = wanted
        .map(|r| {
            let values = r.values.as_deref().unwrap_or_default().join(" ");
            format!("LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},", r.key, r.operator)
        })
        .collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{}}},MatchExpressions:[]LabelSelectorRequirement{{{}}},}}",
        labels.join(""),
        wanted.join("")
    )
}

fn meets(requirement: &LabelSelectorRequirement, labels: &Labels) -> bool {
    let value = labels.get(&requirement.key);
    let listed = || value.is_some_and(|v| requirement.values.iter().flatten().any(|w| w == v));
    match requirement.operator.as_str() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(operator: &str, values: &[&str], labels: &[(&str, &str)], expect: bool) {
        let requirement = LabelSelectorRequirement {
            key: "app".into(),
            operator: operator.into(),
            values: Some(values.iter().map(|v| (*v).to_owned()).collect()),
        };
        let selector = LabelSelector { match_expressions: Some(vec![requirement]), match_labels: None };
        assert_eq!(selects(&selector, &labels.iter().copied().collect()), expect);
    }

    #[test]
    fn an_absent_label_is_not_in_a_set() {
        check("In", &["a"], &[("app", "a")], true);
        check("In", &["a"], &[], false);
        check("NotIn", &["a"], &[], true);
        check("NotIn", &["a"], &[("app", "a")], false);
        check("Exists", &[], &[("app", "")], true);
        check("DoesNotExist", &[], &[("app", "")], false);
    }
}
