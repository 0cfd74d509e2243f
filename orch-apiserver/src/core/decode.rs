//! From a parsed body to an object of its kind: the right kind and version, known fields, right types
//! (`endpoints/handlers/rest.go`, `runtime/serializer`).

use super::Call;
use orch_api::{
    FieldError, Gvk, Kind, Path, StatusError,
    crd::Version,
    decode::{self, Conformed, DecodeError, Parsed},
    schema::{self, Schema},
};
use orch_store::client::{FieldValidation, WriteOptions};
use serde_json::Value;
use std::sync::Arc;

/// What a body is supposed to be.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    /// `apps/v1`
    pub api_version: &'a str,
    /// `Deployment`
    pub kind: &'a str,
    /// OpenAPI definition of the type.
    pub definition: &'a str,
}

/// An object of the call's kind, pruned and type-checked, with its `apiVersion` and `kind`.
pub fn object(call: &Call, body: Parsed, options: &WriteOptions) -> Result<Value, StatusError> {
    typed(call, expected_of(call, &call.kind.gvk().api_version()), body, options)
}

/// A configuration that is applied to an object of the call's kind: see [`decode::conform_applied`].
pub fn applied(call: &Call, body: Parsed, options: &WriteOptions) -> Result<Value, StatusError> {
    read(call, expected_of(call, &call.kind.gvk().api_version()), body, options, decode::conform_applied)
}

fn expected_of<'a>(call: &'a Call, api_version: &'a str) -> Expected<'a> {
    Expected { api_version, kind: &call.kind.kind, definition: &call.kind.definition }
}

/// An object of any kind that a subresource reads.
pub fn typed(call: &Call, expected: Expected<'_>, body: Parsed, options: &WriteOptions) -> Result<Value, StatusError> {
    read(call, expected, body, options, decode::conform)
}

/// Makes a value fit a schema.
type Conform = fn(&mut Value, &Schema) -> Result<Conformed, DecodeError>;

fn read(
    call: &Call,
    expected: Expected<'_>,
    body: Parsed,
    options: &WriteOptions,
    conform: Conform,
) -> Result<Value, StatusError> {
    let Parsed { mut value, duplicates, faults } = body;
    check_kind(expected, &mut value)?;
    let version = version_of(expected.api_version);
    let conformed = match custom_of(call, expected.definition) {
        Some(custom) => custom
            .decode(&mut value)
            .map(|decoded| Conformed { unknown: decoded.unknown })
            .map_err(|fault| DecodeError::Content(fault.to_string())),
        None => conform(&mut value, &schema::builtin(expected.definition).unwrap_or_default()),
    };
    let conformed = conformed.map_err(|e| e.refuse(version, expected.kind))?;
    let parsed = Parsed { value, duplicates, faults };
    match options.field_validation {
        FieldValidation::Ignore => {}
        FieldValidation::Warn => {
            for fault in decode::strict_faults(&parsed, &conformed) {
                call.warnings.add(fault);
            }
        }
        FieldValidation::Strict => {
            if let Some(error) = decode::refuse_strict(&parsed, &conformed, version, expected.kind) {
                return Err(error);
            }
        }
    }
    Ok(parsed.value)
}

