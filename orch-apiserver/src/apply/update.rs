//! Ownership by writes that are no apply: whoever changes a field owns it (`managedfields/internal`).

use super::{
    Writer,
    compare::compare,
    ledger,
    managed::{Entry, Managed, Operation},
    set::Set,
};
use serde_json::{Map, Value};
use std::sync::OnceLock;

/// Most entries of updates that an object keeps; older ones are merged.
pub(super) const MAX_UPDATE_MANAGERS: usize = 10;

/// The manager of merged old updates.
const ANCIENT: &str = "ancient-changes";

/// Rewrites `metadata.managedFields` of `new` after a create (`old` is `None`), update or patch.
///
/// The managed fields that the client sent are taken when they are well-formed, so that they can be
/// edited; an empty list (or one empty entry) resets them; otherwise those of `old` go on.
pub fn track_update(writer: &Writer<'_>, old: Option<&Value>, new: &mut Value) {
    let empty = Value::Object(Map::new());
    let live = old.unwrap_or(&empty);
    let entries = entries_before(writer, live, take_entries(new));
    if entries.is_none() && old.is_some() {
        return;
    }
    let comparison = compare(writer.schema, live, new).without(server_set()).without(&writer.ignored());
    let mut entries = entries.unwrap_or(Value::Null);
    if comparison.is_empty() {
        put_entries(new, entries);
        return;
    }
    let changed = comparison.modified.union(comparison.added);
    if entries.as_array().is_none_or(Vec::is_empty) {
        return put_or_remove_entries(new, ledger::first(writer, changed).into_iter().collect());
    }
    if let Some(entries) = ledger::rewrite(writer, &mut entries, &changed, &comparison.removed) {
        return put_or_remove_entries(new, entries);
    }
    let mut managed = Managed::parse(&entries).unwrap_or_default();
    managed.release(&changed, &comparison.removed);
    own(writer, &mut managed, changed);
    cap(&mut managed);
    managed.write(new);
}

/// Moves `metadata.managedFields` out of the object.
fn take_entries(object: &mut Value) -> Option<Value> {
    object.get_mut("metadata")?.as_object_mut()?.remove("managedFields")
}

/// Moves `metadata.managedFields` into the object, as they were written.
fn put_entries(object: &mut Value, entries: Value) {
    if let (Some(Value::Object(metadata)), Value::Array(_)) = (object.get_mut("metadata"), &entries) {
        metadata.insert("managedFields".into(), entries);
    }
}

/// The same; without owners the field goes away.
fn put_or_remove_entries(object: &mut Value, entries: Vec<Value>) {
    if !entries.is_empty() {
        put_entries(object, entries.into());
    }
}

/// The managed fields that a write starts from; `None` when the object is not tracked or no longer.
fn entries_before(writer: &Writer<'_>, live: &Value, sent: Option<Value>) -> Option<Value> {
    let of_live = live.pointer("/metadata/managedFields");
    let edited = sent.filter(|_| writer.subresource.is_empty());
    if edited.as_ref().is_some_and(is_reset) {
        return None;
    }
    // Most clients send back what they read; anything else must make sense.
    let edited = edited
        .filter(|edited| Some(edited) == of_live || Managed::parse(edited).is_ok_and(|managed| !managed.0.is_empty()));
    edited.or_else(|| of_live.cloned())
}

/// Whether the client asks to forget all owners: by `[]` or `[{}]`.
fn is_reset(entries: &Value) -> bool {
    match entries.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([Value::Object(only)]) => only.is_empty(),
        _ => false,
    }
}

/// Fields whose changes change no owner, because the server sets them.
fn server_set() -> &'static Set {
    static SET: OnceLock<Set> = OnceLock::new();
    SET.get_or_init(|| {
        Set::of_fields([
            &["metadata", "managedFields"][..],
            &["metadata", "resourceVersion"],
            &["metadata", "generation"],
            &["metadata", "uid"],
            &["metadata", "creationTimestamp"],
            &["metadata", "name"],
            &["metadata", "namespace"],
            &["apiVersion"],
            &["kind"],
        ])
    })
}

/// Gives the writer what it changed.
pub(super) fn own(writer: &Writer<'_>, managed: &mut Managed, changed: Set) {
    let set = changed.difference(stripped());
    if set.is_empty() {
        return;
    }
    let mut entry = writer.entry(Operation::Update, set);
    if let Some(known) = managed.find(&entry) {
        entry.set = entry.set.union(known.set.clone());
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
        bucket.set = entry.set.clone().union(known.unwrap_or(first.set));
        managed.0.retain(|e| !e.is_same_manager(&entry));
        managed.put(bucket);
        count -= 1;
    }
}

/// Fields that nobody owns (`stripmeta.go`).
pub(super) fn stripped() -> &'static Set {
    static SET: OnceLock<Set> = OnceLock::new();
    SET.get_or_init(|| {
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
    })
}
