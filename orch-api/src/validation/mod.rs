//! Validation: what the API server refuses, with Kubernetes' own paths and words
//! (`pkg/apis/*/validation`, `apimachinery/pkg/api/validation`).
//!
//! Every function collects all faults of an object that has been defaulted and prepared; none means valid.
//! A validator walks the JSON and costs nothing but the walk while nothing is wrong.

mod amount;
mod at;
mod meta;
mod names;
mod selector;
#[cfg(test)]
mod tests;

pub(crate) use amount::Amount;
pub(crate) use at::same;

use crate::{FieldErrors, kind::Kind};
use at::{At, Run};
use serde_json::Value;

/// How a kind validates. `update` and `status` run beside the rules of the metadata.
struct Rules {
    name: meta::NameRule,
    create: fn(At<'_>),
    update: fn(At<'_>, At<'_>),
    status: fn(At<'_>, At<'_>),
}

/// Judges a new object.
pub fn create(kind: &Kind, object: &Value) -> FieldErrors {
    let run = Run::default();
    let at = run.root(object);
    let rules = rules(kind);
    meta::created(kind, rules.name, at.at("metadata"));
    (rules.create)(at);
    run.finish()
}

/// Judges an update of an object.
pub fn update(kind: &Kind, new: &Value, old: &Value) -> FieldErrors {
    let run = Run::default();
    let (new, old) = (run.root(new), run.root(old));
    meta::updated(new.at("metadata"), old.at("metadata"));
    (rules(kind).update)(new, old);
    run.finish()
}

/// Judges an update of the status of an object.
pub fn status_update(kind: &Kind, new: &Value, old: &Value) -> FieldErrors {
    let run = Run::default();
    let (new, old) = (run.root(new), run.root(old));
    meta::updated(new.at("metadata"), old.at("metadata"));
    (rules(kind).status)(new, old);
    run.finish()
}

fn rules(kind: &Kind) -> Rules {
    let base = Rules { name: names::dns_subdomain, create: |_| (), update: |_, _| (), status: |_, _| () };
    match (&*kind.group, &*kind.kind) {
        _ => base,
    }
}
