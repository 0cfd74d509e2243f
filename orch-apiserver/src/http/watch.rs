//! A watch as a body: one JSON line or one protobuf frame per event (`endpoints/handlers/watch.go`).

use super::{
    body::Body,
    media::{Encoding, Form},
    respond::{self, Shape},
    table,
};
use crate::metrics::WatchGuard;
use bytes::{BufMut, Bytes, BytesMut};
use futures::StreamExt;
use http::{Response, StatusCode, header};
use orch_api::{StatusError, k8s_openapi::apimachinery::pkg::apis::meta::v1::Status, protobuf};
use orch_store::{
    Stored,
    client::{WatchEvent, WatchStream},
};
use serde_json::{Value, json};

/// The `Content-Type` of a watch in frames.
const FRAMES: &str = "application/vnd.kubernetes.protobuf;stream=watch";

/// The events of a watch, one line or frame each, until the watch or the client ends.
pub fn stream(shape: Shape, events: WatchStream, guard: WatchGuard) -> Result<Response<Body>, StatusError> {
    let content_type = if shape.media.encoding == Encoding::Protobuf { FRAMES } else { "application/json" };
    let mut writer = Writer { shape, columns_sent: false };
    let chunks = events.ready_chunks(64).map(move |events| {
        let _counted = &guard;
        let mut out = BytesMut::new();
        for event in events {
            writer.event(&mut out, event);
        }
        out.freeze()
    });
    Response::builder()
        .status(StatusCode::OK)
        .header(header::CONTENT_TYPE, content_type)
        .header(header::CACHE_CONTROL, "no-cache, private")
        .body(Body::stream(chunks))
        .map_err(StatusError::internal)
}

struct Writer {
    shape: Shape,
    /// The columns of a table are in the first event alone.
    columns_sent: bool,
}

impl Writer {
    fn event(&mut self, out: &mut BytesMut, event: Result<WatchEvent, StatusError>) {
        let (word, object) = match event {
            Ok(WatchEvent::Added(object)) => ("ADDED", self.object(&object)),
            Ok(WatchEvent::Modified(object)) => ("MODIFIED", self.object(&object)),
            Ok(WatchEvent::Deleted(object)) => ("DELETED", self.object(&object)),
            Ok(WatchEvent::Bookmark { revision, initial_events_end }) => {
                ("BOOKMARK", Ok(self.bookmark(&revision.to_string(), initial_events_end)))
            }
            Err(error) => ("ERROR", Err(error)),
        };
        let frames = self.shape.media.encoding == Encoding::Protobuf;
        let object = if frames { object.and_then(|json| enveloped(&json)) } else { object };
        match (object, frames) {
            (Ok(object), true) => out.put_slice(&protobuf::frame(word, &object)),
            (Ok(object), false) => line(out, word, &object),
            (Err(error), true) => {
                let status = protobuf::encode(&respond::status_value(&Status::from(&error)));
                out.put_slice(&protobuf::frame("ERROR", &status.and_then(Result::ok).unwrap_or_default()));
            }
            (Err(error), false) => {
                line(out, "ERROR", respond::status_value(&Status::from(&error)).to_string().as_bytes());
            }
        }
    }

    fn object(&mut self, object: &Stored) -> Result<Bytes, StatusError> {
        match self.shape.media.form {
            Form::Object => Ok(object.json.clone()),
            Form::Partial | Form::PartialList => respond::partial(object),
            Form::Table => {
                let rows = [object.parse::<Value>()?];
                Ok(self.table(&rows, &object.revision.to_string()))
            }
        }
    }

    fn table(&mut self, rows: &[Value], revision: &str) -> Bytes {
        let with_columns = !std::mem::replace(&mut self.columns_sent, true);
        let meta = json!({"resourceVersion": revision});
        table::render(&self.shape, rows, meta, with_columns).to_string().into()
    }

    fn bookmark(&mut self, revision: &str, initial_events_end: bool) -> Bytes {
        let mut metadata = json!({"creationTimestamp": null, "resourceVersion": revision});
        if initial_events_end && let Value::Object(map) = &mut metadata {
            map.insert("annotations".into(), json!({"k8s.io/initial-events-end": "true"}));
        }
        let (kind, api_version) = match self.shape.media.form {
            Form::Object => (self.shape.kind.kind.to_string(), self.shape.kind.gvk().api_version()),
            Form::Partial | Form::PartialList => ("PartialObjectMetadata".into(), "meta.k8s.io/v1".into()),
            Form::Table => {
                let row = json!({"apiVersion": self.shape.kind.gvk().api_version(), "kind": &*self.shape.kind.kind,
                    "metadata": metadata});
                return self.table(&[row], revision);
            }
        };
        json!({"kind": kind, "apiVersion": api_version, "metadata": metadata}).to_string().into()
    }
}

fn line(out: &mut BytesMut, word: &str, object: &[u8]) {
    out.put_slice(b"{\"type\":\"");
    out.put_slice(word.as_bytes());
    out.put_slice(b"\",\"object\":");
    out.put_slice(object);
    out.put_slice(b"}\n");
}

fn enveloped(json: &[u8]) -> Result<Bytes, StatusError> {
    let value: Value = serde_json::from_slice(json).map_err(StatusError::internal)?;
    let encoded = protobuf::encode(&value).ok_or_else(|| StatusError::internal("no protobuf encoding"))?;
    Ok(encoded.map_err(StatusError::internal)?.into())
}
