//! [`At`]: where in an object a value stands, and how faults of it are told.

use crate::{FieldError, Path};
use serde_json::Value;

/// A place: the path of the whole value, which messages do not show, and the path within it.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) prefix: &'a str,
    pub(super) path: &'a str,
}

impl At<'_> {
    /// The path within the object.
    pub(super) fn full(&self) -> Path {
        match (self.prefix, self.path) {
            ("", path) => Path::new(path),
            (prefix, "") => Path::new(prefix),
            (prefix, path) => Path::new(prefix).child(path),
        }
    }

    /// A message about this place.
    pub(super) fn says(&self, words: impl std::fmt::Display) -> String {
        format!("{} in body {words}", self.path)
    }

    /// A value that breaks a rule.
    pub(super) fn invalid(&self, value: &Value, words: impl std::fmt::Display) -> FieldError {
        FieldError::invalid(&self.full(), value.clone(), self.says(words))
    }

    /// The path of the whole value, for faults that upstream knows no other of.
    pub(super) fn root(&self) -> Path {
        if self.prefix.is_empty() { Path::default() } else { Path::new(self.prefix) }
    }

    /// A fault of a whole alternative.
    pub(super) fn composite(&self, words: impl std::fmt::Display) -> FieldError {
        FieldError::invalid(&self.root(), "", format!("{:?} {words}", self.path))
    }

    /// The place one step further.
    pub(super) fn below<R>(&self, step: &str, inner: impl FnOnce(&At<'_>) -> R) -> R {
        let path = match (self.path, step.starts_with('[')) {
            ("", _) => step.to_owned(),
            (path, true) => format!("{path}{step}"),
            (path, false) => format!("{path}.{step}"),
        };
        inner(&At { prefix: self.prefix, path: &path })
    }
}
