//! Which part of the old object a part of the new one is compared with (`apiserver/pkg/cel/common/equality.go`): fields
//! by name, items of lists by their keys where the list is a map.

use super::node::Node;
use crate::schema::ListMerge;
use serde_json::Value;

/// The old value of a field.
pub(super) fn field<'a>(schema: &Node, name: &str, old: Option<&'a Value>) -> Option<&'a Value> {
    if schema.atomic {
        return None;
    }
    old?.as_object()?.get(name)
}

/// The old value of an item.
pub(super) fn item<'a>(schema: &Node, item: &Value, old: Option<&'a Value>) -> Option<&'a Value> {
    let ListMerge::Map(keys) = &schema.list else { return None };
    let same = |a: &Value, b: &Value| keys.iter().all(|key| a.get(&**key) == b.get(&**key));
    old?.as_array()?.iter().find(|candidate| same(candidate, item))
}
