//! [`NodeAffinity`]: which nodes a pod asks for, compiled from its node selector and node affinity
//! (`component-helpers/scheduling/corev1/nodeaffinity`).

use super::node::NodeInfo;
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};

/// The node selector and the node affinity of a pod.
#[derive(Clone, Debug, Default)]
pub struct NodeAffinity {
    /// `spec.nodeSelector`: every label must match.
    pub selector: BTreeMap<Arc<str>, Arc<str>>,
    /// `requiredDuringSchedulingIgnoredDuringExecution`: one term must match. `None` when not set.
    pub required: Option<Vec<NodeTerm>>,
    /// `preferredDuringSchedulingIgnoredDuringExecution`: terms with their weights.
    pub preferred: Vec<(i64, NodeTerm)>,
}

/// Requirements that must all hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeTerm {
    /// On labels.
    pub match_expressions: Vec<Requirement>,
    /// On fields; only `metadata.name` exists.
    pub match_fields: Vec<Requirement>,
}

/// One requirement.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Requirement {
    /// Label or field.
    pub key: Arc<str>,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt`, `Lt`.
    pub operator: Arc<str>,
    /// What to compare with.
    pub values: Vec<Arc<str>>,
}

impl NodeAffinity {
    /// Whether nothing is required of the node.
    pub fn is_empty(&self) -> bool {
        self.selector.is_empty() && self.required.is_none()
    }

    /// Whether the node meets the selector and the required terms.
    pub fn matches(&self, node: &NodeInfo) -> bool {
        self.selector.iter().all(|(key, value)| node.labels.get(key) == Some(value))
            && self.required.as_ref().is_none_or(|terms| terms.iter().any(|term| term.matches(node)))
    }

    /// The names of the only nodes that can match, when every required term names some.
    pub fn named_nodes(&self) -> Option<Vec<Arc<str>>> {
        let mut names = Vec::new();
        for term in self.required.as_ref()? {
            let named = term.match_fields.iter().find(|r| &*r.key == "metadata.name" && &*r.operator == "In")?;
            names.extend(named.values.iter().cloned());
        }
        Some(names)
    }
}

impl NodeTerm {
    /// Whether the node meets all requirements. A term without any matches nothing.
    pub fn matches(&self, node: &NodeInfo) -> bool {
        let is_empty = self.match_expressions.is_empty() && self.match_fields.is_empty();
        !is_empty
            && self.match_expressions.iter().all(|r| r.holds(node.labels.get(&r.key).map(|v| &**v)))
            && self.match_fields.iter().all(|r| &*r.key == "metadata.name" && r.holds(Some(&node.name)))
    }
}

impl Requirement {
    fn holds(&self, actual: Option<&str>) -> bool {
        let among = |actual: &str| self.values.iter().any(|v| &**v == actual);
        let compare = |greater: bool| {
            let numbers =
                (actual.and_then(|a| a.parse::<i64>().ok()), self.values.first().and_then(|v| v.parse().ok()));
            matches!(numbers, (Some(a), Some(b)) if if greater { a > b } else { a < b })
        };
        match &*self.operator {
            "In" => actual.is_some_and(among),
            "NotIn" => !actual.is_some_and(among),
            "Exists" => actual.is_some(),
            "DoesNotExist" => actual.is_none(),
            "Gt" => compare(true),
            "Lt" => compare(false),
            _ => false,
        }
    }
}
