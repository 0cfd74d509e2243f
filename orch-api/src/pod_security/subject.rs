//! [`Subject`]: a pod or the template of one, as checks read it.

use crate::access::{get, list, map, text};
use serde_json::{Map, Value};
use std::{collections::BTreeSet, fmt};

/// A pod or the template of one.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub(super) annotations: Option<&'a Map<String, Value>>,
    pub(super) spec: &'a Value,
}

/// What a subject does that it may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// `host namespaces`
    pub reason: String,
    /// `hostNetwork=true`
    pub detail: String,
}

/// `host namespaces (hostNetwork=true)`
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.detail {
            "" => f.write_str(&self.reason),
            detail => write!(f, "{} ({detail})", self.reason),
        }
    }
}

pub(super) fn violation(reason: impl Into<String>, detail: impl Into<String>) -> Option<Violation> {
    Some(Violation { reason: reason.into(), detail: detail.into() })
}

impl<'a> Subject<'a> {
    /// The subject of an object that has `metadata` and `spec`: a pod or a template.
    pub fn of(pod: &'a Value) -> Self {
        const NOTHING: &Value = &Value::Null;
        Self { annotations: map(pod, "metadata.annotations"), spec: pod.get("spec").unwrap_or(NOTHING) }
    }

    /// All containers: those that initialize first, those for debugging last.
    pub(super) fn containers(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        let spec = self.spec;
        ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(move |field| list(spec, field))
    }

    /// The names of the containers for which something holds.
    pub(super) fn names(&self, holds: impl Fn(&Value) -> bool) -> Vec<&'a str> {
        self.containers().filter(|c| holds(c)).map(|c| text(c, "name")).collect()
    }

    /// The field of the pod's security context.
    pub(super) fn context(&self, path: &str) -> Option<&'a Value> {
        security(self.spec, path)
    }

    pub(super) fn unless_windows(&self, test: impl Fn(&Self) -> Option<Violation>) -> Option<Violation> {
        if text(self.spec, "os.name") == "windows" { None } else { test(self) }
    }

    /// Root of a pod with users of its own is nobody on the node.
    pub(super) fn unless_own_users(&self, test: impl Fn(&Self) -> Option<Violation>) -> Option<Violation> {
        if self.spec.get("hostUsers") == Some(&Value::Bool(false)) { None } else { test(self) }
    }
}

/// A field of the security context of a pod's spec or of a container.
pub(super) fn security<'a>(owner: &'a Value, path: &str) -> Option<&'a Value> {
    get(owner.get("securityContext")?, path).filter(|value| !value.is_null())
}

/// `"a", "b"`
pub(super) fn quoted<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| format!("\"{}\"", item.as_ref())).collect();
    items.join(", ")
}

/// `container "a"` or `containers "a", "b"`
pub(super) fn containers_named(names: &[&str]) -> String {
    format!("{} {}", plural(names.len(), "container", "containers"), quoted(names))
}

pub(super) fn plural<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

/// The pod and its containers, as far as they are to blame: `pod and container "a"`.
pub(super) fn blamed(pod: bool, names: &[&str]) -> Option<String> {
    let pod = pod.then(|| "pod".to_owned());
    let containers = (!names.is_empty()).then(|| containers_named(names));
    let parts: Vec<String> = pod.into_iter().chain(containers).collect();
    (!parts.is_empty()).then(|| parts.join(" and "))
}

/// The texts that something set, sorted and each once.
pub(super) fn distinct<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    texts.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}
