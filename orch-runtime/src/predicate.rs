//! Predicates over changes: which of them matter. For [`Watches::only`](crate::Watches::only).
//!
//! Each is a function of the object before and after. An object that is new or gone always matters, since there
//! is nothing to compare.
//!
//! ```
//! use orch_runtime::{Watches, predicate::{self, Matters}};
//! # use k8s_openapi::api::core::v1::ConfigMap;
//! let watches = Watches::root::<ConfigMap>().only(predicate::generation.or(predicate::labels).or(predicate::deletion));
//! ```

use orch_store::{Stored, informer::Delta};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A function of a change, with the words to combine it.
pub trait Matters: Fn(&Delta) -> bool + Sized {
    /// Both must hold.
    fn and(self, other: impl Fn(&Delta) -> bool) -> impl Fn(&Delta) -> bool {
        move |delta: &Delta| self(delta) && other(delta)
    }

    /// One must hold.
    fn or(self, other: impl Fn(&Delta) -> bool) -> impl Fn(&Delta) -> bool {
        move |delta: &Delta| self(delta) || other(delta)
    }

    /// It must not hold.
    fn not(self) -> impl Fn(&Delta) -> bool {
        move |delta: &Delta| !self(delta)
    }
}

impl<F: Fn(&Delta) -> bool> Matters for F {}

/// The generation differs: the spec changed, for kinds that count generations. Another object of the same name
/// counts as a change as well.
pub fn generation(delta: &Delta) -> bool {
    differs(delta, |old, new| old.meta.uid != new.meta.uid || old.meta.generation != new.meta.generation)
}

/// The labels differ.
pub fn labels(delta: &Delta) -> bool {
    differs(delta, |old, new| old.meta.labels != new.meta.labels)
}

/// The annotations differ. They are read from the JSON of both, which costs a pass over each.
pub fn annotations(delta: &Delta) -> bool {
    differs(delta, |old, new| annotations_of(old) != annotations_of(new))
}

/// The finalizers differ.
pub fn finalizers(delta: &Delta) -> bool {
    differs(delta, |old, new| old.meta.finalizers != new.meta.finalizers)
}

/// The deletion was requested.
pub fn deletion(delta: &Delta) -> bool {
    differs(delta, |old, new| old.meta.is_deleting() != new.meta.is_deleting())
}

/// The resource version differs: false for what a re-list brings again.
pub fn resource_version(delta: &Delta) -> bool {
    differs(delta, |old, new| old.revision != new.revision)
}

/// The object is new to the cache.
pub fn created(delta: &Delta) -> bool {
    delta.old.is_none() && delta.new.is_some()
}

/// The object is gone.
pub fn deleted(delta: &Delta) -> bool {
    delta.new.is_none()
}

/// A part of the object differs, as the function reads it from the object before and after.
pub fn part<T: PartialEq>(read: impl Fn(&Stored) -> T) -> impl Fn(&Delta) -> bool {
    move |delta: &Delta| differs(delta, |old, new| read(old) != read(new))
}

/// It holds of the object as it is, or as it was last.
pub fn object(holds: impl Fn(&Stored) -> bool) -> impl Fn(&Delta) -> bool {
    move |delta: &Delta| delta.new.as_ref().or(delta.old.as_ref()).is_some_and(|object| holds(object))
}

fn differs(delta: &Delta, differ: impl Fn(&Stored, &Stored) -> bool) -> bool {
    match (&delta.old, &delta.new) {
        (Some(old), Some(new)) => differ(old, new),
        _ => true,
    }
}

fn annotations_of(stored: &Stored) -> BTreeMap<String, String> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Object {
        metadata: Metadata,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Metadata {
        annotations: Option<BTreeMap<String, String>>,
    }
    stored.parse::<Object>().unwrap_or_default().metadata.annotations.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn object(change: Value) -> Option<Arc<Stored>> {
        let mut metadata = json!({"name": "a", "uid": "u", "generation": 1, "resourceVersion": "1"});
        for (name, value) in change.as_object().unwrap() {
            metadata[name] = value.clone();
        }
        let json = json!({"metadata": metadata}).to_string();
        Some(Arc::new(Stored::from_json(json.into()).unwrap()))
    }

    #[track_caller]
    fn check(predicate: impl Fn(&Delta) -> bool, change: Value, expect: bool) {
        assert_eq!(predicate(&Delta { old: object(json!({})), new: object(change) }), expect);
    }

    #[test]
    fn each_predicate_sees_its_own_part_and_no_other() {
        check(generation, json!({"generation": 2}), true);
        check(generation, json!({"uid": "other"}), true);
        check(generation, json!({"labels": {"a": "b"}}), false);
        check(labels, json!({"labels": {"a": "b"}}), true);
        check(annotations, json!({"annotations": {"a": "b"}}), true);
        check(annotations, json!({"labels": {"a": "b"}}), false);
        check(finalizers, json!({"finalizers": ["a/b"]}), true);
        check(deletion, json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}), true);
        check(resource_version, json!({}), false);
        check(part(|s: &Stored| s.meta.owner_references.len()), json!({"ownerReferences": [{"uid": "o"}]}), true);
    }

    #[test]
    fn an_object_that_is_new_or_gone_always_matters() {
        for predicate in [generation, labels, annotations, finalizers, resource_version] {
            assert!(predicate(&Delta { old: None, new: object(json!({})) }));
            assert!(predicate(&Delta { old: object(json!({})), new: None }));
        }
    }

    #[test]
    fn predicates_combine() {
        check(generation.or(labels), json!({"labels": {"a": "b"}}), true);
        check(generation.and(labels), json!({"labels": {"a": "b"}}), false);
        check(generation.not().and(labels), json!({"labels": {"a": "b"}}), true);
    }
}
