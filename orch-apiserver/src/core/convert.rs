//! One stored form for kinds that are served in two: an Event of `events.k8s.io` is stored as the Event of the
//! core group that it is (`pkg/apis/events/v1/conversion.go`).

use super::{Core, json};
use orch_api::{Kind, StatusError};
use orch_store::{
    Stored,
    client::{Page, WatchEvent},
};
use serde_json::Value;
use std::{borrow::Cow, sync::Arc};

/// Fields of the two forms that differ in name alone: `events.k8s.io` first, core second.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("note", "message"),
    ("regarding", "involvedObject"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

/// Whether objects of the kind are stored in another form.
pub fn is_converted(kind: &Kind) -> bool {
    kind.group == "events.k8s.io" && kind.kind == "Event"
}

/// The object as it is stored.
pub fn to_storage<'a>(kind: &Kind, object: &'a Value) -> Cow<'a, Value> {
    if !is_converted(kind) {
        return Cow::Borrowed(object);
    }
    let mut stored = object.clone();
    rename(&mut stored, EVENT_FIELDS.into_iter());
    json::set(&mut stored, &["apiVersion"], "v1");
    Cow::Owned(stored)
}

/// An object of one kind as one of another that serves the same stored objects.
pub(crate) async fn between(_: &Core, from: &Kind, to: &Kind, object: &Value) -> Result<Value, StatusError> {
    if from.gvr() == to.gvr() || object.is_null() {
        return Ok(object.clone());
    }
    let mut object = to_storage(from, object).into_owned();
    if is_converted(to) {
        rename(&mut object, EVENT_FIELDS.into_iter().map(|(served, core)| (core, served)));
    }
    json::set(&mut object, &["apiVersion"], to.gvk().api_version());
    Ok(object)
}

/// A stored object as the kind serves it.
pub fn from_storage(kind: &Kind, stored: Arc<Stored>) -> Result<Arc<Stored>, StatusError> {
    if !is_converted(kind) {
        return Ok(stored);
    }
    let mut object: Value = stored.parse()?;
    rename(&mut object, EVENT_FIELDS.into_iter().map(|(served, core)| (core, served)));
    json::set(&mut object, &["apiVersion"], kind.gvk().api_version());
    let bytes = serde_json::to_vec(&object).map_err(StatusError::internal)?;
    Stored::from_json(bytes.into()).map(Arc::new).map_err(StatusError::internal)
}

/// A stored page as the kind serves it.
pub fn page(kind: &Kind, page: Page) -> Result<Page, StatusError> {
    if !is_converted(kind) {
        return Ok(page);
    }
    let items = page.items.into_iter().map(|item| from_storage(kind, item)).collect::<Result<_, _>>()?;
    Ok(Page { items, ..page })
}

/// A stored event of a watch as the kind serves it.
pub fn event(kind: &Kind, event: WatchEvent) -> Result<WatchEvent, StatusError> {
    Ok(match event {
        WatchEvent::Added(object) => WatchEvent::Added(from_storage(kind, object)?),
        WatchEvent::Modified(object) => WatchEvent::Modified(from_storage(kind, object)?),
        WatchEvent::Deleted(object) => WatchEvent::Deleted(from_storage(kind, object)?),
        bookmark @ WatchEvent::Bookmark { .. } => bookmark,
    })
}

fn rename<'a>(object: &mut Value, names: impl Iterator<Item = (&'a str, &'a str)>) {
    let fields = json::object_mut(object, &[]);
    for (from, to) in names {
        if let Some(value) = fields.remove(from) {
            fields.insert(to.to_owned(), value);
        }
    }
}
