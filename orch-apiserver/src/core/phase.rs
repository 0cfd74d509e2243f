//! Since when a volume is in its phase (`pkg/registry/core/persistentvolume/strategy.go`): the one thing that strategies
//! cannot write, since they have no clock.

use super::{json, meta::time};
use jiff::Timestamp;
use orch_api::Kind;
use serde_json::{Value, json};

const SINCE: &str = "lastPhaseTransitionTime";

fn is_volume(kind: &Kind) -> bool {
    kind.group.is_empty() && kind.kind == "PersistentVolume"
}

/// A new volume is in its first phase since now.
pub(super) fn created(kind: &Kind, volume: &mut Value, now: Timestamp) {
    if is_volume(kind) {
        volume["status"][SINCE] = json!(time(now));
    }
}

/// A volume that changes its phase does so now, unless whoever changes it says otherwise.
pub(super) fn updated(kind: &Kind, new: &mut Value, old: &Value, now: Timestamp) {
    if !is_volume(kind) {
        return;
    }
    let phase = |volume: &Value| json::text(volume, &["status", "phase"]).to_owned();
    let since = |volume: &Value| json::at(volume, &["status", SINCE]).cloned();
    match (phase(new) == phase(old), since(new), since(old)) {
        (true, None, Some(before)) => new["status"][SINCE] = before,
        (false, told, before) if told.is_none() || told == before => new["status"][SINCE] = json!(time(now)),
        _ => {}
    }
}
