//! [`Call`], [`Request`] and [`Answer`]: the vocabulary that HTTP and the in-process client share.

use crate::authn::User;
use orch_api::{Key, Kind, decode::Parsed};
use orch_store::{
    Stored,
    client::{DeleteOptions, ListOptions, Page, Patch, WatchOptions, WatchStream, WriteOptions},
};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// Who asks, and of which object.
#[derive(Clone)]
pub struct Call {
    /// Who asks.
    pub user: Arc<User>,
    /// The kind of the object.
    pub kind: Arc<Kind>,
    /// Its namespace and name; the name is empty for collections and for creates.
    pub key: Key,
    /// `status`, `scale`, …
    pub subresource: Option<Arc<str>>,
    /// What the client calls itself.
    pub user_agent: Arc<str>,
    /// What the client should be told beside the answer.
    pub warnings: Warnings,
    /// What the audit log should say of the request.
    pub annotations: Annotations,
}

/// What is said of a request beside its answer, from the moment on when its sender shows who he is. Clones share.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// What the client should be told.
    pub warnings: Warnings,
    /// What the audit log should say.
    pub annotations: Annotations,
}

impl Call {
    /// The same notes, for what is asked about another sender.
    pub fn notes(&self) -> Notes {
        Notes { warnings: self.warnings.clone(), annotations: self.annotations.clone() }
    }

    /// The same caller and warnings on another kind and object.
    #[must_use]
    pub fn on(&self, kind: Arc<Kind>, key: Key) -> Self {
        Self { kind, key, subresource: None, ..self.clone() }
    }

    /// The kind that a body must be: the subresource's where there is one.
    pub fn kind_of_body(&self) -> String {
        let of_subresource = self.subresource.as_deref().and_then(|name| self.kind.subresource(name));
        of_subresource.map_or_else(|| self.kind.kind.to_string(), |s| s.kind.kind.to_string())
    }

    /// The same call on an object of that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        Self { key: Key::new(self.key.namespace.clone(), name), ..self.clone() }
    }
}

/// Warnings collected while a request is served; each becomes a `Warning: 299` header.
#[derive(Clone, Debug, Default)]
pub struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    /// Adds a warning, once.
    pub fn add(&self, text: impl Into<String>) {
        let (text, mut all) = (text.into(), self.0.lock());
        if !all.contains(&text) {
            all.push(text);
        }
    }

    /// Takes what was collected.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// Notes for the audit log, collected while a request is served.
#[derive(Clone, Debug, Default)]
pub struct Annotations(Arc<Mutex<BTreeMap<String, String>>>);

impl Annotations {
    /// Notes something. What was noted first under a key stays.
    pub fn add(&self, key: impl Into<String>, value: impl Into<String>) {
        self.0.lock().entry(key.into()).or_insert_with(|| value.into());
    }

    /// What was noted.
    pub fn all(&self) -> BTreeMap<String, String> {
        self.0.lock().clone()
    }
}

/// A verb with its data.
pub enum Request {
    /// Reads one object.
    Get,
    /// Reads a collection.
    List(ListOptions),
    /// Follows a collection.
    Watch(WatchOptions),
    /// Creates an object.
    Create {
        /// The object, and which of its fields stood twice.
        body: Parsed,
        /// Options.
        options: WriteOptions,
    },
    /// Replaces an object.
    Update {
        /// The object, and which of its fields stood twice.
        body: Parsed,
        /// Options.
        options: WriteOptions,
    },
    /// Changes an object.
    Patch {
        /// The change.
        patch: Patch,
        /// Options.
        options: WriteOptions,
    },
    /// Deletes an object.
    Delete(DeleteOptions),
    /// Deletes many objects.
    DeleteCollection {
        /// Which.
        select: ListOptions,
        /// How.
        options: DeleteOptions,
    },
}

impl Request {
    /// The verb alone.
    pub fn verb(&self) -> Verb {
        match self {
            Self::Get => Verb::Get,
            Self::List(_) => Verb::List,
            Self::Watch(_) => Verb::Watch,
            Self::Create { .. } => Verb::Create,
            Self::Update { .. } => Verb::Update,
            Self::Patch { .. } => Verb::Patch,
            Self::Delete(_) => Verb::Delete,
            Self::DeleteCollection { .. } => Verb::DeleteCollection,
        }
    }
}

/// What is asked, as authorization names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `get`
    Get,
    /// `list`
    List,
    /// `watch`
    Watch,
    /// `create`
    Create,
    /// `update`
    Update,
    /// `patch`
    Patch,
    /// `delete`
    Delete,
    /// `deletecollection`
    DeleteCollection,
}

impl Verb {
    /// The verb as RBAC spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }
}

/// What comes of a request.
pub enum Answer {
    /// An object; `created` says whether it is new.
    Object {
        /// The object.
        object: Arc<Stored>,
        /// Whether this request made it.
        created: bool,
    },
    /// An object that was deleted, or that now waits for its deletion.
    Deleted {
        /// The object as it is now, or as it was last.
        object: Arc<Stored>,
        /// Whether it is gone.
        gone: bool,
    },
    /// A page of a collection.
    Page(Page),
    /// The events of a collection.
    Watch(WatchStream),
}

impl Answer {
    /// An existing object.
    pub fn object(object: Arc<Stored>) -> Self {
        Self::Object { object, created: false }
    }

    /// A new object.
    pub fn created(object: Arc<Stored>) -> Self {
        Self::Object { object, created: true }
    }
}
