//! The HTTP face of the server: paths and headers in, bytes out.
//!
//! ```text
//! RequestInfo → authenticate → authorize → (proxy | endpoint | resource: body → Core → Shape)
//! ```

pub mod body;
pub mod endpoints;
pub mod gzip;
pub mod info;
pub mod input;
pub mod media;
pub mod query;
pub mod respond;
pub mod table;
pub mod watch;
mod yaml;

use crate::{
    authn::User,
    authz::Attributes,
    core::{Answer, Call, Core, Notes, Request as Asked, Verb, missing_resource},
    proxy,
    server::{ApiServer, Identity},
};
use body::{Body, BoxError};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header, request::Parts};
use info::RequestInfo;
use media::Media;
use orch_api::{Gvr, Key, Kind, Reason, StatusError, kind::Verbs, kinds, protobuf};
use orch_store::panics::caught_async;
use query::Query;
use respond::Shape;
use std::{borrow::Cow, sync::Arc};

/// What a request is told whose answer panicked (`staging/src/k8s.io/apiserver/pkg/server/filters/wrap.go`).
const PANICKED: &str = "This request caused apiserver to panic. Look in the logs for details.\n";

/// Answers a request. Never fails: a refusal is an answer.
pub(crate) async fn answer<B>(server: &ApiServer, identity: &Identity, request: Request<B>) -> Response<Body>
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let started = tokio::time::Instant::now();
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let info = RequestInfo::parse(request.method(), request.uri().path(), &query);
    let core = server.core();
    let kind = if info.is_resource { core.registry.find(&gvr(&info)) } else { None };
    let in_protobuf = kind.as_deref().is_none_or(|k| protobuf::knows(&k.gvk().api_version(), &k.kind));
    let is_plain = kind.as_deref().is_some_and(|kind| kind.verbs == Verbs::CreateOnly);
    let media = Media::accepted(request.headers(), query.get("pretty"), in_protobuf, is_plain);
    let on_error = media.clone().unwrap_or_else(|_| Media::json());
    let notes = Notes::default();
    let routed = caught_async(route(server, identity, request, &info, kind.clone(), &query, media, &notes)).await;
    let mut response = match routed {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => respond::error(on_error, &error),
        Err(why) => {
            tracing::error!(verb = &*info.verb, path = &*info.path, why, "a request panicked");
            respond::plain(StatusCode::INTERNAL_SERVER_ERROR, PANICKED)
        }
    };
    respond::warn(&mut response, &notes.warnings);
    let known = kind.is_some();
    let (group, version, resource) = if known { (&*info.group, &*info.version, &*info.resource) } else { ("", "", "") };
    let verb = if known { &*info.verb } else { "get" };
    core.metrics.request(verb, group, version, resource, response.status().as_u16(), started.elapsed());
    response
}

#[allow(clippy::too_many_arguments)] // What is known of the request before it is routed.
async fn route<B>(
    server: &ApiServer,
    identity: &Identity,
    request: Request<B>,
    info: &RequestInfo,
    kind: Option<Arc<Kind>>,
    query: &Query,
    media: Result<Media, StatusError>,
    notes: &Notes,
) -> Result<Response<Body>, StatusError>
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let core = server.core();
    let (parts, body) = request.into_parts();
    let user = Arc::new(server.identify(identity, &parts, notes).await?);
    core.allow(&attributes(&user, info, query))?;
    if !info.is_resource {
        return endpoints::answer(server, &parts, query).await;
    }
    let Some(kind) = kind else { return Ok(not_found()) };
    let call = call(user, kind, info, &parts, notes);
    if proxy::is_proxied(&call.kind, &info.subresource) {
        return proxy::answer(core, &call, info, query, parts, body).await;
    }
    let verb = served_verb(&call.kind, info)?;
    let shape = Shape {
        media: media?,
        gzip: gzip::accepted(&parts.headers),
        kind: shown_kind(&call),
        include: table::include(query.text("includeObject"))?,
        now: core.ambient.clock.now(),
    };
    let asked = match verb {
        Verb::Get => Asked::Get,
        Verb::List => Asked::List(query.list_options(&info.namespace)?),
        Verb::Watch => Asked::Watch(watch_options(info, query)?),
        verb => write(&call, verb, query, &parts, body::read(body).await?)?,
    };
    let answer = core.perform(&call, asked).await;
    match answer {
        Ok(answer) => reply(core, &shape, &call, answer),
        Err(error) => Ok(respond::error(shape.media, &error)),
    }
}

/// The kind as tables show it: a scale has columns of its own.
fn shown_kind(call: &Call) -> Arc<Kind> {
    match call.subresource.as_deref() {
        Some("scale") => Arc::new(Kind { columns: kinds::scale_columns().into(), ..(*call.kind).clone() }),
        _ => call.kind.clone(),
    }
}

/// Reads what a writing request carries.
fn write(call: &Call, verb: Verb, query: &Query, parts: &Parts, bytes: Bytes) -> Result<Asked, StatusError> {
    let headers = &parts.headers;
    let kind = call.kind_of_body();
    Ok(match verb {
        Verb::Create => {
            Asked::Create { options: query.write_options("CreateOptions")?, body: input::body(headers, &bytes, &kind)? }
        }
        Verb::Update => {
            Asked::Update { options: query.write_options("UpdateOptions")?, body: input::body(headers, &bytes, &kind)? }
        }
        Verb::Patch => {
            let options = query.write_options("PatchOptions")?;
            Asked::Patch { patch: input::patch(headers, query, &bytes, &options, &call.warnings)?, options }
        }
        Verb::Delete => Asked::Delete(input::delete_options(headers, query, &bytes)?),
        _ => Asked::DeleteCollection {
            select: query.list_options(&call.key.namespace)?,
            options: input::delete_options(headers, query, &bytes)?,
        },
    })
}

