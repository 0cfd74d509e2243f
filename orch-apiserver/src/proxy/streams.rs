//! Logs, exec, attach and port-forward: requests about a container, answered by the agent of its node
//! (`pkg/registry/core/pod/strategy.go`, `pkg/registry/core/pod/rest`).

use super::{
    Duplex,
    forward::{forward, unavailable, wants_upgrade},
};
use crate::{
    core::{Call, Core, json},
    http::{
        body::{Body, BoxError},
        info::RequestInfo,
        query::Query,
        respond,
    },
};
use http::{Response, StatusCode, Uri, request::Parts};
use http_body_util::{BodyExt, Empty, Limited};
use orch_api::{FieldError, Path, Reason, StatusError};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// No more than this is read of an agent's refusal, in bytes.
const MAX_REFUSAL: usize = 2 << 10;

/// What a log request may say, in the words that the agent reads as well.
const LOG_OPTIONS: [&str; 8] =
    ["follow", "previous", "sinceSeconds", "sinceTime", "timestamps", "tailLines", "limitBytes", "stream"];

/// `GET pods/NAME/log`.
pub(crate) async fn log(core: &Core, call: &Call, query: &Query, parts: Parts) -> Result<Response<Body>, StatusError> {
    check_log_options(call, query)?;
    let pod: Value = core.storage.get(&call.kind, &call.key).await?.parse()?;
    let container = container(&pod, query.text("container"))?;
    let node = json::text(&pod, &["spec", "nodeName"]);
    if node.is_empty() {
        return Ok(respond::plain(StatusCode::OK, ""));
    }
    let options = LOG_OPTIONS.iter().flat_map(|name| query.all(name).map(move |value| (*name, value)));
    let target = target("containerLogs", call, Some(&container), options)?;
    let connection = dial(core, node).await?;
    let answer = forward(core, connection, parts, target, Empty::<bytes::Bytes>::new()).await?;
    if answer.status().is_success() { Ok(answer) } else { Err(refused(call, answer).await) }
}

/// What the agent refused, as a status (`registry/generic/rest/response_checker.go`).
async fn refused(call: &Call, answer: Response<Body>) -> StatusError {
    let code = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), MAX_REFUSAL).collect().await;
    let bytes = body.map(|all| all.to_bytes()).unwrap_or_default();
    let (words, name) = (String::from_utf8_lossy(&bytes), &call.key.name);
    match code {
        400 => StatusError::bad_request(words),
        404 => {
            let words = format!("the server could not find the requested resource ( pods/log {name})");
            StatusError::new(Reason::NotFound, words)
        }
        500 => StatusError::internal(words),
        _ => {
            let words = format!(
                "an error on the server ({words:?}) has prevented the request from succeeding ( pods/log {name})"
            );
            StatusError::new(Reason::InternalError, words).with_code(code)
        }
    }
}

/// `pods/NAME/exec`, `attach` and `portforward`.
pub(crate) async fn stream<B>(
    core: &Core,
    call: &Call,
    info: &RequestInfo,
    query: &Query,
    parts: Parts,
    body: B,
) -> Result<Response<Body>, StatusError>
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let pod: Value = core.storage.get(&call.kind, &call.key).await?.parse()?;
    let (path, container) = match &*info.subresource {
        "exec" => ("exec", Some(container(&pod, query.text("container"))?)),
        "attach" => ("attach", Some(container(&pod, query.text("container"))?)),
        _ => ("portForward", None),
    };
    let node = json::text(&pod, &["spec", "nodeName"]);
    if node.is_empty() {
        return Err(StatusError::bad_request(format!("pod {} does not have a host assigned", call.key.name)));
    }
    if info.subresource == "exec" && query.all("command").next().is_none() {
        let error = FieldError::required(&Path::new("command"), "");
        return Err(StatusError::invalid("", "PodExecOptions", &call.key.name, &[error]));
    }
    if !wants_upgrade(&parts.headers) {
        return Err(StatusError::bad_request("Upgrade request required"));
    }
    let target = target(path, call, container.as_deref(), stream_options(query))?;
    let connection = dial(core, node).await?;
    forward(core, connection, parts, target, body).await
}

/// The options of a stream in the kubelet's words.
fn stream_options(query: &Query) -> impl Iterator<Item = (&str, &str)> {
    let flags = [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")];
    let on = flags.into_iter().filter(|(name, _)| query.flag(name) == Some(true)).map(|(_, word)| (word, "1"));
    let commands = query.all("command").map(|command| ("command", command));
    on.chain(commands).chain(query.all("ports").map(|port| ("port", port)))
}

fn target<'a>(
    path: &str,
    call: &Call,
    container: Option<&str>,
    options: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Uri, StatusError> {
    let mut text = format!("/{path}/{}/{}", call.key.namespace, call.key.name);
    if let Some(container) = container {
        text.push('/');
        text.push_str(container);
    }
    for (i, (name, value)) in options.enumerate() {
        text.push(if i == 0 { '?' } else { '&' });
        text.push_str(name);
        text.push('=');
        text.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
    }
    text.parse().map_err(|e| StatusError::bad_request(format!("{text}: {e}")))
}

pub(super) async fn dial(core: &Core, node: &str) -> Result<Box<dyn Duplex>, StatusError> {
    let Some(nodes) = &core.nodes else {
        return Err(unavailable(&format_args!("no way to reach node {node} is configured")));
    };
    nodes.dial(node).await.map_err(|e| unavailable(&e))
}

/// The container that a request is about: the one it names, or the only one.
fn container(pod: &Value, asked: &str) -> Result<String, StatusError> {
    let names = |list: &str| -> Vec<String> {
        json::items(pod, &["spec", list]).iter().map(|c| json::text(c, &["name"]).to_owned()).collect()
    };
    let name = json::meta(pod, "name");
    let (main, init) = (names("containers"), names("initContainers"));
    if !asked.is_empty() {
        let all = [&main[..], &init, &names("ephemeralContainers")].concat();
        return match all.iter().any(|n| n == asked) {
            true => Ok(asked.to_owned()),
            false => Err(StatusError::bad_request(format!("container {asked} is not valid for pod {name}"))),
        };
    }
    match main.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(StatusError::bad_request(format!("a container name must be specified for pod {name}"))),
        _ => {
            let mut words =
                format!("a container name must be specified for pod {name}, choose one of: [{}]", main.join(" "));
            if !init.is_empty() {
                words.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            Err(StatusError::bad_request(words))
        }
    }
}

fn check_log_options(call: &Call, query: &Query) -> Result<(), StatusError> {
    let mut errors = Vec::new();
    let at_least = |name: &str, least: i64, errors: &mut Vec<FieldError>| -> Result<(), StatusError> {
        if let Some(value) = query.integer(name)?.filter(|v| *v < least) {
            let why = format!("must be greater than or equal to {least}");
            errors.push(FieldError::invalid(&Path::new(name), value, why));
        }
        Ok(())
    };
    at_least("tailLines", 0, &mut errors)?;
    at_least("limitBytes", 1, &mut errors)?;
    at_least("sinceSeconds", 1, &mut errors)?;
    if query.get("sinceSeconds").is_some() && query.get("sinceTime").is_some() {
        let why = "at most one of `sinceTime` or `sinceSeconds` may be specified";
        errors.push(FieldError::forbidden(&Path::default(), why));
    }
    match errors.is_empty() {
        true => Ok(()),
        false => Err(StatusError::invalid("", "PodLogOptions", &call.key.name, &errors)),
    }
}
