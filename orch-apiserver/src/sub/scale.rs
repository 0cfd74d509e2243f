//! `scale`: the number of replicas of a workload, whatever its kind
//! (`pkg/registry/apps/deployment/storage/storage.go`).

use super::unstored;
use crate::{
    core::{
        Answer, Call, Core, Request,
        decode::{self, Expected},
        json, not_supported,
        update::{Admits, Mode, Part},
    },
    patch::apply_patch,
};
use orch_api::{FieldError, Path, StatusError, decode::Parsed, schema};
use orch_store::{
    Stored,
    client::{Patch, WriteOptions},
};
use serde_json::{Value, json};
use std::sync::Arc;

const DEFINITION: &str = "io.k8s.api.autoscaling.v1.Scale";
const SCALE: Expected<'_> = Expected { api_version: "autoscaling/v1", kind: "Scale", definition: DEFINITION };
const MODE: Mode = Mode { part: Part::Main, applied: false, admits: Admits::Scale };

/// Reads or writes the scale of a workload.
pub(crate) async fn perform(core: &Core, call: &Call, request: Request) -> Result<Answer, StatusError> {
    match request {
        Request::Get => {
            let stored = core.storage.get(&call.kind, &call.key).await?;
            unstored(&scale_of(call, &stored.parse()?)?).map(Answer::object)
        }
        Request::Update { body, options } => {
            let scale = decode::typed(call, SCALE, body, &options)?;
            let change = |live: &Value| scaled(call, live, &scale);
            write(core, call, &options, &change).await
        }
        Request::Patch { patch, options } => {
            let change = |live: &Value| {
                let scale = patched(call, &scale_of(call, live)?, &patch, &options)?;
                scaled(call, live, &scale)
            };
            write(core, call, &options, &change).await
        }
        request => Err(not_supported(call, request.verb())),
    }
}

async fn write(
    core: &Core,
    call: &Call,
    options: &WriteOptions,
    change: crate::core::update::Change<'_>,
) -> Result<Answer, StatusError> {
    let stored: Arc<Stored> = core.write(call, MODE, options, change).await?;
    unstored(&scale_of(call, &stored.parse()?)?).map(Answer::object)
}

fn patched(call: &Call, scale: &Value, patch: &Patch, options: &WriteOptions) -> Result<Value, StatusError> {
    let schema = schema::builtin(DEFINITION).unwrap_or_default();
    let patch = match patch {
        Patch::Apply(config) => &Patch::Merge(config.clone()),
        patch => patch,
    };
    let value = apply_patch(&schema, scale, patch)?;
    decode::typed(call, SCALE, Parsed { value, ..Parsed::default() }, options)
}

/// The scale that a workload shows.
pub(crate) fn scale_of(call: &Call, workload: &Value) -> Result<Value, StatusError> {
    let meta = |field: &str| json::at(workload, &["metadata", field]).cloned().unwrap_or_default();
    let mut scale = json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": meta("name"),
            "namespace": meta("namespace"),
            "uid": meta("uid"),
            "resourceVersion": meta("resourceVersion"),
            "creationTimestamp": meta("creationTimestamp"),
        },
        "spec": {"replicas": 0},
        "status": {"replicas": 0},
    });
    let selector = match call.kind.custom.as_ref().and_then(|custom| custom.scale.as_ref()) {
        None => {
            for part in ["spec", "status"] {
                let found = json::integer(workload, &[part, "replicas"]).unwrap_or(0);
                json::set(&mut scale, &[part, "replicas"], found);
            }
            selector_text(workload)
        }
        Some(paths) => {
            let wanted = number_at(workload, &paths.spec);
            let Some(wanted) = wanted else {
                let words = format!("the spec replicas field {:?} does not exist", paths.spec);
                return Err(StatusError::internal(words));
            };
            json::set(&mut scale, &["spec", "replicas"], wanted);
            json::set(&mut scale, &["status", "replicas"], number_at(workload, &paths.status).unwrap_or(0));
            text_at(workload, &paths.selector)
        }
    };
    if !selector.is_empty() {
        json::set(&mut scale, &["status", "selector"], selector);
    }
    Ok(scale)
}

/// Writes the wanted number where the kind has it.
pub(crate) fn set_replicas(call: &Call, workload: &mut Value, replicas: i64) {
    match call.kind.custom.as_ref().and_then(|custom| custom.scale.as_ref()) {
        Some(paths) => json::set(workload, &fields(&paths.spec), replicas),
        None => json::set(workload, &["spec", "replicas"], replicas),
    }
}

/// The fields of a simple path such as `.spec.replicas`.
fn fields(path: &str) -> Vec<&str> {
    path.trim_start_matches('.').split('.').collect()
}

fn number_at(object: &Value, path: &str) -> Option<i64> {
    json::integer(object, &fields(path))
}

fn text_at(object: &Value, path: &str) -> String {
    if path.is_empty() { String::new() } else { json::text(object, &fields(path)).to_owned() }
}

/// The selector in the form in which clients list with it. A ReplicationController's is a plain map.
fn selector_text(workload: &Value) -> String {
    let Some(selector) = json::at(workload, &["spec", "selector"]) else { return String::new() };
    let labels = selector.get("matchLabels").unwrap_or(selector);
    let plain = labels.as_object().into_iter().flatten();
    let mut terms: Vec<String> = plain.filter_map(|(k, v)| v.as_str().map(|v| format!("{k}={v}"))).collect();
    for e in json::items(selector, &["matchExpressions"]) {
        let key = json::text(e, &["key"]);
        let mut values: Vec<&str> = json::items(e, &["values"]).iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        terms.push(match json::text(e, &["operator"]) {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    terms.sort();
    terms.join(",")
}

/// The workload with the replicas of a scale.
fn scaled(call: &Call, live: &Value, scale: &Value) -> Result<Value, StatusError> {
    let refuse = |path: Path, value: Value, why: &str| {
        let error = FieldError::invalid(&path, value, why);
        Err(StatusError::invalid("autoscaling", "Scale", &call.key.name, &[error]))
    };
    let name = json::meta(scale, "name");
    if !name.is_empty() && name != &*call.key.name {
        return Err(StatusError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            call.key.name
        )));
    }
    let replicas = json::integer(scale, &["spec", "replicas"]).unwrap_or(0);
    if replicas < 0 {
        let path = Path::new("spec").child("replicas");
        return refuse(path, replicas.into(), "must be greater than or equal to 0");
    }
    let mut new = live.clone();
    set_replicas(call, &mut new, replicas);
    for field in ["resourceVersion", "uid"] {
        let asked = json::meta(scale, field);
        if !asked.is_empty() {
            let asked = asked.to_owned();
            json::meta_mut(&mut new).insert(field.into(), asked.into());
        }
    }
    if json::meta(scale, "resourceVersion").is_empty() {
        json::meta_mut(&mut new).remove("resourceVersion");
    }
    Ok(new)
}
