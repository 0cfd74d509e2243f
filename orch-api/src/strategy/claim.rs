//! The two fields for the data source of a claim say the same (KEP-1495, `pkg/api/persistentvolumeclaim`).

use crate::value::{self, Object};
use serde_json::Value;

const SOURCE: &str = "dataSource";
const REFERENCE: &str = "dataSourceRef";

/// Copies the data source from the field that has it to the other one. One that was never possible is dropped, as it always
/// was, unless `old` has it.
pub(super) fn normalize(claim: &mut Object, old: Option<&Object>) {
    let had_one = old.and_then(|old| set(old.get("spec")?.as_object()?, SOURCE)).is_some();
    let Some(spec) = value::part(claim, "spec") else { return };
    if !had_one && set(spec, REFERENCE).is_none() && !set(spec, SOURCE).is_some_and(is_possible) {
        spec.remove(SOURCE);
    }
    match (set(spec, SOURCE).cloned(), set(spec, REFERENCE).cloned()) {
        (Some(source), None) => drop(spec.insert(REFERENCE.into(), source)),
        (None, Some(reference)) if text(&reference, "namespace").is_empty() => {
            spec.insert(SOURCE.into(), reference);
        }
        _ => {}
    }
}

fn set<'a>(spec: &'a Object, field: &str) -> Option<&'a Value> {
    spec.get(field).filter(|value| !value.is_null())
}

fn is_possible(source: &Value) -> bool {
    matches!(
        (text(source, "apiGroup"), text(source, "kind")),
        ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
    )
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(spec: Value, expected: Value) {
        let mut claim = json!({ "spec": spec });
        normalize(claim.as_object_mut().unwrap(), None);
        assert_eq!(claim["spec"], expected);
    }

    #[test]
    fn both_fields_say_the_same() {
        let claim = json!({"kind": "PersistentVolumeClaim", "name": "other"});
        check(json!({SOURCE: claim}), json!({SOURCE: claim, REFERENCE: claim}));
        check(json!({REFERENCE: claim}), json!({SOURCE: claim, REFERENCE: claim}));
    }

    #[test]
    fn what_never_was_a_source_is_dropped_and_other_namespaces_have_no_old_form() {
        check(json!({SOURCE: {"apiGroup": "x.io", "kind": "Y", "name": "z"}}), json!({}));
        let far = json!({"kind": "PersistentVolumeClaim", "name": "other", "namespace": "far"});
        check(json!({REFERENCE: far}), json!({REFERENCE: far}));
    }
}
