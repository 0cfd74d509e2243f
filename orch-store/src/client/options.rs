//! What goes into a request and what comes out of it, as plain data.

use crate::{backend::Revision, stored::Stored};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// Which objects a list reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListOptions {
    /// Only this namespace; empty for all.
    pub namespace: Arc<str>,
    /// A label selector, empty for everything.
    pub labels: String,
    /// A field selector, empty for everything.
    pub fields: String,
    /// At most this many objects; 0 for all.
    pub limit: usize,
    /// Where the previous page ended.
    pub continue_token: String,
    /// `resourceVersion` with `resourceVersionMatch`.
    pub revision: ReadAt,
    /// Only `metadata` is wanted. A server over HTTP then sends only that (`PartialObjectMetadata`); one
    /// in process shares the whole object, which costs nothing.
    pub metadata_only: bool,
}

/// How fresh, or which, a read must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadAt {
    /// The newest there is (`resourceVersion` unset).
    #[default]
    Latest,
    /// Whatever the cache holds (`resourceVersion=0`).
    Any,
    /// At least this revision.
    NotOlderThan(Revision),
    /// Exactly this revision.
    Exact(Revision),
}

/// Which objects a watch follows, and from where.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WatchOptions {
    /// Only this namespace; empty for all.
    pub namespace: Arc<str>,
    /// A label selector, empty for everything.
    pub labels: String,
    /// A field selector, empty for everything.
    pub fields: String,
    /// Events after this revision; `None` for the current state as ADDED events and then what follows.
    pub after: Option<Revision>,
    /// Whether to begin with the current state, not older than `after`, and a bookmark that ends it
    /// (`sendInitialEvents`).
    pub initial_events: bool,
    /// Whether bookmarks may be sent.
    pub bookmarks: bool,
    /// When the server should end the watch. Where bookmarks were asked for, the last event before that
    /// end is a bookmark that covers everything the server had seen by then.
    pub timeout: Option<Duration>,
    /// Only `metadata` is wanted, as in [`ListOptions::metadata_only`].
    pub metadata_only: bool,
}

/// A page of a list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The objects, in key order.
    pub items: Vec<Arc<Stored>>,
    /// The revision at which the list holds.
    pub revision: Revision,
    /// Where the next page begins; empty when there is none.
    pub continue_token: String,
    /// How many objects follow this page, when that is known.
    pub remaining: Option<u64>,
}

/// One event of a watch.
#[derive(Clone, Debug)]
pub enum WatchEvent {
    /// The object appeared, or began to match the selector.
    Added(Arc<Stored>),
    /// The object changed.
    Modified(Arc<Stored>),
    /// The object is gone, or no longer matches: its last state, at the revision that removed it.
    Deleted(Arc<Stored>),
    /// Everything up to this revision has been sent.
    Bookmark {
        /// Up to where.
        revision: Revision,
        /// Whether this ends the initial events.
        initial_events_end: bool,
    },
}

impl WatchEvent {
    /// The object that it is about; `None` for a bookmark.
    pub fn object(&self) -> Option<&Arc<Stored>> {
        match self {
            Self::Added(object) | Self::Modified(object) | Self::Deleted(object) => Some(object),
            Self::Bookmark { .. } => None,
        }
    }

    /// The same event about another form of its object.
    #[must_use]
    pub fn map(self, form: impl FnOnce(Arc<Stored>) -> Arc<Stored>) -> Self {
        match self {
            Self::Added(object) => Self::Added(form(object)),
            Self::Modified(object) => Self::Modified(form(object)),
            Self::Deleted(object) => Self::Deleted(form(object)),
            bookmark @ Self::Bookmark { .. } => bookmark,
        }
    }

    /// The revision that it tells of.
    pub fn revision(&self) -> Revision {
        match self {
            Self::Added(object) | Self::Modified(object) | Self::Deleted(object) => object.revision,
            Self::Bookmark { revision, .. } => *revision,
        }
    }
}

/// Options of create, update and patch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WriteOptions {
    /// Who owns the fields that this write sets; the server falls back to the client's name.
    pub field_manager: String,
    /// Decide everything, store nothing.
    pub dry_run: bool,
    /// What to do about unknown and duplicate fields.
    pub field_validation: FieldValidation,
    /// For apply: take over fields that others own.
    pub force: bool,
}

/// What to do about unknown and duplicate fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// Drop them silently.
    Ignore,
    /// Drop them and say so in a warning.
    #[default]
    Warn,
    /// Refuse the request.
    Strict,
}

/// A change to an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    /// RFC 6902.
    Json(Value),
    /// RFC 7396.
    Merge(Value),
    /// Kubernetes' strategic merge patch.
    Strategic(Value),
    /// Server-side apply.
    Apply(Value),
}

/// Options of delete.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeleteOptions {
    /// Delete only the object with this UID.
    pub uid: Option<Arc<str>>,
    /// Delete only at this revision.
    pub revision: Option<Revision>,
    /// Seconds to wait for a graceful end; the kind's default when unset.
    pub grace_period_seconds: Option<i64>,
    /// What happens to dependents; the kind's default when unset.
    pub propagation: Option<Propagation>,
    /// Decide everything, delete nothing.
    pub dry_run: bool,
}

/// What happens to the dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They live on without an owner.
    Orphan,
    /// The garbage collector deletes them afterwards.
    Background,
    /// They are deleted first.
    Foreground,
}
