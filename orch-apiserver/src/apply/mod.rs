//! Server-side apply and field ownership as pure functions (`structured-merge-diff`, `managedfields`).
//!
//! ```text
//! apply:        live + configuration ─► merge ─► prune what the manager gave up ─► conflicts? ─► owners
//! track_update: old → new            ─► compare ─► changed fields change their owner
//! ```
//!
//! Versions of a kind share their field paths here: a set that was written in one version is read in
//! another as it stands.

mod atom;
mod compare;
mod conflict;
mod extract;
mod fields_v1;
mod last_applied;
mod ledger;
mod managed;
mod merge;
mod remove;
mod set;
#[cfg(test)]
mod tests;
mod update;
mod validate;

pub use compare::{Comparison, compare};
pub use extract::field_set;
pub use fields_v1::{from_fields, to_fields};
pub use managed::{Entry, Managed, Operation};
pub use merge::merge;
pub use remove::remove;
pub use set::{Set, Step};
pub use update::track_update;

use conflict::{Conflict, refusal};
use jiff::Timestamp;
use managed::forget;
use orch_api::{Gvk, StatusError, schema::Schema};
use remove::{drop_nulls, with_named_parents};
use serde_json::Value;
use update::stripped;

/// Who writes, what, and when.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// The type of the object.
    pub schema: &'a Schema,
    /// The kind in the version of the request.
    pub kind: &'a Gvk,
    /// The field manager; see [`manager_name`].
    pub manager: &'a str,
    /// The subresource that is written, empty for the object itself.
    pub subresource: &'a str,
    /// Fields that this endpoint resets and the writer therefore cannot own, such as `status` on the
    /// object and `spec` on its status. Dotted paths.
    pub reset: &'a [&'a str],
    /// The time of the write.
    pub now: Timestamp,
}

impl Writer<'_> {
    fn ignored(&self) -> Set {
        let paths: Vec<Vec<&str>> = self.reset.iter().map(|path| path.split('.').collect()).collect();
        Set::of_fields(paths.iter().map(Vec::as_slice))
    }

    fn entry(&self, operation: Operation, set: Set) -> Entry {
        Entry {
            manager: if self.manager.is_empty() { "unknown" } else { self.manager }.to_owned(),
            operation,
            api_version: self.kind.api_version(),
            subresource: self.subresource.to_owned(),
            time: None,
            set,
        }
    }
}

/// The manager of a request: the `fieldManager` parameter or the first word of the `User-Agent`, printable
/// and of at most 128 bytes.
pub fn manager_name(field_manager: &str, user_agent: &str) -> String {
    if !field_manager.is_empty() {
        return field_manager.to_owned();
    }
    let mut name = String::new();
    for c in user_agent.split('/').next().unwrap_or_default().chars().filter(|c| !c.is_control()) {
        if name.len() + c.len_utf8() > 128 {
            break;
        }
        name.push(c);
    }
    name
}

/// Applies a configuration to the live object (`None` creates it) and says who owns what afterwards.
/// An apply that changes nothing returns the live object unchanged.
///
/// # Errors
///
/// 400 when the configuration is of another kind or names managed fields, 409 with one cause per field
/// when other managers own what it changes and `force` is not set, 500 when it does not fit the type.
pub fn apply(writer: &Writer<'_>, live: Option<&Value>, config: &Value, force: bool) -> Result<Value, StatusError> {
    check(writer, config)?;
    let mut before = live.cloned().unwrap_or_else(|| skeleton(config));
    let mut managed = Managed::read(&before)
        .map_err(|why| StatusError::internal(format_args!("failed to decode managed fields: {why}")))?;
    forget(&mut before);
    if managed.0.is_empty() && live.is_some() {
        managed = before_first_apply(writer, &before);
    }
    let (merged, mut managed) = match merge_and_own(writer, &before, config, managed.clone(), force) {
        Ok(done) => done,
        Err(conflicts) => {
            let left = last_applied::not_allowed(writer, &before, conflicts);
            if !left.is_empty() {
                return Err(refusal(left));
            }
            merge_and_own(writer, &before, config, managed, true).map_err(refusal)?
        }
    };
    let mut after = merged;
    if after != before
        && let Some(entry) =
            managed.0.iter_mut().find(|e| e.is_same_manager(&writer.entry(Operation::Apply, Set::default())))
    {
        entry.time = Some(writer.now);
    }
    last_applied::renew(writer, config, &mut after);
    managed.write(&mut after);
    if let Some(live) = live {
        keep_times_if_unchanged(live, &mut after);
    }
    Ok(after)
}

/// Takes back new timestamps of managed fields when nothing but them would change, so that a write
/// without effect stores nothing.
pub fn keep_times_if_unchanged(old: &Value, new: &mut Value) {
    if same_but_for(old, new, "metadata", |old, new| {
        same_but_for(old, new, "managedFields", |old, new| match (old, new) {
            (Value::Array(old), Value::Array(new)) => {
                old.len() == new.len() && old.iter().zip(new).all(|(o, n)| same_but_for(o, n, "time", |_, _| true))
            }
            (old, new) => old == new,
        })
    }) {
        new.clone_from(old);
    }
}

