//! The envelope that says of which kind a message is, lists, and the frames of a watch.

use super::{
    DecodeError, EncodeError, MEDIA_TYPE,
    decode::Decoder,
    encode as message,
    table::{self, Message},
    wire::{Reader, Wire, Writer},
};
use crate::{access, decode as json};
use serde_json::{Map, Value};

/// What every enveloped object begins with.
pub const MAGIC: &[u8] = b"k8s\0";

/// Reads an enveloped object; its `apiVersion` and `kind` are those of the envelope.
///
/// Errors where the bytes are no such object, or one of a kind without table. Depth and number of values are bounded.
pub fn decode(bytes: &[u8]) -> Result<Value, DecodeError> {
    enveloped(&mut Decoder::new(), bytes)
}

/// Writes an object with its envelope; `None` where its kind has no table.
pub fn encode(object: &Value) -> Option<Result<Vec<u8>, EncodeError>> {
    let (api_version, kind) = (access::text(object, "apiVersion"), access::text(object, "kind"));
    let fields = object.as_object()?;
    let Some(message) = table::message_of(api_version, kind) else {
        return list_of(api_version, kind, fields);
    };
    let mut raw = Writer::default();
    Some(message::message(&mut raw, message, fields).map(|()| wrap(api_version, kind, &raw.out)))
}

/// A frame of a watch: its length in four bytes, then `WatchEvent{type, object}` with an enveloped object.
pub fn frame(event: &str, enveloped: &[u8]) -> Vec<u8> {
    let mut out = Writer { out: vec![0; 4] };
    out.bytes(1, event.as_bytes());
    let Ok(()) = out.nested(2, |out| {
        out.bytes(1, enveloped);
        Ok::<(), std::convert::Infallible>(())
    });
    let length = u32::try_from(out.out.len() - 4).unwrap_or(u32::MAX);
    if let Some(head) = out.out.first_chunk_mut() {
        *head = length.to_be_bytes();
    }
    out.out
}

/// Writes a list item by item, so that only one of them need be held as a value.
pub struct List {
    api_version: String,
    kind: String,
    item: &'static Message,
    raw: Writer,
}

impl List {
    /// A list of the kind `kind` (such as `PodList`) with that `ListMeta`; `None` where its items have no table.
    pub fn new(api_version: &str, kind: &str, metadata: &Value) -> Option<Result<Self, EncodeError>> {
        let item = table::message_of(api_version, kind.strip_suffix("List")?)?;
        let mut raw = Writer::default();
        let meta = table::named("meta.v1.ListMeta")?;
        let fields = metadata.as_object()?;
        let written = raw.nested(1, |out| message::message(out, meta, fields));
        Some(written.map(|()| Self { api_version: api_version.into(), kind: kind.into(), item, raw }))
    }

    /// Adds an item; its `apiVersion` and `kind` go without saying.
    pub fn push(&mut self, item: &Value) -> Result<(), EncodeError> {
        let fields = item.as_object().ok_or(EncodeError { field: "items" })?;
        self.raw.nested(2, |out| message::message(out, self.item, fields))
    }

    /// The list with its envelope.
    pub fn finish(self) -> Vec<u8> {
        wrap(&self.api_version, &self.kind, &self.raw.out)
    }
}

/// What a `RawExtension` holds: an enveloped object or JSON; nothing is null.
pub(super) fn embedded(decoder: &mut Decoder, raw: &[u8]) -> Result<Value, DecodeError> {
    match raw {
        [] => Ok(Value::Null),
        raw if raw.starts_with(MAGIC) => enveloped(decoder, raw),
        raw => parse(raw),
    }
}

fn list_of(api_version: &str, kind: &str, fields: &Map<String, Value>) -> Option<Result<Vec<u8>, EncodeError>> {
    let empty = Value::Object(Map::new());
    let mut list = match List::new(api_version, kind, fields.get("metadata").unwrap_or(&empty))? {
        Ok(list) => list,
        Err(error) => return Some(Err(error)),
    };
    let items = fields.get("items").and_then(Value::as_array).into_iter().flatten();
    Some(items.into_iter().try_for_each(|item| list.push(item)).map(|()| list.finish()))
}

