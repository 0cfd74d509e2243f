//! CustomResourceDefinitions (`apiextensions-apiserver/pkg/registry/customresourcedefinition/strategy.go`).

use crate::value::{self, Object};
use serde_json::{Value, json};

/// Objects may be stored in the storage version from now on.
pub(super) fn store_version(definition: &mut Object) {
    let versions = definition.get("spec").and_then(|spec| spec.get("versions")).and_then(Value::as_array);
    let storage = versions.into_iter().flatten().find(|v| v.get("storage") == Some(&Value::Bool(true)));
    let Some(name) = storage.and_then(|v| v.get("name")).cloned() else { return };
    let Some(status) = value::ensure(definition, "status") else { return };
    let stored = status.entry("storedVersions").or_insert_with(|| json!([]));
    if stored.is_null() {
        *stored = json!([]);
    }
    if let Some(stored) = stored.as_array_mut()
        && !stored.contains(&name)
    {
        stored.push(name);
    }
}