/// Whether two objects have the same fields, where `field` is compared by `same`.
fn same_but_for(old: &Value, new: &Value, field: &str, same: impl Fn(&Value, &Value) -> bool) -> bool {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return old == new };
    old.len() == new.len()
        && old.iter().all(|(name, value)| match new.get(name) {
            Some(other) if name == field => same(value, other),
            other => other == Some(value),
        })
}

/// Whether a configuration fits the type; see [`apply`] for the errors.
pub fn check(writer: &Writer<'_>, config: &Value) -> Result<(), StatusError> {
    let text = |key: &str| config.get(key).and_then(Value::as_str).unwrap_or_default();
    let gvk = Gvk::parse(text("apiVersion"), text("kind"));
    if gvk != *writer.kind {
        return Err(StatusError::bad_request(format!("invalid object type: {}", words(&gvk))));
    }
    if config.pointer("/metadata/managedFields").is_some_and(|m| !m.is_null()) {
        return Err(StatusError::bad_request("metadata.managedFields must be nil"));
    }
    match validate::faults(writer.schema, config) {
        None => Ok(()),
        Some(faults) => {
            let name = |p: &str| config.pointer(p).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (namespace, name) = (name("/metadata/namespace"), name("/metadata/name"));
            let kind = words(&gvk);
            let message = format!("failed to create typed patch object ({namespace}/{name}; {kind}): {faults}");
            Err(StatusError::new(orch_api::Reason::Unknown, message))
        }
    }
}

/// `apps/v1, Kind=Deployment`
fn words(gvk: &Gvk) -> String {
    format!("{}/{}, Kind={}", gvk.group, gvk.version, gvk.kind)
}

/// What stands before an apply that creates: the identity alone.
fn skeleton(config: &Value) -> Value {
    let mut object = serde_json::json!({"metadata": {}});
    for key in ["apiVersion", "kind"] {
        if let Some(value) = config.get(key) {
            object[key] = value.clone();
        }
    }
    object
}

/// Objects that were never tracked get an owner for what they have, before the first apply.
fn before_first_apply(writer: &Writer<'_>, live: &Value) -> Managed {
    let writer = Writer { manager: "before-first-apply", ..*writer };
    let mut copy = live.clone();
    track_update(&writer, None, &mut copy);
    Managed::read(&copy).unwrap_or_default()
}

fn merge_and_own(
    writer: &Writer<'_>,
    live: &Value,
    config: &Value,
    mut managed: Managed,
    force: bool,
) -> Result<(Value, Managed), Vec<Conflict>> {
    let merged = merge(writer.schema, live, config);
    let set = field_set(writer.schema, config).without(&writer.ignored());
    let mut mine = writer.entry(Operation::Apply, set);
    let last = managed.find(&mine).cloned();
    mine.time = last.as_ref().and_then(|last| last.time);
    managed.put(mine.clone());
    let mut merged = match &last {
        Some(last) if !last.set.is_empty() => prune(writer.schema, &merged, &managed, &last.set),
        _ => merged,
    };
    drop_nulls(&mut merged);
    let comparison = compare(writer.schema, live, &merged).without(&writer.ignored());
    let changed = comparison.modified.union(comparison.added);
    let mut conflicts = Vec::new();
    for entry in managed.0.iter_mut().filter(|e| !e.is_same_manager(&mine)) {
        let fields = entry.set.intersection(&changed);
        if !fields.is_empty() {
            conflicts.push(Conflict { owner: entry.clone(), fields });
        }
        entry.set = std::mem::take(&mut entry.set).difference(&changed).difference(&comparison.removed);
    }
    if !force && !conflicts.is_empty() {
        return Err(conflicts);
    }
    for entry in managed.0.iter_mut().filter(|e| e.is_same_manager(&mine)) {
        entry.set = std::mem::take(&mut entry.set).difference(stripped());
    }
    managed.0.retain(|entry| !entry.set.is_empty());
    Ok((merged, managed))
}

/// Removes what the manager applied last time, does not apply now, and nobody else owns.
fn prune(schema: &Schema, merged: &Value, managed: &Managed, last: &Set) -> Value {
    let named = |set: &Set| with_named_parents(schema, set);
    let last = named(last);
    let pruned = remove(schema, merged, &last);
    let owned = managed.0.iter().fold(Set::default(), |all, entry| all.union(entry.set.clone()));
    let all = named(&field_set(schema, merged));
    // What others own, or the manager applies again, comes back.
    let kept = named(&field_set(schema, &pruned)).union(named(&owned));
    let pruned = remove(schema, merged, &all.clone().difference(&kept));
    // What nobody owns but the manager did not apply last time comes back too.
    let gone = all.difference(&named(&field_set(schema, &pruned))).intersection(&last);
    remove(schema, merged, &gone)
}
