//! Requests as plain data: which path, query, headers and body each call has.

use crate::client::{
    DeleteOptions, FieldValidation, ListOptions, Patch, Propagation, ReadAt, WatchOptions, WriteOptions,
};
use http::{HeaderName, HeaderValue, Method, header};
use orch_api::{Gvr, Key};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::time::Duration;

/// What stands in paths and queries as it is (RFC 3986, unreserved).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const METADATA: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json");
const METADATA_LIST: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json");

/// One HTTP request.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) uri: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Option<Value>,
}

impl Call {
    pub(super) fn get(resource: &Gvr, key: &Key, subresource: Option<&str>) -> Self {
        Self::new(Method::GET, object(resource, key, subresource), Query::default())
    }

    pub(super) fn list(resource: &Gvr, options: &ListOptions) -> Self {
        let call = Self::new(Method::GET, collection(resource, &options.namespace), select(options));
        call.accept(if options.metadata_only { METADATA_LIST } else { JSON })
    }

    pub(super) fn watch(resource: &Gvr, options: &WatchOptions, timeout: Duration) -> Self {
        let mut query = Query::default();
        query.add("watch", "true");
        query.some("labelSelector", &options.labels);
        query.some("fieldSelector", &options.fields);
        if let Some(revision) = options.after {
            query.add("resourceVersion", &revision.to_string());
        }
        if options.initial_events {
            query.add("sendInitialEvents", "true");
            query.add("resourceVersionMatch", "NotOlderThan");
        }
        if options.bookmarks || options.initial_events {
            query.add("allowWatchBookmarks", "true");
        }
        query.add("timeoutSeconds", &timeout.as_secs().to_string());
        let call = Self::new(Method::GET, collection(resource, &options.namespace), query);
        call.accept(if options.metadata_only { METADATA } else { JSON })
    }

    pub(super) fn create(
        resource: &Gvr,
        key: &Key,
        subresource: Option<&str>,
        body: Value,
        options: &WriteOptions,
    ) -> Self {
        let path = match subresource {
            Some(_) => object(resource, key, subresource),
            None => collection(resource, &key.namespace),
        };
        Self::new(Method::POST, path, write(options)).with(JSON, body)
    }

    pub(super) fn update(
        resource: &Gvr,
        key: &Key,
        subresource: Option<&str>,
        body: Value,
        options: &WriteOptions,
    ) -> Self {
        Self::new(Method::PUT, object(resource, key, subresource), write(options)).with(JSON, body)
    }

    pub(super) fn patch(
        resource: &Gvr,
        key: &Key,
        subresource: Option<&str>,
        patch: Patch,
        options: &WriteOptions,
    ) -> Self {
        let mut query = write(options);
        let (kind, body) = match patch {
            Patch::Json(body) => ("application/json-patch+json", body),
            Patch::Merge(body) => ("application/merge-patch+json", body),
            Patch::Strategic(body) => ("application/strategic-merge-patch+json", body),
            Patch::Apply(body) => {
                if options.force {
                    query.add("force", "true");
                }
                ("application/apply-patch+yaml", body)
            }
        };
        let call = Self::new(Method::PATCH, object(resource, key, subresource), query);
        call.with(HeaderValue::from_static(kind), body)
    }

    pub(super) fn delete(resource: &Gvr, key: &Key, options: &DeleteOptions) -> Self {
        Self::new(Method::DELETE, object(resource, key, None), Query::default()).with(JSON, delete_options(options))
    }

    pub(super) fn delete_collection(resource: &Gvr, which: &ListOptions, options: &DeleteOptions) -> Self {
        let path = collection(resource, &which.namespace);
        Self::new(Method::DELETE, path, select(which)).with(JSON, delete_options(options))
    }

    fn new(method: Method, path: String, query: Query) -> Self {
        Self { method, uri: path + &query.0, headers: vec![], body: None }.accept(JSON)
    }

