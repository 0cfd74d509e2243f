//! [`Action`]: one write.

use super::{diff::changes, propagation_word};
use k8s_openapi::api::core::v1::ObjectReference;
use orch_api::{Gvr, Key, Object, key::Name};
use orch_store::client::{DeleteOptions, Patch};
use serde_json::Value;
use std::{fmt, sync::Arc};

/// One write, with its preconditions.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Create an object.
    Create {
        /// What. The name may be empty when the body has a `generateName`.
        target: Target,
        /// The object; what is created many times is one tree.
        body: Arc<Value>,
        /// An event about the outcome.
        announce: Option<Announce>,
        /// Whether it is fine if the object exists.
        may_exist: bool,
    },
    /// Replace an object or a subresource. The body carries the resourceVersion that must be current.
    Update {
        /// What.
        target: Target,
        /// `status`, `finalize`, …
        subresource: Option<&'static str>,
        /// What the controller saw: for the printed form.
        before: Value,
        /// The new object.
        body: Value,
    },
    /// Patch an object or a subresource.
    Patch {
        /// What.
        target: Target,
        /// `status`, `scale`, …
        subresource: Option<&'static str>,
        /// The change.
        patch: Patch,
    },
    /// Apply a status.
    ApplyStatus {
        /// What.
        target: Target,
        /// Who owns the fields.
        manager: &'static str,
        /// The fields.
        body: Value,
    },
    /// Delete an object.
    Delete {
        /// What.
        target: Target,
        /// Preconditions, propagation and grace.
        options: DeleteOptions,
        /// An event about the outcome.
        announce: Option<Announce>,
    },
    /// Delete all objects of a resource in a namespace.
    DeleteAll {
        /// The resource.
        gvr: Gvr,
        /// The namespace.
        namespace: Arc<str>,
    },
    /// Record an event.
    Event(Notice),
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Its resource.
    pub gvr: Gvr,
    /// Its kind, for the printed form.
    pub kind: Name,
    /// Its name.
    pub key: Key,
}

/// Whether an event is good news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Things go as they should.
    Normal,
    /// Someone should look.
    Warning,
}

impl EventKind {
    /// The word in the event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// An event to record.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// About which object.
    pub regarding: ObjectReference,
    /// Good news or bad.
    pub kind: EventKind,
    /// CamelCase reason.
    pub reason: String,
    /// For people.
    pub message: String,
}

impl Notice {
    /// Good news about an object.
    pub fn normal<K: Object>(about: &K, reason: &str, message: impl Into<String>) -> Self {
        let (kind, regarding) = (EventKind::Normal, reference(about));
        Self { regarding, kind, reason: reason.into(), message: message.into() }
    }

    /// Bad news about an object.
    pub fn warning<K: Object>(about: &K, reason: &str, message: impl Into<String>) -> Self {
        Self { kind: EventKind::Warning, ..Self::normal(about, reason, message) }
    }
}

/// The events that tell the outcome of a write. In the messages `{}` stands for the object's name or
/// for the words of the refusal.
#[derive(Clone, Debug, PartialEq)]
pub struct Announce {
    /// About which object, usually the owner.
    pub regarding: ObjectReference,
    /// Reason and message when it went well: `SuccessfulCreate`, `Created pod: {}`.
    pub success: Option<(&'static str, String)>,
    /// Reason and message of a refusal: `FailedCreate`, `Error creating: {}`. The reason also becomes
    /// that of the key's [`Failure`](crate::view::Failure).
    pub failure: (&'static str, String),
}

impl Announce {
    /// Announces what was created for an object.
    pub fn created<K: Object>(owner: &K, success: &str) -> Self {
        Self {
            regarding: reference(owner),
            success: Some(("SuccessfulCreate", success.into())),
            failure: ("FailedCreate", "Error creating: {}".into()),
        }
    }

    /// Announces what was deleted for an object.
    pub fn deleted<K: Object>(owner: &K, success: &str) -> Self {
        Self {
            regarding: reference(owner),
            success: Some(("SuccessfulDelete", success.into())),
            failure: ("FailedDelete", "Error deleting: {}".into()),
        }
    }
}

/// A reference to an object, for events.
pub fn reference<K: Object>(object: &K) -> ObjectReference {
    let (gvk, meta) = (K::gvk(), object.meta());
    ObjectReference {
        api_version: Some(gvk.api_version()),
        kind: Some(gvk.kind.into_owned()),
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        ..ObjectReference::default()
    }
}

impl Action {
    /// The resource that is written; `None` for events, which no controller reads again.
    pub fn resource(&self) -> Option<&Gvr> {
        match self {
            Self::Create { target, .. }
            | Self::Update { target, .. }
            | Self::Patch { target, .. }
            | Self::ApplyStatus { target, .. }
            | Self::Delete { target, .. } => Some(&target.gvr),
            Self::DeleteAll { gvr, .. } => Some(gvr),
            Self::Event(_) => None,
        }
    }

    /// Whether the action only reports a status: it goes on even if an earlier action was refused.
    pub fn reports(&self) -> bool {
        match self {
            Self::Update { subresource, .. } | Self::Patch { subresource, .. } => *subresource == Some("status"),
            Self::ApplyStatus { .. } => true,
            _ => false,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.key)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { target, body, .. } => {
                write!(f, "create {target}")?;
                if target.key.name.is_empty() {
                    let prefix = body.pointer("/metadata/generateName").and_then(Value::as_str).unwrap_or_default();
                    write!(f, "{prefix}*")?;
                }
                match body.pointer("/spec/replicas") {
                    Some(replicas) => write!(f, " replicas={replicas}"),
                    None => Ok(()),
                }
            }
            Self::Update { target, subresource, before, body } => {
                let verb = subresource.unwrap_or("update");
                let lines = match subresource {
                    Some("status") => {
                        let part = |tree: &Value, path| tree.pointer(path).cloned().unwrap_or_default();
                        let parts = |path| changes(&part(before, path), &part(body, path));
                        [parts("/metadata/annotations"), parts("/status")].concat()
                    }
                    _ => changes(before, body),
                };
                write!(f, "{verb} {target} {}", lines.join(" "))
            }
            Self::Patch { target, subresource, patch } => {
                let body = match patch {
                    Patch::Json(v) | Patch::Merge(v) | Patch::Strategic(v) | Patch::Apply(v) => v,
                };
                match subresource {
                    Some(sub) => write!(f, "patch {target} {sub} {body}"),
                    None => write!(f, "patch {target} {body}"),
                }
            }
            Self::ApplyStatus { target, manager, body } => {
                let status = body.get("status").unwrap_or(body);
                write!(f, "apply status of {target} as {manager} {status}")
            }
            Self::Delete { target, options, .. } => {
                write!(f, "delete {target}")?;
                if let Some(propagation) = options.propagation {
                    write!(f, " {}", propagation_word(propagation))?;
                }
                match options.grace_period_seconds {
                    Some(seconds) => write!(f, " grace={seconds}s"),
                    None => Ok(()),
                }
            }
            Self::DeleteAll { gvr, namespace } => write!(f, "delete all {} in {namespace}", gvr.group_resource()),
            Self::Event(notice) => write!(f, "event {} {}: {}", notice.kind.as_str(), notice.reason, notice.message),
        }
    }
}