/// The result of a patch as an object of the call's kind; its faults are those of the patch. `again` makes the same
/// result once more, for the words of a refusal.
pub fn patched(
    call: &Call,
    mut value: Value,
    options: &WriteOptions,
    again: impl Fn() -> Result<Value, StatusError>,
) -> Result<Value, StatusError> {
    let before = || {
        let mut value = again().unwrap_or_default();
        // It was right before.
        let _right = check_kind(expected_of(call, &call.kind.gvk().api_version()), &mut value);
        value.to_string()
    };
    let refuse = |value: String, why: String| {
        let error = FieldError::invalid(&Path::new("patch"), value, why);
        StatusError::invalid("", "", "", &[error])
    };
    check_kind(expected_of(call, &call.kind.gvk().api_version()), &mut value)?;
    let conformed = match &call.kind.custom {
        Some(custom) => custom
            .decode(&mut value)
            .map(|decoded| Conformed { unknown: decoded.unknown })
            .map_err(|fault| refuse(before(), fault.to_string()))?,
        None => decode::conform(&mut value, &schema_of(&call.kind)).map_err(|e| refuse(before(), e.to_string()))?,
    };
    let parsed = Parsed { value, ..Parsed::default() };
    let faults = decode::strict_faults(&parsed, &conformed);
    match options.field_validation {
        FieldValidation::Warn => faults.into_iter().for_each(|fault| call.warnings.add(fault)),
        FieldValidation::Strict if !faults.is_empty() => {
            return Err(refuse(before(), format!("strict decoding error: {}", faults.join(", "))));
        }
        _ => {}
    }
    Ok(parsed.value)
}

/// Brings what admission or a merge made of an object back into the shape of its kind.
///
/// # Errors
///
/// `500` for a value of a wrong type: whoever admits is at fault, not the client.
pub fn reshape(kind: &Kind, object: &mut Value) -> Result<(), StatusError> {
    match &kind.custom {
        Some(custom) => custom.decode(object).map(drop).map_err(StatusError::internal),
        None => decode::conform(object, &schema_of(kind)).map(drop).map_err(StatusError::internal),
    }
}

/// The same for an object that only a subresource reads. Options of a connection have no schema and stay as they are.
pub fn reshape_typed(object: &mut Value, kind: &Gvk) -> Result<(), StatusError> {
    let group = kind.group.split('.').next().filter(|group| !group.is_empty()).unwrap_or("core");
    let definition = format!("io.k8s.api.{group}.{}.{}", kind.version, kind.kind);
    match schema::builtin(&definition) {
        Some(schema) => decode::conform(object, &schema).map(drop).map_err(StatusError::internal),
        None => Ok(()),
    }
}

/// The schema of a kind; one that keeps everything where the kind has none.
pub fn schema_of(kind: &Kind) -> Arc<Schema> {
    if let Some(custom) = &kind.custom {
        return custom.schema.clone();
    }
    schema::builtin(&kind.definition).unwrap_or_default()
}

/// The schema of a custom kind, where the body is one of its objects and not of a subresource's kind.
fn custom_of<'a>(call: &'a Call, definition: &str) -> Option<&'a Version> {
    call.kind.custom.as_deref().filter(|_| call.kind.definition == definition)
}

/// A body without `apiVersion` and `kind` is taken for what the path serves; a wrong one is refused.
fn check_kind(expected: Expected<'_>, value: &mut Value) -> Result<(), StatusError> {
    let Some(map) = value.as_object_mut() else {
        let found = match value {
            Value::Array(_) => "array",
            Value::String(_) => "string",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            _ => "null",
        };
        return Err(StatusError::bad_request(format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {found} into Go value of type \
             struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}"
        )));
    };
    let api_version = map.get("apiVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    let kind = map.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    let kind_is_right = kind.is_empty() || kind == expected.kind;
    let version_is_right = api_version.is_empty() || api_version == expected.api_version;
    if !kind_is_right {
        let named = if api_version.is_empty() { expected.api_version } else { &api_version };
        let why = format!("no kind {kind:?} is registered for version {named:?} in scheme \"orch\"");
        let target = expected.kind;
        let named = version_of(named);
        return Err(StatusError::bad_request(format!(
            "{kind} in version {named:?} cannot be handled as a {target}: {why}"
        )));
    }
    if !version_is_right {
        return Err(StatusError::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({})",
            expected.api_version
        )));
    }
    map.insert("apiVersion".into(), expected.api_version.into());
    map.insert("kind".into(), expected.kind.into());
    Ok(())
}

fn version_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or(api_version, |(_, version)| version)
}
