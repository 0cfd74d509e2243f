//! From bytes to an object of known shape, with kube-apiserver's words for whatever is wrong
//! (`apimachinery/pkg/runtime/serializer/json`, `sigs.k8s.io/json`).
//!
//! [`parse`] reads JSON and notes duplicate fields. [`conform`] walks the value along a [`Schema`](crate::schema::Schema):
//! it prunes unknown fields, nulls and what Go's `omitempty` drops, checks types and brings quantities and times into canonical form.

mod conform;
mod parse;
#[cfg(test)]
mod tests;

pub use conform::{Conformed, conform, conform_applied};
pub use parse::{MAX_DEPTH, Parsed, parse};

use crate::StatusError;

/// Why bytes are no object. The texts are those of Go's `encoding/json`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are no JSON.
    #[error("{0}")]
    Syntax(String),
    /// A value has the wrong JSON type for its field.
    #[error("json: cannot unmarshal {found} into {place} of type {expected}")]
    Type {
        /// What stands there: `string`, `number 1.5`, `object`, …
        found: String,
        /// `Go struct field DeploymentSpec.spec.replicas`, or `Go value` outside of any object.
        place: String,
        /// The Go type that should stand there.
        expected: String,
    },
    /// A value has the right JSON type and a malformed content.
    #[error("{0}")]
    Content(String),
}

impl DecodeError {
    /// The refusal of a whole request body that claimed to be of this version and kind.
    pub fn refuse(&self, version: &str, kind: &str) -> StatusError {
        refusal(version, kind, self)
    }
}

/// The refusal of a body under `fieldValidation=Strict`; `None` where there is nothing to object to.
pub fn refuse_strict(parsed: &Parsed, conformed: &Conformed, version: &str, kind: &str) -> Option<StatusError> {
    let faults = strict_faults(parsed, conformed);
    (!faults.is_empty()).then(|| refusal(version, kind, format!("strict decoding error: {}", faults.join(", "))))
}

/// What strict decoding objects to, one sentence per field: also the warnings under `fieldValidation=Warn`.
pub fn strict_faults(parsed: &Parsed, conformed: &Conformed) -> Vec<String> {
    let unknown = conformed.unknown.iter().map(|path| format!("unknown field {path:?}"));
    let duplicate = parsed.duplicates.iter().filter(|path| !conformed.is_below_unknown(path));
    let fields = unknown.chain(duplicate.map(|path| format!("duplicate field {path:?}")));
    let mut faults: Vec<String> = parsed.faults.iter().cloned().chain(fields).collect();
    faults.truncate(MAX_FAULTS);
    faults
}

/// As many faults as `sigs.k8s.io/json` collects.
const MAX_FAULTS: usize = 100;

fn refusal(version: &str, kind: &str, why: impl std::fmt::Display) -> StatusError {
    StatusError::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"))
}
