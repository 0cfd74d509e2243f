//! Answers: objects, lists and refusals as bytes. What is stored is copied, never encoded again.

use super::{
    body::Body,
    gzip::Gzip,
    media::{Encoding, Form, Media},
    table,
};
use crate::core::Warnings;
use bytes::{BufMut, Bytes, BytesMut};
use futures::StreamExt;
use http::{HeaderValue, Response, StatusCode, header};
use jiff::Timestamp;
use orch_api::{
    Kind, StatusError, k8s_openapi::apimachinery::pkg::apis::meta::v1::Status, protobuf, table::IncludeObject,
};
use orch_store::{Stored, client::Page};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::sync::Arc;

/// A list is sent in pieces of about this size.
const PIECE: usize = 256 << 10;

/// What shapes an answer.
#[derive(Clone)]
pub struct Shape {
    /// Encoding and form.
    pub media: Media,
    /// Whether the client takes gzip.
    pub gzip: bool,
    /// The kind of the objects.
    pub kind: Arc<Kind>,
    /// How much of the object a table row carries.
    pub include: IncludeObject,
    /// For the ages in tables.
    pub now: Timestamp,
}

/// One object.
pub fn object(shape: &Shape, code: StatusCode, object: &Stored) -> Result<Response<Body>, StatusError> {
    match shape.media.form {
        Form::Object | Form::PartialList => bytes(shape.media, code, object.json.clone(), shape.gzip),
        Form::Partial => bytes(shape.media, code, partial(object)?, shape.gzip),
        Form::Table => {
            let rows = [object.parse()?];
            let table = table::render(shape, &rows, json!({"resourceVersion": object.revision.to_string()}), true);
            value(shape.media, code, &table)
        }
    }
}

/// A page of a collection.
pub fn list(shape: &Shape, page: Page) -> Result<Response<Body>, StatusError> {
    if shape.media.form == Form::Table {
        let rows = page.items.iter().map(|item| item.parse()).collect::<Result<Vec<Value>, _>>()?;
        let table = table::render(shape, &rows, list_meta(&page), true);
        return value(shape.media, StatusCode::OK, &table);
    }
    let partial_items = matches!(shape.media.form, Form::Partial | Form::PartialList);
    let (kind, api_version) = match partial_items {
        true => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
        false => (shape.kind.list_kind(), shape.kind.gvk().api_version()),
    };
    if shape.media.encoding == Encoding::Protobuf
        && let Some(list) = protobuf::List::new(&api_version, &kind, &list_meta(&page))
    {
        let list = protobuf_list(list.map_err(StatusError::internal)?, &page, partial_items)?;
        return whole(StatusCode::OK, Encoding::Protobuf, list, shape.gzip);
    }
    let head = format!(
        "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{},\"items\":[",
        Value::from(kind),
        Value::from(api_version),
        list_meta(&page)
    );
    let size = page.items.iter().map(|item| item.json.len() + 1).sum::<usize>();
    if shape.media.encoding == Encoding::Yaml || shape.media.pretty {
        let whole: BytesMut = pieces(head.into(), page.items, partial_items).flatten().collect();
        return bytes(shape.media, StatusCode::OK, whole.freeze(), shape.gzip);
    }
    let pieces = futures::stream::iter(pieces(head.into(), page.items, partial_items));
    let response = respond(StatusCode::OK, Encoding::Json);
    if shape.gzip && size > super::gzip::WORTH_IT {
        let mut gzip = Some(Gzip::new());
        let packed = pieces.map(Some).chain(futures::stream::iter([None])).filter_map(move |piece| {
            let out = match (piece, &mut gzip) {
                (Some(piece), Some(gzip)) => gzip.push(&piece),
                (None, gzip) => gzip.take().map(Gzip::finish),
                (Some(_), None) => None,
            };
            futures::future::ready(out)
        });
        return finish(response.header(header::CONTENT_ENCODING, "gzip"), Body::stream(packed));
    }
    finish(response, Body::stream(pieces))
}

/// A value that is not stored.
pub fn value(media: Media, code: StatusCode, value: &Value) -> Result<Response<Body>, StatusError> {
    let text = serde_json::to_vec(value).map_err(StatusError::internal)?;
    bytes(media, code, text.into(), false)
}

