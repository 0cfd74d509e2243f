//! `PUT namespaces/NAME/finalize`: the namespace controller takes the finalizers of the spec away
//! (`pkg/registry/core/namespace/strategy.go`).

use crate::core::{
    Answer, Call, Core, json,
    update::{Mode, Part},
};
use orch_api::{StatusError, decode::Parsed};
use orch_store::client::WriteOptions;
use serde_json::Value;

/// Replaces the finalizers of a namespace's spec; nothing else changes.
pub(crate) async fn finalize(
    core: &Core,
    call: &Call,
    body: Parsed,
    options: &WriteOptions,
) -> Result<Answer, StatusError> {
    let body = core.decode_update(call, body, options)?;
    let change = |live: &Value| {
        let mut new = live.clone();
        let finalizers = json::items(&body, &["spec", "finalizers"]).to_vec();
        match finalizers.is_empty() {
            true => drop(json::remove(&mut new, &["spec", "finalizers"])),
            false => json::set(&mut new, &["spec", "finalizers"], finalizers),
        }
        let revision = json::meta(&body, "resourceVersion").to_owned();
        json::meta_mut(&mut new).insert("resourceVersion".into(), revision.into());
        Ok(new)
    };
    let mode = Mode { part: Part::Checked, ..Mode::default() };
    core.write(call, mode, options, &change).await.map(Answer::object)
}
