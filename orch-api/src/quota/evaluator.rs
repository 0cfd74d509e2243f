//! [`Evaluator`]: what objects of a resource use.

use super::{Amounts, Scope, claim, pod, scopes_of, service};
use crate::{
    Gvr,
    access::{get, map},
    quantity::{Format, Quantity},
};
use jiff::Timestamp;
use serde_json::Value;

/// What objects of a resource use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evaluator {
    /// Pods: CPU, memory, storage, devices, and their number.
    Pods,
    /// Services: their number, node ports, load balancers.
    Services,
    /// Claims of volumes: their number and size.
    Claims,
    /// Anything else: its number, as `count/RESOURCE.GROUP` and, for a few of the core group, under the old name.
    Count {
        /// `count/deployments.apps`
        name: String,
        /// `configmaps`, `secrets`, …
        alias: Option<&'static str>,
    },
}

/// Resources of the core group whose number has a plain name.
const ALIASES: [&str; 4] = ["configmaps", "resourcequotas", "replicationcontrollers", "secrets"];

impl Evaluator {
    /// The evaluator of a resource; `None` for what nobody counts: Events, and what is answered and never stored.
    pub fn of(resource: &Gvr) -> Option<Self> {
        Some(match (&*resource.group, &*resource.resource) {
            ("" | "events.k8s.io", "events") | ("", "bindings" | "componentstatuses") => return None,
            ("authentication.k8s.io" | "authorization.k8s.io", _) => return None,
            ("", "pods") => Self::Pods,
            ("", "services") => Self::Services,
            ("", "persistentvolumeclaims") => Self::Claims,
            (group, plural) => Self::Count {
                name: format!("count/{}", resource.group_resource()),
                alias: ALIASES.into_iter().find(|alias| group.is_empty() && *alias == plural),
            },
        })
    }

    /// What an object uses.
    pub fn usage(&self, object: &Value, now: Timestamp) -> Amounts {
        match self {
            Self::Pods => pod::usage(object, now),
            Self::Services => service::usage(object),
            Self::Claims => claim::usage(object),
            Self::Count { name, alias } => {
                let names = [Some(&**name), *alias].into_iter().flatten();
                names.map(|name| (name, Quantity::new(1, Format::DecimalSi))).collect()
            }
        }
    }

    /// Whether a quota's resource is one of those that the objects use.
    pub fn counts(&self, resource: &str) -> bool {
        match self {
            Self::Pods => pod::is_counted(resource),
            Self::Services => service::is_counted(resource),
            Self::Claims => claim::is_counted(resource),
            Self::Count { name, alias } => resource == name || *alias == Some(resource),
        }
    }

    /// Whether a scope has the object in it. Scopes are about pods and claims; nothing else is in one.
    pub fn in_scope(&self, scope: &Scope, object: &Value) -> bool {
        match self {
            Self::Pods => scope.has_pod(object),
            Self::Claims => scope.has_claim(object),
            Self::Services | Self::Count { .. } => false,
        }
    }

    /// Whether a write can change what is used: `operation` is `CREATE` or `UPDATE`.
    pub fn handles(&self, operation: &str, subresource: &str, new: &Value, old: Option<&Value>) -> bool {
        let old = old.unwrap_or(&Value::Null);
        match (self, subresource, operation) {
            (_, "", "CREATE") | (Self::Pods, "resize", "UPDATE") => true,
            (Self::Services | Self::Claims, "", "UPDATE") => true,
            (Self::Pods, "", "UPDATE") => pod::is_terminating(new) != pod::is_terminating(old),
            (Self::Claims, "status", "UPDATE") => claim::status_counts(new, old),
            _ => false,
        }
    }

    /// What the object must say because the quota has these resources, and does not.
    pub fn unstated(&self, object: &Value, quota: &[&str]) -> Option<String> {
        if *self == Self::Pods { pod::unstated(object, quota) } else { None }
    }
}

/// Whether an object counts against a quota: the quota has a resource that the object uses, and the object is in all
/// scopes of the quota. A quota that its controller has not seen yet has nothing.
pub fn matches(evaluator: &Evaluator, quota: &Value, object: &Value) -> bool {
    let interested = map(quota, "status.hard").into_iter().flatten().any(|(name, _)| evaluator.counts(name));
    interested && scopes_of(quota).iter().all(|scope| evaluator.in_scope(scope, object))
}

/// What objects of one resource use together of a quota: what a controller writes into `status.used`.
pub fn usage_of<'a>(
    evaluator: &Evaluator,
    quota: &Value,
    objects: impl IntoIterator<Item = &'a Value>,
    now: Timestamp,
) -> Amounts {
    let hard = Amounts::read(get(quota, "spec.hard"));
    let counted = hard.names().filter(|name| evaluator.counts(name));
    let mut used: Amounts = counted.map(|name| (name, Quantity::ZERO)).collect();
    let scopes = scopes_of(quota);
    for object in objects {
        if scopes.iter().all(|scope| evaluator.in_scope(scope, object)) {
            let usage = evaluator.usage(object, now);
            used.add(&usage.mask(used.clone().names()));
        }
    }
    used
}
