//! Kinds for the tests of defaults, strategies and validation.

use crate::{kind::Kind, kinds};

/// The row of a built-in kind in its newest version, or the custom kind `Widget`.
pub(crate) fn kind(name: &str) -> Kind {
    if name == "Widget" {
        return Kind { group: "example.com".into(), kind: "Widget".into(), ..kind("Pod") };
    }
    let group = |kind: &&Kind| name != "Event" || kind.group.is_empty();
    let version = |kind: &&Kind| name != "HorizontalPodAutoscaler" || kind.version == "v2";
    let rows = kinds::all().iter().filter(|kind| kind.kind == name);
    rows.filter(group).find(version).cloned().unwrap()
}
