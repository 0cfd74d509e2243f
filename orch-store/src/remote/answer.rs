//! What a server says: objects, lists, events and refusals.

use crate::{
    Revision, Stored,
    client::{Page, Result, WatchEvent},
    stored::Meta,
};
use bytes::Bytes;
use orch_api::{Key, Reason, StatusError, k8s_openapi::apimachinery::pkg::apis::meta::v1::Status};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use std::{collections::BTreeMap, sync::Arc};

/// An object as it stands in the body.
pub(super) fn object(json: Bytes) -> Result<Stored> {
    Stored::from_json(json).map_err(|error| garbled("an object", error))
}

/// A page of a list.
pub(super) fn page(json: &[u8]) -> Result<Page> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct List<'a> {
        #[serde(default)]
        api_version: String,
        #[serde(default)]
        kind: String,
        #[serde(default)]
        metadata: ListMeta,
        #[serde(borrow, default)]
        items: Option<Vec<&'a RawValue>>,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct ListMeta {
        resource_version: String,
        r#continue: String,
        remaining_item_count: Option<u64>,
    }
    let list: List<'_> = serde_json::from_slice(json).map_err(|error| garbled("a list", error))?;
    let kind = list.kind.strip_suffix("List").unwrap_or(&list.kind);
    let items = list.items.unwrap_or_default().into_iter().map(|item| {
        let json = with_type(item.get(), &list.api_version, kind).map_err(|error| garbled("an item", error))?;
        object(json).map(Arc::new)
    });
    Ok(Page {
        items: items.collect::<Result<_>>()?,
        revision: Revision(list.metadata.resource_version.parse().unwrap_or(0)),
        continue_token: list.metadata.r#continue,
        remaining: list.metadata.remaining_item_count,
    })
}

/// One line of a watch.
pub(super) fn event(line: &Bytes) -> Result<WatchEvent> {
    #[derive(Deserialize)]
    struct Event<'a> {
        r#type: &'a str,
        #[serde(borrow)]
        object: &'a RawValue,
    }
    let event: Event<'_> = serde_json::from_slice(line).map_err(|error| garbled("an event", error))?;
    let body = event.object.get();
    let stored = || object(line.slice_ref(body.as_bytes())).map(Arc::new);
    match event.r#type {
        "ADDED" => stored().map(WatchEvent::Added),
        "MODIFIED" => stored().map(WatchEvent::Modified),
        "DELETED" => stored().map(WatchEvent::Deleted),
        "BOOKMARK" => bookmark(body),
        "ERROR" => Err(refusal(0, body.as_bytes())),
        other => Err(StatusError::internal(format_args!("an event of the unknown type {other:?}"))),
    }
}

fn bookmark(body: &str) -> Result<WatchEvent> {
    #[derive(Deserialize)]
    struct Bookmark {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        resource_version: String,
        #[serde(default)]
        annotations: BTreeMap<String, String>,
    }
    let bookmark: Bookmark = serde_json::from_str(body).map_err(|error| garbled("a bookmark", error))?;
    let end = bookmark.metadata.annotations.get("k8s.io/initial-events-end");
    let revision = Revision(bookmark.metadata.resource_version.parse().unwrap_or(0));
    Ok(WatchEvent::Bookmark { revision, initial_events_end: end.is_some_and(|value| value == "true") })
}

/// What was deleted. A server may answer with a `Status` that only says name and UID.
pub(super) fn deleted(key: &Key, json: Bytes) -> Result<Stored> {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(default)]
        kind: String,
    }
    let kind: Kind = serde_json::from_slice(&json).map_err(|error| garbled("a deletion", error))?;
    if kind.kind != "Status" {
        return object(json);
    }
    let status: Status = serde_json::from_slice(&json).map_err(|error| garbled("a status", error))?;
    let uid = status.details.and_then(|details| details.uid).unwrap_or_default();
    let mut metadata = json!({"name": *key.name, "uid": uid});
    if !key.namespace.is_empty() {
        metadata["namespace"] = json!(*key.namespace);
    }
    let json = json!({"metadata": metadata}).to_string().into();
    let meta = Meta { name: key.name.clone(), namespace: key.namespace.clone(), uid: uid.into(), ..Meta::default() };
    Ok(Stored::new(meta, json))
}

/// A refusal: the `Status` in the body or, where a proxy answered, what the code says.
pub(super) fn refusal(code: u16, body: &[u8]) -> StatusError {
    match serde_json::from_slice::<Status>(body) {
        Ok(status) if status.code.is_some() || status.reason.is_some() => StatusError::from(status),
        _ => {
            let reason = match code {
                400 => Reason::BadRequest,
                401 => Reason::Unauthorized,
                403 => Reason::Forbidden,
                404 => Reason::NotFound,
                405 => Reason::MethodNotAllowed,
                409 => Reason::Conflict,
                410 => Reason::Gone,
                429 => Reason::TooManyRequests,
                502 | 503 => Reason::ServiceUnavailable,
                504 => Reason::Timeout,
                _ => Reason::InternalError,
            };
            let text = String::from_utf8_lossy(body);
            let text: String = text.trim().chars().take(500).collect();
            let error = StatusError::new(reason, format!("the server answered {code}: {text}"));
            if code >= 400 { error.with_code(code) } else { error }
        }
    }
}

/// The items of a list do not say what they are; the list does.
fn with_type(item: &str, api_version: &str, kind: &str) -> serde_json::Result<Bytes> {
    #[derive(Deserialize)]
    struct Kind {
        kind: Option<serde::de::IgnoredAny>,
    }
    let named = serde_json::from_str::<Kind>(item)?.kind.is_some();
    let fields = item.trim_start().strip_prefix('{').unwrap_or_default();
    if named || kind.is_empty() {
        return Ok(Bytes::copy_from_slice(item.as_bytes()));
    }
    let comma = if fields.trim_start().starts_with('}') { "" } else { "," };
    let head = format!(
        r#"{{"apiVersion":{},"kind":{}{comma}"#,
        serde_json::to_string(api_version)?,
        serde_json::to_string(kind)?
    );
    Ok([head.as_bytes(), fields.as_bytes()].concat().into())
}

fn garbled(what: &str, error: serde_json::Error) -> StatusError {
    StatusError::internal(format_args!("the server sent {what} that cannot be read: {error}"))
}
