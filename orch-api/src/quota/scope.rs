//! [`Scope`]: which objects a quota is about.

use super::{claim, pod};
use crate::{
    access::{list, text, texts},
    label_selector::{Operator, Requirement},
};
use serde_json::Value;

/// One condition of a quota's scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// `Terminating`, `BestEffort`, `PriorityClass`, …
    pub name: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// For `In` and `NotIn`.
    pub values: Vec<String>,
}

/// The conditions of a ResourceQuota.
pub fn scopes_of(quota: &Value) -> Vec<Scope> {
    let plain = texts(quota, "spec.scopes").map(|name| Scope {
        name: name.to_owned(),
        operator: "Exists".into(),
        values: Vec::new(),
    });
    let selected = list(quota, "spec.scopeSelector.matchExpressions").iter().map(|e| Scope {
        name: text(e, "scopeName").to_owned(),
        operator: text(e, "operator").to_owned(),
        values: texts(e, "values").map(str::to_owned).collect(),
    });
    plain.chain(selected).collect()
}

impl Scope {
    pub(super) fn has_pod(&self, object: &Value) -> bool {
        match &*self.name {
            "Terminating" => pod::is_terminating(object),
            "NotTerminating" => !pod::is_terminating(object),
            "BestEffort" => pod::is_best_effort(object),
            "NotBestEffort" => !pod::is_best_effort(object),
            "PriorityClass" => self.selects(pod::priority_class(object)),
            "CrossNamespacePodAffinity" => pod::looks_across_namespaces(object),
            _ => false,
        }
    }

    pub(super) fn has_claim(&self, object: &Value) -> bool {
        if self.name != "VolumeAttributesClass" {
            return false;
        }
        let classes = claim::attribute_classes(object);
        if classes.is_empty() { self.selects(None) } else { classes.into_iter().any(|class| self.selects(Some(class))) }
    }

    /// Whether an object with that value, or with none, is meant.
    fn selects(&self, value: Option<&str>) -> bool {
        let operator = match &*self.operator {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            _ => return false,
        };
        let requirement = Requirement::new("value", operator, self.values.clone());
        requirement.is_ok_and(|requirement| requirement.matches(value))
    }
}