fn enveloped(decoder: &mut Decoder, bytes: &[u8]) -> Result<Value, DecodeError> {
    let unknown = Unknown::read(bytes.strip_prefix(MAGIC).ok_or(DecodeError::NoMagic)?)?;
    if !unknown.content_encoding.is_empty() {
        return Err(DecodeError::ContentEncoding(unknown.content_encoding));
    }
    if !matches!(&*unknown.content_type, "" | MEDIA_TYPE) {
        return parse(unknown.raw);
    }
    let (api_version, kind) = (unknown.api_version, unknown.kind);
    let mut object = Map::new();
    let item = || table::message_of(&api_version, kind.strip_suffix("List")?);
    match (table::message_of(&api_version, &kind), item()) {
        (Some(message), _) => decoder.message(message, unknown.raw, &mut object)?,
        (None, Some(item)) => read_list(decoder, item, unknown.raw, &mut object)?,
        (None, None) => return Err(DecodeError::UnknownKind { api_version, kind }),
    }
    object.insert("apiVersion".into(), api_version.into());
    object.insert("kind".into(), kind.into());
    Ok(Value::Object(object))
}

/// `ListMeta` and items, as all lists have them.
fn read_list(
    decoder: &mut Decoder,
    item: &Message,
    raw: &[u8],
    into: &mut Map<String, Value>,
) -> Result<(), DecodeError> {
    let (mut metadata, mut items) = (Map::new(), Vec::new());
    let mut reader = Reader::new(raw);
    while let Some((number, wire)) = reader.field()? {
        decoder.count()?;
        match (number, wire, table::named("meta.v1.ListMeta")) {
            (1, Wire::Bytes(bytes), Some(meta)) => decoder.message(meta, bytes, &mut metadata)?,
            (2, Wire::Bytes(bytes), _) => {
                let mut object = Map::new();
                decoder.message(item, bytes, &mut object)?;
                items.push(Value::Object(object));
            }
            _ => {}
        }
    }
    into.insert("metadata".into(), metadata.into());
    into.insert("items".into(), items.into());
    Ok(())
}

fn parse(raw: &[u8]) -> Result<Value, DecodeError> {
    json::parse(raw).map(|parsed| parsed.value).map_err(|e| DecodeError::Json(e.to_string()))
}

/// `runtime.Unknown`
#[derive(Default)]
struct Unknown<'a> {
    api_version: String,
    kind: String,
    raw: &'a [u8],
    content_encoding: String,
    content_type: String,
}

impl<'a> Unknown<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut unknown = Self::default();
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.field()? {
            match (number, wire) {
                (1, Wire::Bytes(bytes)) => unknown.type_meta(bytes)?,
                (2, Wire::Bytes(bytes)) => unknown.raw = bytes,
                (3, Wire::Bytes(bytes)) => unknown.content_encoding = text(bytes),
                (4, Wire::Bytes(bytes)) => unknown.content_type = text(bytes),
                _ => {}
            }
        }
        Ok(unknown)
    }

    fn type_meta(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.field()? {
            match (number, wire) {
                (1, Wire::Bytes(bytes)) => self.api_version = text(bytes),
                (2, Wire::Bytes(bytes)) => self.kind = text(bytes),
                _ => {}
            }
        }
        Ok(())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn wrap(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let mut out = Writer { out: Vec::with_capacity(raw.len() + 64) };
    out.out.extend_from_slice(MAGIC);
    let Ok(()) = out.nested(1, |out| {
        out.bytes(1, api_version.as_bytes());
        out.bytes(2, kind.as_bytes());
        Ok::<(), std::convert::Infallible>(())
    });
    out.bytes(2, raw);
    out.bytes(3, b"");
    out.bytes(4, b"");
    out.out
}
