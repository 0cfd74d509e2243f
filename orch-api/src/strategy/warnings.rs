//! Warnings that go with an accepted object (`pkg/api/pod/warnings.go`, `pkg/api/service/warnings.go`).

use crate::kind::Kind;
use serde_json::Value;

/// What the writer of an object should know although it was accepted. `old` is there on updates.
pub fn warnings(kind: &Kind, new: &Value, old: Option<&Value>) -> Vec<String> {
    let _ = (kind, new, old);
    Vec::new()
}
