//! [`Stored`]: one revision of one object, as its JSON bytes with what everybody asks for beside them.

mod intern;
mod memo;
mod meta;
mod parts;
mod string_map;
#[cfg(test)]
mod tests;

pub use meta::{Labels, Meta, Owner};
pub use parts::Parts;
pub use string_map::StringMap;

use crate::backend::Revision;
use bytes::Bytes;
use orch_api::{Key, Object, StatusError};
use parking_lot::Mutex;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::{
    any::Any,
    fmt,
    ops::Range,
    sync::{Arc, OnceLock, Weak},
};

/// The selectable fields of an object, by the words of field selectors.
pub type Fields = StringMap;

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
    fields: OnceLock<Fields>,
    decoded: Mutex<Option<Weak<dyn Any + Send + Sync>>>,
    memos: memo::Memos,
}

impl Stored {
    /// Reads an object's JSON. The revision is that of `metadata.resourceVersion`, zero when absent.
    pub fn from_json(json: Bytes) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Envelope {
            metadata: Meta,
        }
        let Envelope { metadata } = read(&json)?;
        Ok(Self::new(metadata, json))
    }

    /// An object whose metadata the caller has extracted already.
    pub fn new(meta: Meta, json: Bytes) -> Self {
        Self {
            key: Key { namespace: meta.namespace.clone(), name: meta.name.clone() },
            revision: meta.resource_version,
            meta,
            json,
            fields: OnceLock::new(),
            decoded: Mutex::new(None),
            memos: memo::Memos::default(),
        }
    }

    /// The same object as of another revision: only `metadata.resourceVersion` differs. This is how
    /// the last state of a deleted object tells the revision that deleted it.
    #[must_use]
    pub fn at_revision(&self, revision: Revision) -> Self {
        let json = splice(&self.json, revision).unwrap_or_else(|| self.json.clone());
        let meta = Meta { resource_version: revision, ..self.meta.clone() };
        Self { key: self.key.clone(), ..Self::new(meta, json) }.with_revision(revision)
    }

    /// Says which revision wrote the object, where the JSON itself does not.
    #[must_use]
    pub fn with_revision(mut self, revision: Revision) -> Self {
        self.revision = revision;
        self
    }

    /// Says what the object is called, where the JSON itself does not.
    #[must_use]
    pub fn with_key(mut self, key: Key) -> Self {
        self.key = key;
        self
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
        read(&self.json).map_err(|e| StatusError::internal(format_args!("decoding {}: {e}", self.key)))
    }

    /// The values of the selectable fields. The first call computes them; they are kept as long as
    /// this revision is, so every caller must pass the same function for the same resource.
    pub fn fields(&self, compute: impl FnOnce(&Stored) -> Fields) -> &Fields {
        self.fields.get_or_init(|| compute(self))
    }

    /// What a function reads out of this revision: computed by whoever asks first, shared with all who ask for the same
    /// function, and kept as long as the revision is. For small values, as it is memory that every object takes.
    pub fn memo<T: Send + Sync + 'static>(&self, read: fn(&Self) -> T) -> Arc<T> {
        self.memos.get(self, read)
    }

    /// A [`memo`](Self::memo) that is there already.
    pub fn remembered<T: Send + Sync + 'static>(&self, read: fn(&Self) -> T) -> Option<Arc<T>> {
        self.memos.find(read)
    }

    /// As [`parse`](Self::parse), read once as a [`memo`](Self::memo).
    pub fn parsed<T: DeserializeOwned + Send + Sync + 'static>(&self) -> Result<Arc<T>, StatusError> {
        Result::clone(&self.memo(|stored| stored.parse().map(Arc::new)))
    }

    /// The managing controller, if the object has one.
    pub fn controller(&self) -> Option<&Owner> {
        self.meta.controller()
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.key, self.revision)
    }
}

/// Reads JSON that is text as text: looked at once as a whole, it need not be looked at again string by string.
fn read<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, serde_json::Error> {
    match std::str::from_utf8(json) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(json),
    }
}

/// The JSON with another `metadata.resourceVersion`, or `None` where it has none.
fn splice(json: &Bytes, revision: Revision) -> Option<Bytes> {
    let span = revision_span(json)?;
    let (before, after) = (json.get(..span.start)?, json.get(span.end..)?);
    let new = format!("\"{revision}\"");
    Some([before, new.as_bytes(), after].concat().into())
}

/// Where the value of `metadata.resourceVersion` stands, its quotes included.
pub(crate) fn revision_span(json: &[u8]) -> Option<Range<usize>> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        metadata: Metadata<'a>,
    }
    #[derive(Deserialize)]
    struct Metadata<'a> {
        #[serde(borrow, rename = "resourceVersion")]
        resource_version: &'a RawValue,
    }
    let envelope: Envelope<'_> = serde_json::from_slice(json).ok()?;
    let value = envelope.metadata.resource_version.get();
    // The raw value borrows from the input, so the distance of the pointers is its offset.
    let start = (value.as_ptr() as usize).checked_sub(json.as_ptr() as usize)?;
    Some(start..start + value.len())
}
