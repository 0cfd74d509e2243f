//! DaemonSet: the count of its templates, from before there were revisions. `apps/v1` shows it as an annotation that
//! nobody but the server writes (`pkg/apis/apps/v1/conversion.go`).

use crate::{
    validation::same,
    value::{Object, ensure},
};
use serde_json::Value;

const GENERATION: &str = "deprecated.daemonset.template.generation";

/// The count of a new set begins with one.
pub(super) fn created(object: &mut Object) {
    let first = generation(object).max(1);
    write(object, first);
}

/// Another template counts one more.
pub(super) fn updated(new: &mut Object, old: &Object) {
    let template = |object: &Object| object.get("spec").and_then(|spec| spec.get("template")).cloned();
    let changed = !same(template(new).as_ref(), template(old).as_ref());
    write(new, generation(old).saturating_add(changed.into()));
}

fn generation(object: &Object) -> i64 {
    let annotations = object.get("metadata").and_then(|meta| meta.get("annotations"));
    let text = annotations.and_then(|annotations| annotations.get(GENERATION)).and_then(Value::as_str);
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn write(object: &mut Object, generation: i64) {
    let annotations = ensure(object, "metadata").and_then(|meta| ensure(meta, "annotations"));
    if let Some(annotations) = annotations {
        annotations.insert(GENERATION.to_owned(), generation.to_string().into());
    }
}
