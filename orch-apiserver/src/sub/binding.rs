//! Binding a pod to a node (`pkg/registry/core/pod/storage/storage.go`).

use super::success;
use crate::core::{
    Answer, Call, Core,
    decode::{self, Expected},
    json, meta,
    update::{Admits, Mode, Part},
};
use orch_api::{FieldError, Gvr, Path, StatusError, decode::Parsed};
use orch_store::client::WriteOptions;
use serde_json::{Value, json};

const BINDING: Expected<'_> = Expected { api_version: "v1", kind: "Binding", definition: "io.k8s.api.core.v1.Binding" };

/// `POST pods/NAME/binding`.
pub(crate) async fn bind(
    core: &Core,
    call: &Call,
    body: Parsed,
    options: &WriteOptions,
) -> Result<Answer, StatusError> {
    let mut binding = decode::typed(call, BINDING, body, options)?;
    if json::meta(&binding, "name") != &*call.key.name {
        return Err(StatusError::bad_request("name in URL does not match name in Binding object"));
    }
    core.admit_unstored(call, &mut binding, options).await?;
    assign(core, call, &binding, options).await
}

/// `POST bindings`: the pod is the one that the Binding names.
pub(crate) async fn bind_named(core: &Core, call: &Call, binding: &Value) -> Result<Answer, StatusError> {
    let Some(pods) = core.registry.find(&Gvr::of("", "v1", "pods")) else {
        return Err(StatusError::internal("pods are not served"));
    };
    let key = crate::core::update::key_of(call, binding);
    assign(core, &call.on(pods, key), binding, &WriteOptions::default()).await
}

async fn assign(core: &Core, call: &Call, binding: &Value, options: &WriteOptions) -> Result<Answer, StatusError> {
    check(binding)?;
    let now = meta::time(core.ambient.clock.now());
    let change = |pod: &Value| bound(call, pod, binding, &now);
    let mode = Mode { part: Part::Checked, applied: false, admits: Admits::Nothing };
    core.write(call, mode, options, &change).await?;
    success()
}

fn check(binding: &Value) -> Result<(), StatusError> {
    let mut errors = Vec::new();
    let kind = json::text(binding, &["target", "kind"]);
    if !matches!(kind, "" | "Node") {
        let path = Path::new("target").child("kind");
        errors.push(FieldError::not_supported(&path, kind, &["Node", "<empty>"]));
    }
    if json::text(binding, &["target", "name"]).is_empty() {
        errors.push(FieldError::required(&Path::new("target").child("name"), ""));
    }
    match errors.first() {
        None => Ok(()),
        Some(error) => Err(StatusError::new(orch_api::Reason::Unknown, error.to_string())),
    }
}

/// The pod on its node, or why it cannot go there.
fn bound(call: &Call, pod: &Value, binding: &Value, now: &str) -> Result<Value, StatusError> {
    let name = &call.key.name;
    let refuse = |why: String| Err(StatusError::conflict(&Gvr::of("", "v1", "pods/binding"), name, why));
    let (uid, revision) = (json::meta(binding, "uid"), json::meta(binding, "resourceVersion"));
    if !uid.is_empty() && uid != json::meta(pod, "uid") {
        let actual = json::meta(pod, "uid");
        return Err(precondition(name, "UID", uid, actual));
    }
    if !revision.is_empty() && revision != json::meta(pod, "resourceVersion") {
        let actual = json::meta(pod, "resourceVersion");
        return Err(precondition(name, "ResourceVersion", revision, actual));
    }
    if !json::meta(pod, "deletionTimestamp").is_empty() {
        return refuse(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    let node = json::text(pod, &["spec", "nodeName"]);
    if !node.is_empty() {
        return refuse(format!("pod {name} is already assigned to node {node:?}"));
    }
    if !json::items(pod, &["spec", "schedulingGates"]).is_empty() {
        return refuse(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    let mut pod = pod.clone();
    json::set(&mut pod, &["spec", "nodeName"], json::text(binding, &["target", "name"]));
    json::remove(&mut pod, &["status", "nominatedNodeName"]);
    for part in ["annotations", "labels"] {
        if let Some(Value::Object(extra)) = json::at(binding, &["metadata", part]) {
            json::object_mut(&mut pod, &["metadata", part]).extend(extra.clone());
        }
    }
    set_condition(&mut pod, &json!({"type": "PodScheduled", "status": "True"}), now);
    Ok(pod)
}

fn precondition(name: &str, what: &str, asked: &str, actual: &str) -> StatusError {
    let why = format!("Precondition failed: {what} in precondition: {asked}, {what} in object meta: {actual}");
    StatusError::conflict(&Gvr::of("", "v1", "pods"), name, why)
}

/// Sets a condition of a pod; the transition time moves only when the status does.
pub(crate) fn set_condition(pod: &mut Value, condition: &Value, now: &str) {
    let kind = condition.get("type");
    let mut new = condition.clone();
    let conditions = json::list_mut(pod, &["status"], "conditions");
    let old = conditions.iter_mut().find(|c| c.get("type") == kind);
    let unchanged = old.as_ref().filter(|o| o.get("status") == condition.get("status"));
    let since = unchanged.and_then(|o| o.get("lastTransitionTime")).cloned().unwrap_or_else(|| now.into());
    json::set(&mut new, &["lastTransitionTime"], since);
    match old {
        Some(old) => *old = new,
        None => conditions.push(new),
    }
}
