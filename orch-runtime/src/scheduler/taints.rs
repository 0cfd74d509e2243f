//! Taints and tolerations.

use serde::Deserialize;
use std::sync::Arc;

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Effect {
    /// Keeps new pods away.
    NoSchedule,
    /// Keeps new pods away if there is another place.
    PreferNoSchedule,
    /// Keeps new pods away and evicts those that run.
    NoExecute,
}

/// A node's repellent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    /// Key, such as `node.kubernetes.io/not-ready`.
    pub key: Arc<str>,
    /// Value, may be empty.
    pub value: Arc<str>,
    /// What it does.
    pub effect: Effect,
}

/// A pod's permission to ignore taints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Toleration {
    /// Key; empty with `Exists` for every taint.
    pub key: Arc<str>,
    /// `Equal` (or empty), `Exists`, `Lt` or `Gt`.
    pub operator: Arc<str>,
    /// Value to compare with.
    pub value: Arc<str>,
    /// Only this effect; all when unset.
    pub effect: Option<Effect>,
    /// How long a `NoExecute` taint is endured; forever when unset.
    pub toleration_seconds: Option<i64>,
}

impl Toleration {
    /// Whether the taint is tolerated (`core/v1/toleration.go`, `ToleratesTaint`).
    pub fn tolerates(&self, taint: &Taint) -> bool {
        if self.effect.is_some_and(|e| e != taint.effect) || (!self.key.is_empty() && self.key != taint.key) {
            return false;
        }
        match &*self.operator {
            "" | "Equal" => !self.key.is_empty() && self.value == taint.value,
            "Exists" => true,
            "Lt" => both(&taint.value, &self.value).is_some_and(|(taint, own)| taint < own),
            "Gt" => both(&taint.value, &self.value).is_some_and(|(taint, own)| taint > own),
            _ => false,
        }
    }
}

/// The first taint with one of the effects that no toleration covers.
pub fn untolerated<'a>(
    taints: &'a [Taint],
    tolerations: &[Toleration],
    effects: impl Fn(Effect) -> bool,
) -> Option<&'a Taint> {
    taints.iter().filter(|t| effects(t.effect)).find(|taint| !tolerations.iter().any(|t| t.tolerates(taint)))
}

fn both(a: &str, b: &str) -> Option<(i64, i64)> {
    Some((a.parse().ok()?, b.parse().ok()?))
}
