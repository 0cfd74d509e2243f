//! Query and path parameters of operations.

use orch_api::{Kind, Scope};
use serde_json::{Value, json};

/// A query parameter: name, type and meaning.
#[derive(Clone, Copy)]
pub(super) struct Parameter(pub(super) &'static str, &'static str, &'static str);

impl Parameter {
    pub(super) fn write(&self) -> Value {
        let Self(name, kind, text) = self;
        json!({"name": name, "in": "query", "description": text, "schema": {"type": kind, "uniqueItems": true}})
    }
}

/// The parameters in the path of a kind's collection or object.
pub(super) fn place(kind: &Kind, named: bool) -> Vec<Value> {
    let mut parameters = Vec::new();
    if named {
        parameters.push(in_path("name", &format!("name of the {}", kind.kind)));
    }
    if kind.scope == Scope::Namespaced {
        parameters.push(in_path("namespace", "object name and auth scope, such as for teams and projects"));
    }
    parameters
}

/// A parameter in a path.
pub(super) fn in_path(name: &str, text: &str) -> Value {
    json!({
        "name": name, "in": "path", "required": true, "description": text,
        "schema": {"type": "string", "uniqueItems": true},
    })
}

/// The options of a subresource that is not about an object: exec, log and their like.
pub(super) fn of_subresource(kind: &Kind, sub: &str) -> Option<&'static [Parameter]> {
    match (&*kind.plural, sub) {
        ("pods", "exec") => Some(&EXEC),
        ("pods", "attach") => Some(EXEC.get(1..).unwrap_or_default()),
        ("pods", "log") => Some(&LOG),
        ("pods", "portforward") => Some(&FORWARD),
        (_, "proxy") => Some(&PROXY),
        _ => None,
    }
}

const DRY_RUN: Parameter = Parameter("dryRun", "string", "All: decide everything, store nothing.");
const MANAGER: Parameter = Parameter("fieldManager", "string", "Who owns the fields that this request sets.");
const VALIDATION: Parameter =
    Parameter("fieldValidation", "string", "What to do about unknown or duplicate fields: Ignore, Warn or Strict.");

/// Of every page.
pub(super) const PRETTY: Parameter = Parameter("pretty", "string", "Whether the answer is indented for people.");

/// Of creates and updates.
pub(super) const WRITE: [Parameter; 3] = [DRY_RUN, MANAGER, VALIDATION];

/// Of patches.
pub(super) const PATCH: [Parameter; 4] =
    [DRY_RUN, MANAGER, VALIDATION, Parameter("force", "boolean", "Take over fields that others own (apply only).")];

/// Of deletes.
pub(super) const DELETE: [Parameter; 4] = [
    DRY_RUN,
    Parameter("gracePeriodSeconds", "integer", "Seconds to wait for a graceful end."),
    Parameter("orphanDependents", "boolean", "Deprecated: use propagationPolicy."),
    Parameter("propagationPolicy", "string", "What happens to dependents: Orphan, Background or Foreground."),
];

/// Of whatever is about a collection.
pub(super) const SELECT: [Parameter; 8] = [
    Parameter("continue", "string", "Where the previous page ended."),
    Parameter("fieldSelector", "string", "Only objects whose fields match."),
    Parameter("labelSelector", "string", "Only objects whose labels match."),
    Parameter("limit", "integer", "At most this many objects."),
    Parameter("resourceVersion", "string", "How fresh, or from where."),
    Parameter("resourceVersionMatch", "string", "How resourceVersion is meant: NotOlderThan or Exact."),
    Parameter("sendInitialEvents", "boolean", "Whether the watch begins with the current state."),
    Parameter("timeoutSeconds", "integer", "When to end the list or watch."),
];

/// Of lists, which may be watches.
pub(super) const WATCH: [Parameter; 2] = [
    Parameter("allowWatchBookmarks", "boolean", "Whether the watch may send bookmarks."),
    Parameter("watch", "boolean", "Follow the collection instead of listing it."),
];

const CONTAINER: Parameter = Parameter("container", "string", "The container; not needed where there is one only.");

const EXEC: [Parameter; 6] = [
    Parameter("command", "string", "Program and arguments, a parameter each. There is no shell."),
    CONTAINER,
    Parameter("stderr", "boolean", "Whether standard error is wanted."),
    Parameter("stdin", "boolean", "Whether standard input is wanted."),
    Parameter("stdout", "boolean", "Whether standard output is wanted."),
    Parameter("tty", "boolean", "Whether a terminal is wanted."),
];

const FORWARD: [Parameter; 1] = [Parameter("ports", "integer", "Ports to forward, where the protocol has them here.")];

const PROXY: [Parameter; 1] = [Parameter("path", "string", "The path of the request that is passed on.")];

const LOG: [Parameter; 10] = [
    CONTAINER,
    Parameter("follow", "boolean", "Go on with what is written from now on."),
    Parameter("insecureSkipTLSVerifyBackend", "boolean", "Do not check the certificate of the node."),
    Parameter("limitBytes", "integer", "No more than this, in bytes."),
    Parameter("previous", "boolean", "The log of the container before the one that runs."),
    Parameter("sinceSeconds", "integer", "Only lines that are no older, in seconds."),
    Parameter("sinceTime", "string", "Only lines from this time on (RFC 3339)."),
    Parameter("stream", "string", "All, Stdout or Stderr."),
    Parameter("tailLines", "integer", "Only this many of the last lines."),
    Parameter("timestamps", "boolean", "Begin each line with its time."),
];
