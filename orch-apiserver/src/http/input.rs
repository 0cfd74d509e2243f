//! From the bytes of a request to what the core takes: parsed bodies, patches, delete options.

use super::{
    media::{self, Encoding},
    query::{Query, parse_propagation, parse_revision},
    yaml,
};
use crate::core::Warnings;
use http::HeaderMap;
use orch_api::{
    FieldError, Path, StatusError,
    decode::{self, Parsed},
    protobuf, schema,
};
use orch_store::client::{DeleteOptions, FieldValidation, Patch, Propagation, WriteOptions};
use serde_json::Value;

const PATCHES: &str = "application/json-patch+json, application/merge-patch+json, \
     application/strategic-merge-patch+json, application/apply-patch+yaml";
const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";

/// Reads an object in JSON, YAML or protobuf. `kind` is what it should be, for the words of the refusal.
pub fn body(headers: &HeaderMap, bytes: &[u8], kind: &str) -> Result<Parsed, StatusError> {
    let why = match media::body_encoding(headers)? {
        Encoding::Json => match decode::parse(bytes) {
            Ok(parsed) => return Ok(parsed),
            Err(error) => format!("couldn't get version/kind; json parse error: {error}"),
        },
        Encoding::Yaml => match yaml::read(bytes) {
            Ok(value) => {
                return Ok(Parsed { value, faults: yaml::fault(bytes).into_iter().collect(), ..Parsed::default() });
            }
            Err(error) => format!("error converting YAML to JSON: {error}"),
        },
        Encoding::Protobuf => match protobuf::decode(bytes) {
            Ok(value) => return Ok(Parsed { value, ..Parsed::default() }),
            Err(error) => error.to_string(),
        },
    };
    Err(StatusError::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): {why} ({})",
        summary(bytes)
    )))
}

/// Reads a patch; its type is the body's `Content-Type`.
pub fn patch(
    headers: &HeaderMap,
    query: &Query,
    bytes: &[u8],
    options: &WriteOptions,
    warnings: &Warnings,
) -> Result<Patch, StatusError> {
    let content_type = media::content_type(headers);
    let json = |what: &str| {
        let parsed = decode::parse(bytes).map_err(|e| StatusError::bad_request(format!("{what}: {e}")));
        parsed.map(|p| p.value)
    };
    let patch = match content_type.as_str() {
        "application/json-patch+json" => Patch::Json(json("error decoding patch")?),
        "application/merge-patch+json" => Patch::Merge(json("error decoding patch")?),
        "application/strategic-merge-patch+json" => Patch::Strategic(json("error decoding patch")?),
        "application/apply-patch+yaml" => Patch::Apply(applied(bytes, options, warnings)?),
        _ => return Err(media::unsupported(PATCHES)),
    };
    let mut errors = Vec::new();
    match &patch {
        Patch::Apply(_) if options.field_manager.is_empty() => {
            errors.push(FieldError::required(&Path::new("fieldManager"), "is required for apply patch"));
        }
        Patch::Apply(_) => {}
        _ if query.get("force").is_some() => {
            errors.push(FieldError::forbidden(&Path::new("force"), "may not be specified for non-apply patch"));
        }
        _ => {}
    }
    match errors.is_empty() {
        true => Ok(patch),
        false => Err(StatusError::invalid("meta.k8s.io", "PatchOptions", "", &errors)),
    }
}

/// Reads a configuration to apply.
fn applied(bytes: &[u8], options: &WriteOptions, warnings: &Warnings) -> Result<Value, StatusError> {
    let value = yaml::read(bytes).map_err(|e| StatusError::bad_request(format!("error decoding YAML: {e}")))?;
    let fault = || yaml::fault(bytes).map(|fault| format!("error converting YAML to JSON: {fault}"));
    match options.field_validation {
        FieldValidation::Ignore => {}
        FieldValidation::Warn => fault().into_iter().for_each(|fault| warnings.add(fault)),
        FieldValidation::Strict => {
            if let Some(fault) = fault() {
                return Err(StatusError::bad_request(format!("error strict decoding YAML: {fault}")));
            }
        }
    }
    Ok(value)
}

