//! Admission of connections: exec, attach, port-forward and proxies
//! (`endpoints/handlers/rest.go`, `ConnectResource`).

use crate::{
    admission::{Operation, Options, Review},
    core::{Call, Core, json},
    http::query::Query,
};
use orch_api::StatusError;
use serde_json::{Value, json};

/// Asks admission about a connection, whose object are its options. What admission makes of them is not taken: the
/// stream is the client's.
pub(super) async fn admit(
    core: &Core,
    call: &Call,
    subresource: &str,
    path: &str,
    query: &Query,
) -> Result<(), StatusError> {
    let Some(kind) = call.kind.subresource(subresource).map(|s| s.kind.clone()) else { return Ok(()) };
    let (operation, key) = (Operation::Connect, &call.key);
    let review = Review { call, key, operation, old: None, options: Options::None, dry_run: false };
    let mut object = options(&kind.kind, path, query);
    core.admission.admit(core, &review, &mut object).await
}

fn options(kind: &str, path: &str, query: &Query) -> Value {
    let mut object = json!({"kind": kind, "apiVersion": "v1"});
    if kind.ends_with("ProxyOptions") {
        json::set(&mut object, &["path"], format!("/{path}"));
        return object;
    }
    for flag in ["stdin", "stdout", "stderr", "tty"] {
        if query.flag(flag) == Some(true) {
            json::set(&mut object, &[flag], true);
        }
    }
    if let Some(container) = query.get("container") {
        json::set(&mut object, &["container"], container);
    }
    let commands: Vec<&str> = query.all("command").collect();
    if !commands.is_empty() {
        json::set(&mut object, &["command"], commands);
    }
    let ports: Vec<i64> = query.all("ports").filter_map(|port| port.parse().ok()).collect();
    if !ports.is_empty() {
        json::set(&mut object, &["ports"], ports);
    }
    object
}