    fn accept(mut self, kind: HeaderValue) -> Self {
        self.headers.retain(|(name, _)| name != header::ACCEPT);
        self.headers.push((header::ACCEPT, kind));
        self
    }

    fn with(mut self, kind: HeaderValue, body: Value) -> Self {
        self.headers.push((header::CONTENT_TYPE, kind));
        self.body = Some(body);
        self
    }
}

/// How long the server is asked to keep a watch open.
pub(super) fn watch_timeout(options: &WatchOptions, default: Duration) -> Duration {
    let least = if options.bookmarks { 3 } else { 1 };
    let wanted = options.timeout.unwrap_or(default);
    Duration::from_secs(wanted.as_secs() + u64::from(wanted.subsec_nanos() > 0)).max(Duration::from_secs(least))
}

/// The path of a collection: `/apis/apps/v1/namespaces/default/deployments`.
fn collection(resource: &Gvr, namespace: &str) -> String {
    let mut path = match &*resource.group {
        "" => format!("/api/{}", escape(&resource.version)),
        group => format!("/apis/{}/{}", escape(group), escape(&resource.version)),
    };
    if !namespace.is_empty() {
        path += &format!("/namespaces/{}", escape(namespace));
    }
    path + &format!("/{}", escape(&resource.resource))
}

fn object(resource: &Gvr, key: &Key, subresource: Option<&str>) -> String {
    let mut path = collection(resource, &key.namespace) + &format!("/{}", escape(&key.name));
    if let Some(subresource) = subresource {
        path += &format!("/{subresource}");
    }
    path
}

fn select(options: &ListOptions) -> Query {
    let mut query = Query::default();
    query.some("labelSelector", &options.labels);
    query.some("fieldSelector", &options.fields);
    if options.limit > 0 {
        query.add("limit", &options.limit.to_string());
    }
    query.some("continue", &options.continue_token);
    match options.revision {
        // A token says itself which revision it continues.
        _ if !options.continue_token.is_empty() => {}
        ReadAt::Latest => {}
        ReadAt::Any => query.add("resourceVersion", "0"),
        ReadAt::NotOlderThan(revision) => {
            query.add("resourceVersion", &revision.to_string());
            query.add("resourceVersionMatch", "NotOlderThan");
        }
        ReadAt::Exact(revision) => {
            query.add("resourceVersion", &revision.to_string());
            query.add("resourceVersionMatch", "Exact");
        }
    }
    query
}

fn write(options: &WriteOptions) -> Query {
    let mut query = Query::default();
    query.some("fieldManager", &options.field_manager);
    if options.dry_run {
        query.add("dryRun", "All");
    }
    query.add(
        "fieldValidation",
        match options.field_validation {
            FieldValidation::Ignore => "Ignore",
            FieldValidation::Warn => "Warn",
            FieldValidation::Strict => "Strict",
        },
    );
    query
}

fn delete_options(options: &DeleteOptions) -> Value {
    let mut body = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
    if let Some(seconds) = options.grace_period_seconds {
        body["gracePeriodSeconds"] = json!(seconds);
    }
    if let Some(uid) = &options.uid {
        body["preconditions"]["uid"] = json!(uid);
    }
    if let Some(revision) = options.revision {
        body["preconditions"]["resourceVersion"] = json!(revision.to_string());
    }
    if let Some(propagation) = options.propagation {
        body["propagationPolicy"] = json!(match propagation {
            Propagation::Orphan => "Orphan",
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
        });
    }
    if options.dry_run {
        body["dryRun"] = json!(["All"]);
    }
    body
}

/// A query string that grows.
#[derive(Debug, Default)]
struct Query(String);

impl Query {
    fn add(&mut self, name: &str, value: &str) {
        let separator = if self.0.is_empty() { '?' } else { '&' };
        self.0 += &format!("{separator}{name}={}", escape(value));
    }

    /// Adds the value unless it is empty.
    fn some(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.add(name, value);
        }
    }
}

fn escape(text: &str) -> impl std::fmt::Display {
    utf8_percent_encode(text, ESCAPED)
}
