//! Who owns which field: managed fields of creates, updates, patches and applies.

use super::{Call, decode, meta};
use crate::apply::{self, Writer};
use jiff::Timestamp;
use orch_api::{Gvk, StatusError, schema::Schema};
use orch_store::client::WriteOptions;
use serde_json::Value;
use std::sync::Arc;

/// What every write says of itself.
struct Facts {
    schema: Arc<Schema>,
    kind: Gvk,
    manager: String,
    now: Timestamp,
}

impl Facts {
    fn of(call: &Call, options: &WriteOptions, now: Timestamp) -> Self {
        Self {
            schema: decode::schema_of(&call.kind),
            kind: call.kind.gvk(),
            manager: meta::manager(&options.field_manager, &call.user_agent),
            now,
        }
    }

    fn writer<'a>(&'a self, call: &'a Call) -> Writer<'a> {
        let reset: &[&str] = match call.subresource.as_deref() {
            None if call.kind.subresource("status").is_some() => &["status"],
            Some("status") => &["spec"],
            _ => &[],
        };
        Writer {
            schema: &self.schema,
            kind: &self.kind,
            manager: &self.manager,
            subresource: call.subresource.as_deref().unwrap_or_default(),
            reset,
            now: self.now,
        }
    }
}

/// The creator owns everything that it set.
pub fn created(call: &Call, object: &mut Value, options: &WriteOptions, now: Timestamp) {
    let facts = Facts::of(call, options, now);
    apply::track_update(&facts.writer(call), None, object);
}

/// An update owns what it changed.
pub fn updated(call: &Call, old: &Value, new: &mut Value, options: &WriteOptions, now: Timestamp) {
    let facts = Facts::of(call, options, now);
    apply::track_update(&facts.writer(call), Some(old), new);
}

/// The live object with a configuration applied to it; `None` makes a new one. What is empty in the configuration of a
/// built-in kind has its owner and is not there (`structuredmerge.go` merges before it converts).
pub fn applied(
    call: &Call,
    live: Option<&Value>,
    config: &Value,
    options: &WriteOptions,
    now: Timestamp,
) -> Result<Value, StatusError> {
    let facts = Facts::of(call, options, now);
    let mut merged = apply::apply(&facts.writer(call), live, config, options.force)?;
    if call.kind.custom.is_none() {
        decode::reshape(&call.kind, &mut merged)?;
    }
    Ok(merged)
}

/// Refuses a configuration that does not fit the type, in the words that apply has for it.
pub fn check_configuration(
    call: &Call,
    config: &Value,
    options: &WriteOptions,
    now: Timestamp,
) -> Result<(), StatusError> {
    apply::check(&Facts::of(call, options, now).writer(call), config)
}

/// A write that changes nothing but the times of managed fields changes nothing.
pub fn settle(old: &Value, new: &mut Value) {
    apply::keep_times_if_unchanged(old, new);
}
