//! What containers get that say nothing of their resources.

use crate::core::json;
use serde_json::{Map, Value};

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// Fills in the defaults of a LimitRange; says whether there was anything to fill in.
pub(super) fn apply(range: &Value, pod: &mut Value) -> bool {
    let (requests, limits) = defaults(range);
    let mut notes = Vec::new();
    for (list, word) in [("containers", "container"), ("initContainers", "init container")] {
        if json::items(pod, &["spec", list]).is_empty() {
            continue;
        }
        for container in json::list_mut(pod, &["spec"], list) {
            notes.extend(complete(container, word, "requests", &requests));
            notes.extend(complete(container, word, "limits", &limits));
        }
    }
    if notes.is_empty() {
        return false;
    }
    let text = format!("LimitRanger plugin set: {}", notes.join("; "));
    json::set(pod, &["metadata", "annotations", ANNOTATION], text);
    true
}

fn defaults(range: &Value) -> (Map<String, Value>, Map<String, Value>) {
    let (mut requests, mut limits) = (Map::new(), Map::new());
    for item in json::items(range, &["spec", "limits"]) {
        if json::text(item, &["type"]) != "Container" {
            continue;
        }
        for (field, into) in [("defaultRequest", &mut requests), ("default", &mut limits)] {
            if let Some(Value::Object(values)) = item.get(field) {
                into.extend(values.clone());
            }
        }
    }
    (requests, limits)
}

/// Fills in what is missing and says what that was.
fn complete(container: &mut Value, word: &str, field: &str, defaults: &Map<String, Value>) -> Option<String> {
    let mut set: Vec<&str> = Vec::new();
    for (resource, quantity) in defaults {
        if json::at(container, &["resources", field, resource]).is_none() {
            json::set(container, &["resources", field, resource], quantity.clone());
            set.push(resource);
        }
    }
    set.sort_unstable();
    let kind = field.trim_end_matches('s');
    let name = json::text(container, &["name"]);
    (!set.is_empty()).then(|| format!("{} {kind} for {word} {name}", set.join(", ")))
}
