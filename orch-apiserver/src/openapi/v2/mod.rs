//! OpenAPI v2: one document of everything, made from what v3 says of each group, for clients that know no v3. It is
//! built when somebody first asks, as JSON, and as the protobuf that kubectl and client-go ask for.
//!
//! ```text
//! v3 of each group ─► swagger: definitions, paths ─► JSON
//!                                                └──► gnostic: openapi.v2.Document
//! ```

mod gnostic;
mod message;
mod swagger;

pub(super) use swagger::Builder;

use super::Document;
use serde_json::Value;

/// The document in both encodings.
pub struct Documents {
    /// `application/json`
    pub json: Document,
    /// `application/com.github.proto-openapi.spec.v2@v1.0+protobuf`
    pub protobuf: Document,
}

impl Documents {
    pub(super) fn new(document: &Value) -> Self {
        Self { json: Document::new(document), protobuf: Document::of(gnostic::document(document).into()) }
    }
}
