//! The index of objects by their labels, and what a selector finds with it.

use super::selector::selects;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use orch_runtime::{
    View,
    view::{Facts, Known},
};
use orch_store::Stored;
use std::sync::Arc;

/// The index of objects by each of their labels, and of Services by the first pair of their selector.
pub const BY_LABEL: &str = "label";

/// What the index files an object with such a label under.
pub fn label_value(namespace: &str, name: &str, value: &str) -> String {
    format!("{namespace}/{name}={value}")
}

/// Files an object under each of its labels.
pub fn label_index(stored: &Stored) -> Vec<Arc<str>> {
    let namespace = &stored.key.namespace;
    stored.meta.labels.iter().map(|(k, v)| label_value(namespace, k, v).into()).collect()
}

/// The objects of a namespace that a selector selects. Looks through the whole namespace only where the selector asks
/// for no label to be equal to something. The watches need [`BY_LABEL`] on the kind.
pub fn selected<T: Facts>(view: &View<'_>, namespace: &str, selector: &LabelSelector) -> Vec<Known<T>> {
    let pair = selector.match_labels.iter().flatten().next();
    let mut found = match pair {
        Some((name, value)) => view.known_by_index::<T>(BY_LABEL, &label_value(namespace, name, value)),
        None => view.list_known::<T>(namespace),
    };
    found.retain(|object| selects(selector, &object.stored.meta.labels));
    found
}
