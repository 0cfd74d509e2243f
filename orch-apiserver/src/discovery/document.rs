//! [`Document`]: bytes that are made once, and the negotiation of their form.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use ring::digest::{SHA512, digest};
use serde_json::Value;
use std::{fmt::Write, sync::Arc};

/// The content type of aggregated discovery.
pub const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// A response that is made once and served many times.
#[derive(Debug)]
pub struct Document {
    /// The JSON text.
    pub body: Bytes,
    /// The quoted entity tag; `None` for the plain form, which upstream serves without one.
    pub etag: Option<String>,
    /// The `Content-Type`.
    pub content_type: &'static str,
}

/// Which form of `/api` and `/apis` a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A list of versions or groups; the resources have URLs of their own.
    Plain,
    /// Everything in one document.
    Aggregated,
}

impl Document {
    pub(super) fn new(value: &Value) -> Arc<Self> {
        Arc::new(Self { body: value.to_string().into(), etag: None, content_type: "application/json" })
    }

    pub(super) fn aggregated(value: &Value) -> Arc<Self> {
        let body: Bytes = value.to_string().into();
        let mut tag = String::from("\"");
        for byte in digest(&SHA512, &body).as_ref() {
            let _ = write!(tag, "{byte:02X}");
        }
        tag.push('"');
        Arc::new(Self { body, etag: Some(tag), content_type: AGGREGATED })
    }
}

/// The form that an `Accept` header asks for: the first of its types that the server has.
pub fn wants_aggregated(accept: &str) -> Form {
    for entry in accept.split(',') {
        let mut parts = entry.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        if !matches!(media, "application/json" | "*/*" | "application/*") {
            continue;
        }
        let parameters: Vec<(&str, &str)> = parts.filter_map(|p| p.split_once('=')).collect();
        let get = |name: &str| parameters.iter().find(|(k, _)| *k == name).map(|(_, v)| *v);
        match (get("g"), get("v"), get("as")) {
            (Some("apidiscovery.k8s.io"), Some("v2"), Some("APIGroupDiscoveryList")) => return Form::Aggregated,
            (None, _, None) => return Form::Plain,
            _ => {}
        }
    }
    Form::Plain
}

/// `storageVersionHash`: changes when the stored form of a resource does.
pub(super) fn storage_version_hash(group: &str, version: &str, kind: &str) -> String {
    let hash = digest(&ring::digest::SHA256, format!("{group}/{version}/{kind}").as_bytes());
    let mut text = STANDARD_NO_PAD.encode(hash.as_ref().get(..8).unwrap_or_default());
    text.push('=');
    text
}
