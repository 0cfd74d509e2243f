//! [`Meta`]: the part of `metadata` that is extracted once per revision.

use super::{StringMap, intern::intern};
use crate::backend::Revision;
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use std::{fmt, marker::PhantomData, sync::Arc};

/// The labels of an object.
pub type Labels = StringMap;

/// The part of `metadata` that is extracted once per revision. Small: there is one for every object.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// Name.
    #[serde(deserialize_with = "own")]
    pub name: Arc<str>,
    /// Namespace, empty when cluster-scoped.
    #[serde(deserialize_with = "share")]
    pub namespace: Arc<str>,
    /// UID, empty when the object has none (Scale, reviews).
    #[serde(deserialize_with = "own")]
    pub uid: Arc<str>,
    /// `metadata.resourceVersion`: zero before the first write, or when it is not a number.
    #[serde(deserialize_with = "revision")]
    pub resource_version: Revision,
    /// `metadata.generation`
    pub generation: i64,
    /// Labels, sorted by key.
    pub labels: Labels,
    /// Owner references.
    #[serde(deserialize_with = "slice")]
    pub owner_references: Box<[Owner]>,
    /// Finalizers that are still to run.
    #[serde(deserialize_with = "shared_slice")]
    pub finalizers: Box<[Arc<str>]>,
    /// Set once deletion was requested.
    pub deletion_timestamp: Option<jiff::Timestamp>,
    /// When the object was created.
    pub creation_timestamp: Option<jiff::Timestamp>,
}

impl Meta {
    /// The managing controller, if there is one.
    pub fn controller(&self) -> Option<&Owner> {
        self.owner_references.iter().find(|o| o.controller)
    }

    /// Whether deletion was requested.
    pub fn is_deleting(&self) -> bool {
        self.deletion_timestamp.is_some()
    }

    /// Whether the finalizer is still to run.
    pub fn has_finalizer(&self, name: &str) -> bool {
        self.finalizers.iter().any(|f| &**f == name)
    }
}

/// An owner reference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Owner {
    /// Group and version of the owner.
    #[serde(deserialize_with = "share")]
    pub api_version: Arc<str>,
    /// Kind of the owner.
    #[serde(deserialize_with = "share")]
    pub kind: Arc<str>,
    /// Name of the owner.
    #[serde(deserialize_with = "share")]
    pub name: Arc<str>,
    /// UID of the owner.
    #[serde(deserialize_with = "share")]
    pub uid: Arc<str>,
    /// Whether this owner is the managing controller.
    #[serde(deserialize_with = "flag")]
    pub controller: bool,
    /// Whether foreground deletion of the owner waits for this object.
    #[serde(deserialize_with = "flag")]
    pub block_owner_deletion: bool,
}

/// A string of this object alone.
fn own<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    deserializer.deserialize_any(Text(|text| Arc::from(text)))
}

/// A string that many objects have in common.
fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    deserializer.deserialize_any(Text(intern))
}

fn revision<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Revision, D::Error> {
    deserializer.deserialize_any(Text(|text| Revision(text.parse().unwrap_or(0))))
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(false))
}

fn slice<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Box<[T]>, D::Error> {
    deserializer.deserialize_any(Items(PhantomData::<T>)).map(Vec::into_boxed_slice)
}

fn shared_slice<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<[Arc<str>]>, D::Error> {
    #[derive(Deserialize)]
    struct Shared(#[serde(deserialize_with = "share")] Arc<str>);
    let items = deserializer.deserialize_any(Items(PhantomData::<Shared>))?;
    Ok(items.into_iter().map(|s| s.0).collect())
}

/// Makes something of a string without owning it in between; null is the empty string.
struct Text<T>(fn(&str) -> T);

impl<T> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok((self.0)(text))
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok((self.0)(""))
    }
}

/// A list; null is the empty list.
struct Items<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(all)
    }
}
