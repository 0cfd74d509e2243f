//! Ownership by writes that are no apply: whoever changes a field owns it (`managedfields/internal`).

use super::{
    Writer,
    compare::{Comparison, compare},
    managed::{Entry, Managed, Operation, forget},
    set::Set,
};
use serde_json::{Map, Value};

/// Most entries of updates that an object keeps; older ones are merged.
const MAX_UPDATE_MANAGERS: usize = 10;

/// The manager of merged old updates.
const ANCIENT: &str = "ancient-changes";

/// Rewrites `metadata.managedFields` of `new` after a create (`old` is `None`), update or patch.
///
/// The managed fields that the client sent are taken when they are well-formed, so that they can be
/// edited; an empty list (or one empty entry) resets them; otherwise those of `old` go on.
pub fn track_update(writer: &Writer<'_>, old: Option<&Value>, new: &mut Value) {
    let empty = Value::Object(Map::new());
    let live = old.unwrap_or(&empty);
    let managed = managed_before(writer, live, new);
    forget(new);
    if managed.0.is_empty() && old.is_some() {
        return;
    }
    let sent = take_managed(live);
    let comparison = compare(writer.schema, sent.as_ref().unwrap_or(live), new).without(&writer.ignored());
    let mut managed = managed;
    if !comparison.is_empty() {
        take_over(&mut managed, &comparison);
        own(writer, &mut managed, &comparison);
        cap(&mut managed);
    }
    managed.write(new);
}

/// A copy of the live object without managed fields, which are never owned; `None` where it has none.
fn take_managed(live: &Value) -> Option<Value> {
    live.pointer("/metadata/managedFields")?;
    let mut copy = live.clone();
    forget(&mut copy);
    Some(copy)
}

fn managed_before(writer: &Writer<'_>, live: &Value, new: &Value) -> Managed {
    let of_live = || Managed::read(live).unwrap_or_default();
    if !writer.subresource.is_empty() {
        return of_live();
    }
    if is_reset(new) {
        return Managed::default();
    }
    match Managed::read(new) {
        Ok(managed) if !managed.0.is_empty() => managed,
        _ => of_live(),
    }
}

/// Whether the client asks to forget all owners: by `[]` or `[{}]`.
fn is_reset(object: &Value) -> bool {
    let Some(Value::Array(entries)) = object.pointer("/metadata/managedFields") else { return false };
    match &entries[..] {
        [] => true,
        [Value::Object(only)] => only.is_empty(),
        _ => false,
    }
}

/// Takes changed and removed fields from their owners.
pub(super) fn take_over(managed: &mut Managed, comparison: &Comparison) {
    let changed = comparison.modified.union(&comparison.added);
    for entry in &mut managed.0 {
        entry.set = entry.set.difference(&changed).difference(&comparison.removed);
    }
    managed.0.retain(|entry| !entry.set.is_empty());
}

/// Gives the writer what it changed.
fn own(writer: &Writer<'_>, managed: &mut Managed, comparison: &Comparison) {
    let set = comparison.modified.union(&comparison.added).difference(&stripped());
    if set.is_empty() {
        return;
    }
    let mut entry = writer.entry(Operation::Update, set);
    if let Some(known) = managed.find(&entry) {
        entry.set = entry.set.union(&known.set);
    }
    entry.time = Some(writer.now);
    managed.put(entry);
}

/// Merges the oldest updates of a version until few enough are left (`capmanagers.go`).
fn cap(managed: &mut Managed) {
    let is_update = |entry: &&Entry| entry.operation == Operation::Update;
    let mut count = managed.0.iter().filter(is_update).count();
    if count <= MAX_UPDATE_MANAGERS {
        return;
    }
    let mut oldest: Vec<Entry> = managed.0.iter().filter(is_update).cloned().collect();
    oldest.sort_by(|a, b| {
        let age = |e: &Entry| e.time.map_or(0, jiff::Timestamp::as_second);
        age(a).cmp(&age(b)).then_with(|| a.identity().cmp(&b.identity()))
    });
    let mut first_of_version: Vec<Entry> = Vec::new();
    for entry in oldest {
        if count <= MAX_UPDATE_MANAGERS {
            return;
        }
        let Some(first) = first_of_version.iter().find(|first| first.api_version == entry.api_version).cloned() else {
            first_of_version.push(entry);
            continue;
        };
        let mut bucket = Entry { manager: ANCIENT.into(), subresource: String::new(), ..entry.clone() };
        let known = managed.find(&bucket).map(|known| known.set.clone());
        if known.is_none() {
            managed.0.retain(|e| !e.is_same_manager(&first));
        }
        bucket.set = entry.set.union(&known.unwrap_or(first.set));
        managed.0.retain(|e| !e.is_same_manager(&entry));
        managed.put(bucket);
        count -= 1;
    }
}

/// Fields that nobody owns (`stripmeta.go`).
pub(super) fn stripped() -> Set {
    Set::of_fields([
        &["apiVersion"][..],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
}