/// Reads delete options from the body or, when that is empty, from the query.
pub fn delete_options(headers: &HeaderMap, query: &Query, bytes: &[u8]) -> Result<DeleteOptions, StatusError> {
    let mut errors = Vec::new();
    let mut options =
        if bytes.is_empty() { from_query(query, &mut errors)? } else { from_body(headers, bytes, &mut errors)? };
    if bytes.is_empty() {
        options.dry_run = query.dry_run(&mut errors);
    }
    match errors.is_empty() {
        true => Ok(options),
        false => Err(StatusError::invalid("meta.k8s.io", "DeleteOptions", "", &errors)),
    }
}

fn from_query(query: &Query, errors: &mut Vec<FieldError>) -> Result<DeleteOptions, StatusError> {
    Ok(DeleteOptions {
        grace_period_seconds: query.integer("gracePeriodSeconds")?,
        propagation: propagation(query.flag("orphanDependents"), query.propagation(), errors),
        ..DeleteOptions::default()
    })
}

fn from_body(headers: &HeaderMap, bytes: &[u8], errors: &mut Vec<FieldError>) -> Result<DeleteOptions, StatusError> {
    let mut value = body(headers, bytes, "DeleteOptions")?.value;
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or("DeleteOptions");
    if kind != "DeleteOptions" {
        return Err(StatusError::bad_request("decoded object cannot be converted to DeleteOptions"));
    }
    if let Some(schema) = schema::builtin(DELETE_OPTIONS) {
        decode::conform(&mut value, &schema).map_err(|e| StatusError::bad_request(e.to_string()))?;
    }
    delete_options_value(&value, errors)
}

/// Reads the `DeleteOptions` inside another object, such as an Eviction.
pub fn delete_options_value(value: &Value, errors: &mut Vec<FieldError>) -> Result<DeleteOptions, StatusError> {
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).filter(|t| !t.is_empty());
    let dry: Vec<&str> =
        value.get("dryRun").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    for word in dry.iter().filter(|w| **w != "All") {
        errors.push(FieldError::not_supported(&Path::new("dryRun"), *word, &["All"]));
    }
    let orphan = value.get("orphanDependents").and_then(Value::as_bool);
    Ok(DeleteOptions {
        uid: text("/preconditions/uid").map(Into::into),
        revision: text("/preconditions/resourceVersion").map(parse_revision).transpose()?,
        grace_period_seconds: value.get("gracePeriodSeconds").and_then(Value::as_i64),
        propagation: propagation(orphan, text("/propagationPolicy"), errors),
        dry_run: !dry.is_empty(),
    })
}

fn propagation(orphan: Option<bool>, policy: Option<&str>, errors: &mut Vec<FieldError>) -> Option<Propagation> {
    match (orphan, policy) {
        (None, None) => None,
        (Some(orphan), None) => Some(if orphan { Propagation::Orphan } else { Propagation::Background }),
        (Some(_), Some(policy)) => {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            errors.push(FieldError::invalid(&Path::new("propagationPolicy"), policy, why));
            None
        }
        (None, Some(policy)) => match parse_propagation(policy) {
            Ok(propagation) => Some(propagation),
            Err(error) => {
                errors.push(error);
                None
            }
        },
    }
}

/// The beginning of a body, as kube-apiserver shows it.
fn summary(bytes: &[u8]) -> String {
    const SHOWN: usize = 30;
    let head = bytes.get(..SHOWN).unwrap_or(bytes);
    let dots = if bytes.len() > SHOWN { " ..." } else { "" };
    match bytes.first() {
        None => "<empty>".into(),
        Some(b'{') => format!("{}{dots}", String::from_utf8_lossy(head)),
        Some(_) => {
            let hex: String = head.iter().map(|b| format!("{b:02x}")).collect();
            format!("{hex}{dots}")
        }
    }
}
