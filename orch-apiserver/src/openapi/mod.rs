//! OpenAPI: v3, an index and a document per group and version, and v2, one document of all; each built when somebody
//! first asks.
//!
//! ```text
//! kinds ─► index (path, hash)        cheap: hashes are of the rows, not of the documents
//!      └─► paths + components        from schemars' schemas of the types and the table of schema facts
//!                  └─► v2
//! ```

mod custom;
mod parameters;
mod paths;
mod schemas;
#[cfg(test)]
mod tests;
mod v2;

pub use v2::Documents;

pub use custom::custom;

use bytes::Bytes;
use orch_api::{Kind, Scope};
use ring::digest::{SHA512_256, digest};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
    sync::{Arc, OnceLock},
};

/// The documents of a set of kinds. Built anew and swapped whole when the kinds change.
pub struct OpenApi {
    version: String,
    index: Arc<Document>,
    groups: BTreeMap<String, Group>,
    custom: HashMap<String, Value>,
    v2: OnceLock<Documents>,
}

struct Group {
    kinds: Vec<Kind>,
    hash: String,
    document: OnceLock<Arc<Document>>,
}

/// A document that is made once.
#[derive(Debug)]
pub struct Document {
    /// JSON, or what else the document is asked for as.
    pub body: Bytes,
    /// The quoted entity tag.
    pub etag: String,
}

/// What to answer to a request for a document.
#[derive(Debug)]
pub enum Answer {
    /// The document. With a `hash` in the request it may be cached forever
    /// (`Cache-Control: public, immutable`).
    Document {
        /// The document.
        document: Arc<Document>,
        /// Whether the request named the document's hash.
        immutable: bool,
    },
    /// 301 to this URL: the hash of the request is no longer that of the document.
    Moved(String),
}

impl OpenApi {
    /// The documents of these kinds. `version` is the server's (`v1.37.0`). `custom` holds the JSON Schemas
    /// of definitions that are not built in, by definition name.
    pub fn new(version: &str, kinds: impl IntoIterator<Item = Kind>, custom: HashMap<String, Value>) -> Self {
        let mut sorted: BTreeMap<String, Vec<Kind>> = BTreeMap::new();
        for kind in kinds {
            sorted.entry(path_of(&kind)).or_default().push(kind);
        }
        let groups: BTreeMap<String, Group> = sorted
            .into_iter()
            .map(|(path, kinds)| {
                let hash = fingerprint(version, &kinds, &custom);
                (path, Group { kinds, hash, document: OnceLock::new() })
            })
            .collect();
        let url = |(path, group): (&String, &Group)| {
            (path.clone(), json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={}", group.hash)}))
        };
        let paths: Map<String, Value> = groups.iter().map(url).collect();
        let index = Arc::new(Document::new(&json!({"paths": paths})));
        Self { version: version.to_owned(), index, groups, custom, v2: OnceLock::new() }
    }

    /// `/openapi/v3`
    pub fn index(&self) -> &Arc<Document> {
        &self.index
    }

    /// `/openapi/v3/PATH`, such as `api/v1` or `apis/apps/v1`, with the `hash` parameter of the request.
    /// `None` when no such version is served.
    pub fn answer(&self, path: &str, hash: Option<&str>) -> Option<Answer> {
        let group = self.groups.get(path)?;
        match hash {
            Some(hash) if !hash.is_empty() && hash != group.hash => {
                Some(Answer::Moved(format!("/openapi/v3/{path}?hash={}", group.hash)))
            }
            hash => {
                let document = group.document.get_or_init(|| Arc::new(self.build(group))).clone();
                Some(Answer::Document { document, immutable: hash.is_some_and(|hash| !hash.is_empty()) })
            }
        }
    }

    /// `/openapi/v2`
    pub fn v2(&self) -> &Documents {
        self.v2.get_or_init(|| {
            let mut builder = v2::Builder::new();
            for group in self.groups.values() {
                builder.paths(self.paths(group));
                builder.schemas(schemas::of_kinds(&group.kinds, &self.custom));
            }
            Documents::new(&builder.finish(&self.version))
        })
    }

    fn paths(&self, group: &Group) -> Map<String, Value> {
        let mut paths = Map::new();
        for kind in &group.kinds {
            paths::of_kind(kind, self.custom.contains_key(&*kind.definition), &mut paths);
        }
        paths
    }

    fn build(&self, group: &Group) -> Document {
        Document::new(&json!({
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": self.version},
            "paths": self.paths(group),
            "components": {
                "schemas": schemas::of_kinds(&group.kinds, &self.custom),
                "securitySchemes": {"BearerToken": {
                    "type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header",
                }},
            },
        }))
    }
}

impl Document {
    fn new(value: &Value) -> Self {
        Self::of(value.to_string().into())
    }

    fn of(body: Bytes) -> Self {
        Self { etag: format!("\"{}\"", hex(&body)), body }
    }
}

/// `api/v1` or `apis/apps/v1`: the path below `/openapi/v3`, and that of the REST API.
fn path_of(kind: &Kind) -> String {
    match &*kind.group {
        "" => format!("api/{}", kind.version),
        group => format!("apis/{group}/{}", kind.version),
    }
}

/// A hash of everything that a document is made of.
fn fingerprint(version: &str, kinds: &[Kind], custom: &HashMap<String, Value>) -> String {
    let mut text = format!("{version}\n");
    for kind in kinds {
        let scope = kind.scope == Scope::Namespaced;
        let _ = write!(text, "{} {} {scope} {:?} {}", kind.plural, kind.kind, kind.verbs, kind.definition);
        for sub in kind.subresources.iter() {
            let _ = write!(text, " {} {:?} {:?}", sub.name, sub.kind, sub.verbs);
        }
        if let Some(schema) = custom.get(&*kind.definition) {
            let _ = write!(text, " {schema}");
        }
        text.push('\n');
    }
    hex(text.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    digest(&SHA512_256, bytes).as_ref().iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02X}");
        out
    })
}
