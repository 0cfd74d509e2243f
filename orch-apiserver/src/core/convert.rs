//! From the stored form of an object to the one that a version serves, and back: an Event of `events.k8s.io` is stored as
//! the Event of the core group that it is (`pkg/apis/events/v1/conversion.go`), a HorizontalPodAutoscaler of `v1` as one of
//! `v2`, and custom objects in one of their versions (`apiextensions-apiserver/pkg/apiserver/conversion`).

use super::{Core, json};
use crate::crd::Converter;
use orch_api::{Kind, StatusError, autoscaling};
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

/// A version of a built-in kind whose objects are stored in another form.
struct Form {
    to_storage: fn(&mut Value),
    from_storage: fn(&mut Value),
}

const EVENT: Form = Form {
    to_storage: |event| {
        rename(event, EVENT_FIELDS.into_iter());
        json::set(event, &["apiVersion"], "v1");
    },
    from_storage: |event| {
        rename(event, EVENT_FIELDS.into_iter().map(|(served, core)| (core, served)));
        json::set(event, &["apiVersion"], "events.k8s.io/v1");
    },
};

const AUTOSCALER: Form = Form { to_storage: autoscaling::to_v2, from_storage: autoscaling::to_v1 };

fn form(kind: &Kind) -> Option<Form> {
    match (&*kind.group, &*kind.version, &*kind.kind) {
        _ if kind.custom.is_some() => None,
        ("events.k8s.io", "v1", "Event") => Some(EVENT),
        ("autoscaling", "v1", "HorizontalPodAutoscaler") => Some(AUTOSCALER),
        _ => None,
    }
}

/// Whether objects of the kind may be stored in another form.
pub fn is_converted(kind: &Kind) -> bool {
    kind.custom.as_ref().is_some_and(|custom| !custom.as_stored) || form(kind).is_some()
}

/// The object as it is stored.
pub async fn to_storage<'a>(
    converter: &Converter,
    kind: &Kind,
    object: &'a Value,
) -> Result<Cow<'a, Value>, StatusError> {
    if let Some(custom) = &kind.custom {
        if custom.storage == kind.version {
            return Ok(Cow::Borrowed(object));
        }
        let version = format!("{}/{}", kind.group, custom.storage);
        let mut converted = converter.convert(kind, &version, vec![object.clone()]).await?;
        return converted.pop().map(Cow::Owned).ok_or_else(|| StatusError::internal("nothing was converted"));
    }
    let Some(form) = form(kind) else { return Ok(Cow::Borrowed(object)) };
    let mut stored = object.clone();
    (form.to_storage)(&mut stored);
    Ok(Cow::Owned(stored))
}

/// An object of one kind as one of another that serves the same stored objects.
pub(crate) async fn between(core: &Core, from: &Kind, to: &Kind, object: &Value) -> Result<Value, StatusError> {
    if from.gvr() == to.gvr() || object.is_null() {
        return Ok(object.clone());
    }
    if to.custom.is_some() {
        let version = to.gvk().api_version();
        let mut converted = core.storage.converter().convert(to, &version, vec![object.clone()]).await?;
        return converted.pop().ok_or_else(|| StatusError::internal("nothing was converted"));
    }
    let mut object = to_storage(core.storage.converter(), from, object).await?.into_owned();
    if let Some(form) = form(to) {
        (form.from_storage)(&mut object);
    }
    json::set(&mut object, &["apiVersion"], to.gvk().api_version());
    Ok(object)
}

/// A stored object as the kind serves it.
pub async fn from_storage(converter: &Converter, kind: &Kind, stored: Arc<Stored>) -> Result<Arc<Stored>, StatusError> {
    let mut all = many(converter, kind, vec![stored]).await?;
    all.pop().ok_or_else(|| StatusError::internal("nothing was converted"))
}

/// A stored page as the kind serves it.
pub async fn page(converter: &Converter, kind: &Kind, page: Page) -> Result<Page, StatusError> {
    Ok(Page { items: many(converter, kind, page.items).await?, ..page })
}

/// A stored event of a watch as the kind serves it.
pub async fn event(converter: &Converter, kind: &Kind, event: WatchEvent) -> Result<WatchEvent, StatusError> {
    Ok(match event {
        WatchEvent::Added(object) => WatchEvent::Added(from_storage(converter, kind, object).await?),
        WatchEvent::Modified(object) => WatchEvent::Modified(from_storage(converter, kind, object).await?),
        WatchEvent::Deleted(object) => WatchEvent::Deleted(from_storage(converter, kind, object).await?),
        bookmark @ WatchEvent::Bookmark { .. } => bookmark,
    })
}

/// Stored objects as the kind serves them; what is in another version is converted together.
pub async fn many(
    converter: &Converter,
    kind: &Kind,
    stored: Vec<Arc<Stored>>,
) -> Result<Vec<Arc<Stored>>, StatusError> {
    if !is_converted(kind) {
        return Ok(stored);
    }
    if let Some(form) = form(kind) {
        return stored.into_iter().map(|object| served(&form, &object)).collect();
    }
    let Some(custom) = &kind.custom else { return Ok(stored) };
    let wanted = kind.gvk().api_version();
    let mut objects = stored.iter().map(|object| object.parse()).collect::<Result<Vec<Value>, _>>()?;
    let foreign = |object: &Value| json::text(object, &["apiVersion"]) != wanted;
    if objects.iter().any(foreign) {
        objects = converter.convert(kind, &wanted, objects).await?;
    }
    let serve = |(mut object, stored): (Value, Arc<Stored>)| {
        let before = object.clone();
        // What was stored by another version, or under another schema, may have fields that this one does not know.
        let _gone = custom.decode(&mut object);
        custom.default(&mut object);
        match object == before && stored_version(&stored, &wanted) {
            true => Ok(stored),
            false => restored(&object),
        }
    };
    objects.into_iter().zip(stored).map(serve).collect()
}

/// Whether the bytes are already of that version.
fn stored_version(stored: &Stored, wanted: &str) -> bool {
    stored.parse::<Value>().is_ok_and(|object| json::text(&object, &["apiVersion"]) == wanted)
}

fn served(form: &Form, stored: &Stored) -> Result<Arc<Stored>, StatusError> {
    let mut object: Value = stored.parse()?;
    (form.from_storage)(&mut object);
    restored(&object)
}

fn restored(object: &Value) -> Result<Arc<Stored>, StatusError> {
    let bytes = serde_json::to_vec(object).map_err(StatusError::internal)?;
    Stored::from_json(bytes.into()).map(Arc::new).map_err(StatusError::internal)
}

fn rename<'a>(object: &mut Value, names: impl Iterator<Item = (&'a str, &'a str)>) {
    let fields = json::object_mut(object, &[]);
    for (from, to) in names {
        if let Some(value) = fields.remove(from) {
            fields.insert(to.to_owned(), value);
        }
    }
}
