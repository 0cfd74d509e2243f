//! Patches as pure functions: an object and a change go in, the changed object or a refusal comes out.
//!
//! ```text
//! Patch::Json ──────► json       RFC 6902, in the words of evanphx/json-patch
//! Patch::Merge ─────► merge      RFC 7396
//! Patch::Strategic ─► strategic  apimachinery/pkg/util/strategicpatch
//! Patch::Apply ─────► crate::apply
//! ```
//!
//! Codes and texts are those of `apiserver/pkg/endpoints/handlers/patch.go`.

mod go;
mod json;
mod merge;
mod order;
pub(crate) mod shape;
mod strategic;

use orch_api::{StatusError, schema::Schema};
use orch_store::client::Patch;
use serde_json::Value;

/// Applies the operations of a JSON patch, for who has to say themselves what is wrong with it.
///
/// # Errors
///
/// The words of `evanphx/json-patch`.
pub(crate) fn apply_json_patch(current: &Value, operations: &Value) -> Result<Value, String> {
    json::apply_all(current, operations)
}

/// Applies a JSON, merge or strategic merge patch to `current`.
///
/// # Errors
///
/// 400 for a malformed patch, 413 for more than 10,000 JSON patch operations, 422 for operations that
/// do not fit the object. An apply patch is not for this function (it needs the managed fields): 400.
pub fn apply_patch(schema: &Schema, current: &Value, patch: &Patch) -> Result<Value, StatusError> {
    match patch {
        Patch::Json(patch) => json::apply(current, patch),
        Patch::Merge(patch) => merge::apply(current, patch),
        Patch::Strategic(patch) => strategic::apply(schema, current, patch),
        Patch::Apply(_) => Err(StatusError::bad_request("an apply patch is merged by its managed fields")),
    }
}
