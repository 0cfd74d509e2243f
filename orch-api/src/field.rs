//! Field paths and field errors with the wording of Kubernetes
//! (`apimachinery/pkg/util/validation/field`).

use serde_json::Value;
use std::fmt::{self, Write};

/// A path such as `spec.containers[0].env[FOO].name`. Cheap to extend: each step copies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    /// A path that starts at the named field.
    pub fn new(field: &str) -> Self {
        Self(field.to_owned())
    }

    /// `self.field`
    #[must_use]
    pub fn child(&self, field: &str) -> Self {
        if self.0.is_empty() { Self::new(field) } else { Self(format!("{}.{field}", self.0)) }
    }

    /// `self[i]`
    #[must_use]
    pub fn index(&self, i: usize) -> Self {
        Self(format!("{}[{i}]", self.0))
    }

    /// `self[key]`
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "<nil>" } else { &self.0 })
    }
}

/// What is wrong with a field; the names are those of `Status.details.causes[].reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `FieldValueRequired`
    Required,
    /// `FieldValueDuplicate`
    Duplicate,
    /// `FieldValueInvalid`
    Invalid,
    /// `FieldValueTypeInvalid`
    TypeInvalid,
    /// `FieldValueNotSupported`
    NotSupported,
    /// `FieldValueForbidden`
    Forbidden,
    /// `FieldValueNotFound`
    NotFound,
    /// `FieldValueTooLong`
    TooLong,
    /// `FieldValueTooShort`
    TooShort,
    /// `FieldValueTooMany`
    TooMany,
    /// `FieldValueTooFew`
    TooFew,
    /// `InternalError`
    Internal,
}

impl Fault {
    /// The cause's machine-readable reason.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::NotFound => "FieldValueNotFound",
            Self::TooLong => "FieldValueTooLong",
            Self::TooShort => "FieldValueTooShort",
            Self::TooMany => "FieldValueTooMany",
            Self::TooFew => "FieldValueTooFew",
            Self::Internal => "InternalError",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not found",
            Self::TooLong => "Too long",
            Self::TooShort => "Too short",
            Self::TooMany => "Too many",
            Self::TooFew => "Too few",
            Self::Internal => "Internal error",
        }
    }

    fn shows_value(self) -> bool {
        !matches!(self, Self::Required | Self::Forbidden | Self::TooLong | Self::TooShort | Self::Internal)
    }
}

/// One fault of one field, printed as Kubernetes prints it.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// Where.
    pub path: Path,
    /// What kind of fault.
    pub fault: Fault,
    /// The offending value, `Null` where none is shown.
    pub value: Value,
    /// The explanation, may be empty.
    pub detail: String,
    /// Whether the value stays out of the message although its fault would show it.
    bare: bool,
}

/// All faults found in one object. Validation collects, it never stops at the first.
pub type FieldErrors = Vec<FieldError>;

impl FieldError {
    fn make(path: &Path, fault: Fault, value: Value, detail: impl Into<String>) -> Self {
        Self { path: path.clone(), fault, value, detail: detail.into(), bare: false }
    }

    /// The field must have a value.
    pub fn required(path: &Path, detail: impl Into<String>) -> Self {
        Self::make(path, Fault::Required, Value::Null, detail)
    }

    /// The value stands in the list already.
    pub fn duplicate(path: &Path, value: impl Into<Value>) -> Self {
        Self::make(path, Fault::Duplicate, value.into(), "")
    }

    /// The value stands in the list already, and showing it would not help.
    pub fn duplicate_bare(path: &Path) -> Self {
        Self { bare: true, ..Self::make(path, Fault::Duplicate, Value::Null, "") }
    }

    /// The value is malformed or out of range.
    pub fn invalid(path: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::make(path, Fault::Invalid, value.into(), detail)
    }

    /// The value is invalid, and showing it would not help.
    pub fn invalid_bare(path: &Path, detail: impl Into<String>) -> Self {
        Self { bare: true, ..Self::make(path, Fault::Invalid, Value::Null, detail) }
    }

    /// The value is none of `supported`, which must come sorted.
    pub fn not_supported(path: &Path, value: impl Into<Value>, supported: &[&str]) -> Self {
        let quoted: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        let detail = if quoted.is_empty() { String::new() } else { format!("supported values: {}", quoted.join(", ")) };
        Self::make(path, Fault::NotSupported, value.into(), detail)
    }

    /// The field may not be set here, or may not change.
    pub fn forbidden(path: &Path, detail: impl Into<String>) -> Self {
        Self::make(path, Fault::Forbidden, Value::Null, detail)
    }

    /// What the value names does not exist.
    pub fn not_found(path: &Path, value: impl Into<Value>) -> Self {
        Self::make(path, Fault::NotFound, value.into(), "")
    }

    /// The value has more than `max` bytes.
    pub fn too_long(path: &Path, max: usize) -> Self {
        let bytes = if max == 1 { "byte" } else { "bytes" };
        Self::make(path, Fault::TooLong, Value::Null, format!("may not be more than {max} {bytes}"))
    }

    /// The value has more than `max` characters.
    pub fn too_long_characters(path: &Path, max: usize) -> Self {
        let characters = if max == 1 { "character" } else { "characters" };
        Self::make(path, Fault::TooLong, Value::Null, format!("may not be more than {max} {characters}"))
    }

    /// The list has more than `max` items.
    pub fn too_many(path: &Path, actual: usize, max: usize) -> Self {
        let items = if max == 1 { "item" } else { "items" };
        Self::make(path, Fault::TooMany, Value::from(actual), format!("must have at most {max} {items}"))
    }

    /// Checking the field failed for a reason of our own.
    pub fn internal(path: &Path, detail: impl Into<String>) -> Self {
        Self::make(path, Fault::Internal, Value::Null, detail)
    }

    /// A fault of no field in particular, shown as Go shows no value.
    pub(crate) fn invalid_null(path: &Path, detail: impl Into<String>) -> Self {
        Self::make(path, Fault::Invalid, Value::Null, detail)
    }

    /// Whether rules need not be asked about an object with this fault: they may rely on what it breaks.
    pub(crate) fn stops_rules(&self) -> bool {
        matches!(
            self.fault,
            Fault::NotSupported | Fault::Required | Fault::TooLong | Fault::TooMany | Fault::TypeInvalid
        )
    }

    /// The message of the cause: everything but the path.
    pub fn message(&self) -> String {
        let mut out = self.fault.words().to_owned();
        if self.fault.shows_value() && !self.bare {
            let _ = write!(out, ": {}", self.value);
        }
        if !self.detail.is_empty() {
            let _ = write!(out, ": {}", self.detail);
        }
        out
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_error_reads_as_kubernetes_prints_it() {
        let path = Path::new("spec").child("containers").index(0).child("name");
        assert_eq!(FieldError::required(&path, "").to_string(), "spec.containers[0].name: Required value");
        assert_eq!(
            FieldError::not_supported(&Path::new("spec").child("type"), "x", &["A", "B"]).to_string(),
            "spec.type: Unsupported value: \"x\": supported values: \"A\", \"B\""
        );
        assert_eq!(FieldError::too_long(&path, 1).message(), "Too long: may not be more than 1 byte");
        assert_eq!(FieldError::too_many(&path, 3, 2).message(), "Too many: 3: must have at most 2 items");
    }
}