fn reply(core: &Core, shape: &Shape, call: &Call, answer: Answer) -> Result<Response<Body>, StatusError> {
    match answer {
        Answer::Object { object, created } => {
            let code = if created { StatusCode::CREATED } else { StatusCode::OK };
            respond::object(shape, code, &object)
        }
        Answer::Deleted { object, gone } if gone && !returns_deleted(&call.kind) => {
            let details = serde_json::json!({
                "name": &*object.key.name,
                "group": &*call.kind.group,
                "kind": &*call.kind.plural,
                "uid": &*object.meta.uid,
            });
            let status = serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "details": details});
            respond::value(shape.media, StatusCode::OK, &without_empty_group(status))
        }
        Answer::Deleted { object, .. } => respond::object(shape, StatusCode::OK, &object),
        Answer::Page(page) => respond::list(shape, page),
        Answer::Watch(events) => watch::stream(shape.clone(), events, core.metrics.watching(&call.kind.plural)),
    }
}

fn without_empty_group(mut status: serde_json::Value) -> serde_json::Value {
    if let Some(details) = status.get_mut("details").and_then(|d| d.as_object_mut())
        && details.get("group").is_some_and(|g| g == "")
    {
        details.remove("group");
    }
    status
}

/// Kinds whose deletion answers with the object (`ReturnDeletedObject` in their storage).
fn returns_deleted(kind: &Kind) -> bool {
    match &*kind.group {
        "" => matches!(
            &*kind.kind,
            "Pod"
                | "Service"
                | "ServiceAccount"
                | "PersistentVolume"
                | "PersistentVolumeClaim"
                | "PodTemplate"
                | "ResourceQuota"
                | "Namespace"
        ),
        "storage.k8s.io" => &*kind.kind != "CSIStorageCapacity",
        "resource.k8s.io" => true,
        _ => false,
    }
}

/// The verb of a request, if the resource serves it.
fn served_verb(kind: &Kind, info: &RequestInfo) -> Result<Verb, StatusError> {
    let all = [
        Verb::Get,
        Verb::List,
        Verb::Watch,
        Verb::Create,
        Verb::Update,
        Verb::Patch,
        Verb::Delete,
        Verb::DeleteCollection,
    ];
    let names = match &*info.subresource {
        "" => kind.verbs.names(),
        name => kind.subresource(name).ok_or_else(missing_resource)?.verbs,
    };
    let known = all.into_iter().find(|verb| verb.as_str() == info.verb);
    // A create names no object, and what needs a name must have one.
    let fits = match known {
        Some(Verb::Create) => info.name.is_empty() != kind.subresource(&info.subresource).is_some(),
        Some(Verb::Update | Verb::Patch | Verb::Delete | Verb::Get) => !info.name.is_empty(),
        _ => true,
    };
    match known.filter(|verb| fits && names.contains(&verb.as_str())) {
        Some(verb) => Ok(verb),
        None => Err(StatusError::new(
            Reason::MethodNotAllowed,
            "the server does not allow this method on the requested resource",
        )),
    }
}

/// A watch of `/pods/NAME` is a watch of that one object.
fn watch_options(info: &RequestInfo, query: &Query) -> Result<orch_store::client::WatchOptions, StatusError> {
    let mut options = query.watch_options(&info.namespace)?;
    if !info.name.is_empty() {
        let own = format!("metadata.name={}", info.name);
        options.fields = if options.fields.is_empty() { own } else { format!("{},{own}", options.fields) };
    }
    Ok(options)
}

fn call(user: Arc<User>, kind: Arc<Kind>, info: &RequestInfo, parts: &Parts, notes: &Notes) -> Call {
    Call {
        user,
        kind,
        key: Key::new(info.namespace_of_object(), info.name.as_str()),
        subresource: (!info.subresource.is_empty()).then(|| info.subresource.as_str().into()),
        user_agent: media::header_text(&parts.headers, header::USER_AGENT).into(),
        warnings: notes.warnings.clone(),
        annotations: notes.annotations.clone(),
    }
}

/// What authorizers see of a request.
pub(crate) fn attributes<'a>(user: &'a User, info: &'a RequestInfo, query: &'a Query) -> Attributes<'a> {
    if !info.is_resource {
        return Attributes::path(user, &info.verb, &info.path);
    }
    let mut attributes =
        Attributes::resource(user, &info.verb, &info.group, &info.resource).within(&info.namespace).named(&info.name);
    attributes.subresource = &info.subresource;
    attributes.version = &info.version;
    attributes.path = &info.path;
    if info.is_collection() {
        attributes.fields = query.text("fieldSelector");
        if let Some(name) = single_name(attributes.fields) {
            attributes.name = name;
        }
    }
    attributes
}

/// A collection that a field selector narrows to one name is authorized like that object.
fn single_name(fields: &str) -> Option<&str> {
    let name = fields.strip_prefix("metadata.name=")?.trim_start_matches('=');
    (!name.is_empty() && !name.contains([',', '='])).then_some(name)
}

fn gvr(info: &RequestInfo) -> Gvr {
    let own = |text: &str| Cow::Owned(text.to_owned());
    Gvr { group: own(&info.group), version: own(&info.version), resource: own(&info.resource) }
}

/// What go-restful answers where no route leads.
pub(crate) fn not_found() -> Response<Body> {
    respond::plain(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// Whether a method only reads.
pub(crate) fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