/// A refusal.
pub fn error(media: Media, error: &StatusError) -> Response<Body> {
    let code = StatusCode::from_u16(error.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let status = status_value(&Status::from(error));
    let media = Media { form: Form::Object, ..media };
    let mut response = value(media, code, &status).unwrap_or_else(|_| plain(code, error.message().to_owned()));
    if let Some(seconds) = error.details().and_then(|d| d.retry_after_seconds)
        && let Ok(seconds) = HeaderValue::try_from(seconds.to_string())
    {
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    if code == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// A `Status` with the `kind` and `apiVersion` that clients look for.
pub fn status_value(status: &Status) -> Value {
    let mut value = serde_json::to_value(status).unwrap_or_default();
    if let Value::Object(map) = &mut value {
        map.insert("kind".into(), "Status".into());
        map.insert("apiVersion".into(), "v1".into());
        map.entry("metadata").or_insert_with(|| json!({}));
    }
    value
}

/// Text for people.
pub fn plain(code: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = code;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// Adds the warnings of a request to its answer.
pub fn warn(response: &mut Response<Body>, warnings: &Warnings) {
    for warning in warnings.take() {
        let text: String = warning.chars().filter(|c| !c.is_control()).collect();
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::try_from(format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

/// JSON bytes in the encoding that was asked for; what has no protobuf encoding stays JSON.
pub fn bytes(media: Media, code: StatusCode, json: Bytes, gzip: bool) -> Result<Response<Body>, StatusError> {
    let value = || serde_json::from_slice::<Value>(&json).map_err(StatusError::internal);
    let (encoding, out) = match media {
        Media { encoding: Encoding::Protobuf, .. } => match protobuf::encode(&value()?) {
            Some(encoded) => (Encoding::Protobuf, encoded.map_err(StatusError::internal)?.into()),
            None => (Encoding::Json, json),
        },
        Media { encoding: Encoding::Yaml, .. } => {
            (Encoding::Yaml, serde_saphyr::to_string(&value()?).map_err(StatusError::internal)?.into())
        }
        Media { pretty: true, .. } => {
            let mut text = serde_json::to_vec_pretty(&value()?).map_err(StatusError::internal)?;
            text.push(b'\n');
            (Encoding::Json, text.into())
        }
        _ => (Encoding::Json, json),
    };
    whole(code, encoding, out, gzip)
}

/// `PartialObjectMetadata` with the stored bytes of the metadata.
pub fn partial(object: &Stored) -> Result<Bytes, StatusError> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        metadata: &'a RawValue,
    }
    let envelope: Envelope<'_> = serde_json::from_slice(&object.json).map_err(StatusError::internal)?;
    let metadata = envelope.metadata.get();
    Ok(format!("{{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{metadata}}}")
        .into())
}

fn list_meta(page: &Page) -> Value {
    let mut meta = json!({"resourceVersion": page.revision.to_string()});
    if let Value::Object(map) = &mut meta {
        if !page.continue_token.is_empty() {
            map.insert("continue".into(), page.continue_token.clone().into());
        }
        if let Some(remaining) = page.remaining.filter(|r| *r > 0) {
            map.insert("remainingItemCount".into(), remaining.into());
        }
    }
    meta
}

/// The bytes of a list, some objects at a time: memory holds a piece, not the list.
fn pieces(head: Bytes, items: Vec<Arc<Stored>>, partial_items: bool) -> impl Iterator<Item = Bytes> + Send {
    let mut items = items.into_iter().peekable();
    let mut head = Some(head);
    let mut first = true;
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        let mut out = BytesMut::with_capacity(PIECE + (PIECE >> 2));
        if let Some(head) = head.take() {
            out.put(head);
        }
        while out.len() < PIECE {
            let Some(item) = items.next() else {
                out.put_slice(b"]}\n");
                done = true;
                break;
            };
            if !std::mem::take(&mut first) {
                out.put_u8(b',');
            }
            match partial_items {
                false => out.put_slice(&item.json),
                true => out.put_slice(&partial(&item).unwrap_or_else(|_| Bytes::from_static(b"null"))),
            }
        }
        Some(out.freeze())
    })
}

/// The items of a page in protobuf, one after the other.
fn protobuf_list(mut list: protobuf::List, page: &Page, partial_items: bool) -> Result<Bytes, StatusError> {
    for item in &page.items {
        let value = match partial_items {
            false => item.parse()?,
            true => serde_json::from_slice(&partial(item)?).map_err(StatusError::internal)?,
        };
        list.push(&value).map_err(StatusError::internal)?;
    }
    Ok(list.finish().into())
}

fn whole(code: StatusCode, encoding: Encoding, out: Bytes, gzip: bool) -> Result<Response<Body>, StatusError> {
    let response = respond(code, encoding);
    if gzip && out.len() > super::gzip::WORTH_IT {
        let packed = Gzip::whole(&out);
        return finish(response.header(header::CONTENT_ENCODING, "gzip"), Body::full(packed));
    }
    finish(response, Body::full(out))
}

fn respond(code: StatusCode, encoding: Encoding) -> http::response::Builder {
    Response::builder()
        .status(code)
        .header(header::CONTENT_TYPE, encoding.content_type())
        .header(header::CACHE_CONTROL, "no-cache, private")
}

fn finish(builder: http::response::Builder, body: Body) -> Result<Response<Body>, StatusError> {
    builder.body(body).map_err(StatusError::internal)
}
