//! `pods/ephemeralcontainers` and `pods/resize`: the parts of a running pod that may change
//! (`pkg/registry/core/pod/strategy.go`).

use crate::{
    core::{
        Answer, Call, Core, decode, json,
        update::{Admits, Mode, Part},
    },
    patch::apply_patch,
};
use orch_api::{FieldError, Path, StatusError, decode::Parsed, defaults};
use orch_store::client::{Patch, WriteOptions};
use serde_json::Value;

const MODE: Mode = Mode { part: Part::Checked, applied: false, admits: Admits::Object };

/// Replaces the part.
pub(crate) async fn update(
    core: &Core,
    call: &Call,
    part: &str,
    body: Parsed,
    options: &WriteOptions,
) -> Result<Answer, StatusError> {
    let body = core.decode_update(call, body, options)?;
    core.write(call, MODE, options, &|live| take(call, part, live, &body)).await.map(Answer::object)
}

/// Patches the part.
pub(crate) async fn patch(
    core: &Core,
    call: &Call,
    part: &str,
    patch: &Patch,
    options: &WriteOptions,
) -> Result<Answer, StatusError> {
    let schema = decode::schema_of(&call.kind);
    let change = |live: &Value| {
        let apply = || apply_patch(&schema, live, patch);
        let mut changed = decode::patched(call, apply()?, options, apply)?;
        defaults::apply(&call.kind, &mut changed);
        take(call, part, live, &changed)
    };
    core.write(call, MODE, options, &change).await.map(Answer::object)
}

/// The live pod with the part taken from the new one.
fn take(call: &Call, part: &str, live: &Value, new: &Value) -> Result<Value, StatusError> {
    let mut out = live.clone();
    let revision = json::meta(new, "resourceVersion").to_owned();
    json::meta_mut(&mut out).insert("resourceVersion".into(), revision.into());
    let changed = if part == "resize" { resize(&mut out, new) } else { add_ephemeral(call, &mut out, live, new)? };
    if changed && let Some(generation) = json::integer(&out, &["metadata", "generation"]) {
        json::set(&mut out, &["metadata", "generation"], generation + 1);
    }
    Ok(out)
}

/// Resources and resize policies of the containers, by name.
fn resize(out: &mut Value, new: &Value) -> bool {
    let mut changed = false;
    for list in ["containers", "initContainers"] {
        let wanted = json::items(new, &["spec", list]).to_vec();
        if wanted.is_empty() {
            continue;
        }
        for container in json::list_mut(out, &["spec"], list) {
            let same = |c: &&Value| c.get("name") == container.get("name");
            let Some(source) = wanted.iter().find(same) else { continue };
            for field in ["resources", "resizePolicy"] {
                if container.get(field) != source.get(field) {
                    json::set(container, &[field], source.get(field).cloned().unwrap_or_default());
                    changed = true;
                }
            }
        }
    }
    changed
}

/// Ephemeral containers are added, never changed or taken away.
fn add_ephemeral(call: &Call, out: &mut Value, live: &Value, new: &Value) -> Result<bool, StatusError> {
    let (old, wanted) =
        (json::items(live, &["spec", "ephemeralContainers"]), json::items(new, &["spec", "ephemeralContainers"]));
    let path = Path::new("spec").child("ephemeralContainers");
    for container in old {
        let name = json::text(container, &["name"]);
        let now = wanted.iter().find(|c| json::text(c, &["name"]) == name);
        let why = match now {
            None => format!("existing ephemeral containers {name:?} may not be removed\n"),
            Some(now) if now != container => format!("existing ephemeral containers {name:?} may not be changed\n"),
            Some(_) => continue,
        };
        let error = FieldError::forbidden(&path, why);
        return Err(StatusError::invalid("", "Pod", &call.key.name, &[error]));
    }
    let changed = old != wanted;
    if changed {
        json::set(out, &["spec", "ephemeralContainers"], wanted.to_vec());
    }
    Ok(changed)
}
