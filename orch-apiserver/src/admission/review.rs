//! [`Review`]: a write, as plugins see it.

use crate::{
    authn::User,
    core::{Call, json},
};
use orch_api::{Gvk, Key, StatusError};
use orch_store::client::{DeleteOptions, FieldValidation, Propagation, WriteOptions};
use serde_json::{Value, json};

/// What a write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new object.
    Create,
    /// A changed object.
    Update,
    /// A deletion.
    Delete,
    /// A stream or a proxied request: exec, attach, port-forward, proxy.
    Connect,
}

impl Operation {
    /// The operation as rules spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// The options of the operation.
#[derive(Clone, Copy)]
pub enum Options<'a> {
    /// A connection has none beside its object.
    None,
    /// Of a create or an update.
    Write(&'a WriteOptions),
    /// Of a deletion.
    Delete(&'a DeleteOptions),
}

/// What a plugin is asked to admit.
#[derive(Clone, Copy)]
pub struct Review<'a> {
    /// Who asks, and for which kind and subresource.
    pub call: &'a Call,
    /// The object's namespace and name.
    pub key: &'a Key,
    /// What the write does.
    pub operation: Operation,
    /// The stored object, on updates and deletions.
    pub old: Option<&'a Value>,
    /// How it is to be done.
    pub options: Options<'a>,
    /// Whether nothing will be stored.
    pub dry_run: bool,
}

impl Review<'_> {
    /// Whether the write is about this resource itself and not about a subresource of it.
    pub fn is(&self, group: &str, resource: &str) -> bool {
        self.is_of(group, resource) && self.call.subresource.is_none()
    }

    /// Whether the write is about this resource or a subresource of it.
    pub fn is_of(&self, group: &str, resource: &str) -> bool {
        self.call.kind.group == group && self.call.kind.plural == resource
    }

    /// `status`, `exec`, …; empty for the object itself.
    pub fn subresource(&self) -> &str {
        self.call.subresource.as_deref().unwrap_or_default()
    }

    /// Who asks.
    pub fn user(&self) -> &User {
        &self.call.user
    }

    /// The namespace that the write is in. A Namespace is in itself.
    pub fn namespace(&self) -> &str {
        if self.is_of("", "namespaces") { &self.key.name } else { &self.key.namespace }
    }

    /// The kind of the object that is written: that of the subresource, where it has its own.
    pub fn gvk(&self) -> Gvk {
        let kind = &self.call.kind;
        kind.subresource(self.subresource()).map_or_else(|| kind.gvk(), |subresource| subresource.kind.clone())
    }

    /// `CreateOptions`, `UpdateOptions` or `DeleteOptions` as JSON; null where there are none.
    pub fn options_value(&self) -> Value {
        match self.options {
            Options::None => Value::Null,
            Options::Write(options) if self.operation == Operation::Create => write_options("CreateOptions", options),
            Options::Write(options) => write_options("UpdateOptions", options),
            Options::Delete(options) => delete_options(options),
        }
    }

    /// `pods "web" is forbidden: …`; an object that has no name yet goes by its `generateName`.
    pub fn forbidden(&self, object: &Value, why: impl std::fmt::Display) -> StatusError {
        let name = match (&*self.key.name, json::meta(object, "name"), json::meta(object, "generateName")) {
            ("", "", "") => "Unknown",
            ("", "", generate) => generate,
            ("", own, _) => own,
            (name, ..) => name,
        };
        StatusError::forbidden(&self.call.kind.gvr(), name, why)
    }
}

fn write_options(kind: &str, options: &WriteOptions) -> Value {
    let mut value = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
    if options.dry_run {
        json::set(&mut value, &["dryRun"], vec!["All"]);
    }
    if !options.field_manager.is_empty() {
        json::set(&mut value, &["fieldManager"], options.field_manager.clone());
    }
    let validation = match options.field_validation {
        FieldValidation::Ignore => "Ignore",
        FieldValidation::Warn => return value,
        FieldValidation::Strict => "Strict",
    };
    json::set(&mut value, &["fieldValidation"], validation);
    value
}

fn delete_options(options: &DeleteOptions) -> Value {
    let mut value = json!({"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"});
    if options.dry_run {
        json::set(&mut value, &["dryRun"], vec!["All"]);
    }
    if let Some(seconds) = options.grace_period_seconds {
        json::set(&mut value, &["gracePeriodSeconds"], seconds);
    }
    if let Some(uid) = &options.uid {
        json::set(&mut value, &["preconditions", "uid"], &**uid);
    }
    if let Some(revision) = options.revision {
        json::set(&mut value, &["preconditions", "resourceVersion"], revision.to_string());
    }
    let propagation = match options.propagation {
        Some(Propagation::Orphan) => "Orphan",
        Some(Propagation::Background) => "Background",
        Some(Propagation::Foreground) => "Foreground",
        None => return value,
    };
    json::set(&mut value, &["propagationPolicy"], propagation);
    value
}
