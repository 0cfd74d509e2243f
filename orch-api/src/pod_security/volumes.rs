//! Checks of volumes.

use super::subject::{Subject, Violation, distinct, plural, quoted, violation};
use crate::access::{list, text};
use serde_json::Value;

const SAFE: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Where a volume comes from: the field beside its name.
fn source(volume: &Value) -> &str {
    let fields = volume.as_object().into_iter().flatten();
    fields
        .filter(|(name, value)| *name != "name" && !value.is_null())
        .map(|(name, _)| &**name)
        .next()
        .unwrap_or("unknown")
}

pub(super) fn host_paths(subject: &Subject<'_>) -> Option<Violation> {
    let volumes = list(subject.spec, "volumes").iter().filter(|v| source(v) == "hostPath");
    let bad: Vec<&str> = volumes.map(|v| text(v, "name")).collect();
    let detail = format!("{} {}", plural(bad.len(), "volume", "volumes"), quoted(&bad));
    if bad.is_empty() { None } else { violation("hostPath volumes", detail) }
}

pub(super) fn restricted(subject: &Subject<'_>) -> Option<Violation> {
    let volumes = || list(subject.spec, "volumes").iter().filter(|v| !SAFE.contains(&source(v)));
    let bad: Vec<&str> = volumes().map(|v| text(v, "name")).collect();
    let kinds = distinct(volumes().map(source));
    let detail = format!(
        "{} {} {} {} {}",
        plural(bad.len(), "volume", "volumes"),
        quoted(&bad),
        plural(bad.len(), "uses", "use"),
        plural(kinds.len(), "restricted volume type", "restricted volume types"),
        quoted(&kinds),
    );
    if bad.is_empty() { None } else { violation("restricted volume types", detail) }
}
