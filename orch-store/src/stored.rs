//! [`Stored`]: one revision of one object, as its JSON bytes with what everybody asks for beside them.

use crate::backend::Revision;
use bytes::Bytes;
use orch_api::{Key, Object, StatusError};
use parking_lot::Mutex;
use serde::{Deserialize, de::DeserializeOwned};
use std::{
    any::Any,
    fmt,
    sync::{Arc, Weak},
};

/// One revision of one object. Immutable, shared by the log, the caches and every watcher.
///
/// The typed form is decoded when someone needs it and shared while someone holds it; it is never
/// kept, because a decoded Pod takes seven times the memory of its JSON.
pub struct Stored {
    /// Namespace and name.
    pub key: Key,
    /// The revision that wrote it: `metadata.resourceVersion`.
    pub revision: Revision,
    /// What selectors, the GC and controllers ask for most.
    pub meta: Meta,
    /// The whole object as JSON, `metadata.resourceVersion` included.
    pub json: Bytes,
    decoded: Mutex<Option<Weak<dyn Any + Send + Sync>>>,
}

/// The part of `metadata` that is extracted once per revision.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// Name.
    pub name: Arc<str>,
    /// Namespace, empty when cluster-scoped.
    pub namespace: Arc<str>,
    /// UID, empty when the object has none (Scale, reviews).
    pub uid: Arc<str>,
    /// `metadata.resourceVersion`, empty before the first write.
    pub resource_version: String,
    /// `metadata.generation`
    pub generation: i64,
    /// Labels, sorted by key.
    pub labels: std::collections::BTreeMap<Arc<str>, Arc<str>>,
    /// Owner references.
    pub owner_references: Vec<Owner>,
    /// Finalizers that are still to run.
    pub finalizers: Vec<Arc<str>>,
    /// Set once deletion was requested.
    pub deletion_timestamp: Option<jiff::Timestamp>,
    /// When the object was created.
    pub creation_timestamp: Option<jiff::Timestamp>,
}

/// An owner reference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Owner {
    /// Group and version of the owner.
    pub api_version: Arc<str>,
    /// Kind of the owner.
    pub kind: Arc<str>,
    /// Name of the owner.
    pub name: Arc<str>,
    /// UID of the owner.
    pub uid: Arc<str>,
    /// Whether this owner is the managing controller.
    pub controller: bool,
    /// Whether foreground deletion of the owner waits for this object.
    pub block_owner_deletion: bool,
}

impl Stored {
    /// Reads an object's JSON. The revision is that of `metadata.resourceVersion`, zero when absent.
    pub fn from_json(json: Bytes) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Envelope {
            metadata: Meta,
        }
        let Envelope { metadata } = serde_json::from_slice(&json)?;
        Ok(Self::new(metadata, json))
    }

    /// An object whose metadata the caller has extracted already.
    pub fn new(meta: Meta, json: Bytes) -> Self {
        Self {
            key: Key { namespace: meta.namespace.clone(), name: meta.name.clone() },
            revision: Revision(meta.resource_version.parse().unwrap_or(0)),
            meta,
            json,
            decoded: Mutex::new(None),
        }
    }

    /// The typed form, shared with whoever else holds it.
    pub fn decode<K: Object>(&self) -> Result<Arc<K>, StatusError> {
        let mut slot = self.decoded.lock();
        if let Some(shared) = slot.as_ref().and_then(Weak::upgrade)
            && let Ok(typed) = shared.downcast::<K>()
        {
            return Ok(typed);
        }
        let typed: Arc<K> = Arc::new(self.parse()?);
        let erased: Arc<dyn Any + Send + Sync> = typed.clone();
        *slot = Some(Arc::downgrade(&erased));
        Ok(typed)
    }

    /// A private copy of any serde type: a projection that reads a few fields, or a `Value`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, StatusError> {
        serde_json::from_slice(&self.json)
            .map_err(|e| StatusError::internal(format_args!("decoding {}: {e}", self.key)))
    }

    /// The managing controller, if the object has one.
    pub fn controller(&self) -> Option<&Owner> {
        self.meta.owner_references.iter().find(|o| o.controller)
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.key, self.revision)
    }
}
