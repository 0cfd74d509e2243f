//! Jobs select their pods by their own UID (`pkg/registry/batch/job/strategy.go`, `generateSelector`).

use crate::value::{self, Object};
use serde_json::{Value, json};

const UID: &str = "batch.kubernetes.io/controller-uid";
const NAME: &str = "batch.kubernetes.io/job-name";

/// Writes the labels of the template and the selector, unless the Job brings its own selector.
pub(super) fn created(job: &mut Object) {
    let meta = job.get("metadata");
    let of = |field: &str| meta.and_then(|m| m.get(field)).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (uid, name) = (of("uid"), of("name"));
    let Some(spec) = value::part(job, "spec") else { return };
    if spec.get("manualSelector").and_then(Value::as_bool).unwrap_or_default() {
        return;
    }
    let template = value::ensure(spec, "template").and_then(|t| value::ensure(t, "metadata"));
    let Some(labels) = template.and_then(|meta| value::ensure(meta, "labels")) else { return };
    for (key, value) in [("controller-uid", &uid), ("job-name", &name), (UID, &uid), (NAME, &name)] {
        value::fill(labels, key, value.as_str());
    }
    // A selector with anything else in it is left alone, and validation refuses it.
    let selector = value::ensure(spec, "selector").and_then(|s| value::ensure(s, "matchLabels"));
    if let Some(labels) = selector
        && !labels.contains_key(UID)
    {
        labels.insert(UID.into(), json!(uid));
    }
}
