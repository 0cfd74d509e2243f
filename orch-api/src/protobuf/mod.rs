//! Kubernetes' protobuf encoding (`application/vnd.kubernetes.protobuf`) of the built-in kinds, to and from the
//! JSON form that the rest of the crate works on (`apimachinery/pkg/runtime/serializer/protobuf`).
//!
//! ```text
//! bytes = "k8s\0" + Unknown{typeMeta, raw, contentEncoding, contentType}      raw = the message of the kind
//! fields.txt ──► table ──► decode: bytes → Value        encode: Value → bytes
//! ```
//!
//! Custom kinds have no such encoding: their fields have no numbers. Fields that the table does not know are skipped.

mod decode;
mod encode;
mod envelope;
mod scalar;
mod schema_or;
mod table;
#[cfg(test)]
mod tests;
mod wire;

pub use encode::EncodeError;
pub use envelope::{List, MAGIC, decode, encode, frame};

/// The media type of the encoding.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// Whether objects of that version and kind have a protobuf encoding; `PodList` has one since `Pod` has.
pub fn knows(api_version: &str, kind: &str) -> bool {
    let item = kind.strip_suffix("List");
    let known = |kind: &str| table::message_of(api_version, kind).is_some();
    known(kind) || item.is_some_and(known)
}

/// Whether Go leaves a field of a type such as `core.v1.PodSpec` out of JSON when it is empty; `None` where the table does not
/// know the field.
pub(crate) fn omits_empty(definition: &str, field: &str) -> Option<bool> {
    table::named(definition).and_then(|message| table::omits_empty(message, field))
}

/// Why bytes are no object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The four bytes that all begin with are missing.
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    NoMagic,
    /// The bytes end within a field.
    #[error("unexpected EOF")]
    Truncated,
    /// A number of more than 64 bits, a field without number, a group that is not open.
    #[error("proto: illegal {0}")]
    Illegal(&'static str),
    /// A field is written in another way than its type.
    #[error("proto: wrong wireType = {wire} for field {field}")]
    WireType {
        /// JSON name of the field.
        field: &'static str,
        /// How it was written.
        wire: u8,
    },
    /// A text is no UTF-8.
    #[error("proto: field {0} contains invalid UTF-8")]
    Utf8(&'static str),
    /// A time outside of the years that can be written.
    #[error("proto: field {0} is no time")]
    Time(&'static str),
    /// Messages within messages beyond measure.
    #[error("exceeded max depth")]
    Depth,
    /// More values than a request may have.
    #[error("exceeded max number of values")]
    Values,
    /// No table for the kind.
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    UnknownKind {
        /// As the envelope says.
        api_version: String,
        /// As the envelope says.
        kind: String,
    },
    /// The content is packed in an unknown way.
    #[error("unsupported content encoding {0:?}")]
    ContentEncoding(String),
    /// JSON inside of the message is malformed.
    #[error("{0}")]
    Json(String),
}
