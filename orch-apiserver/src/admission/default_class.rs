//! The default class of what names none: storage classes of claims, ingress classes of ingresses
//! (`plugin/pkg/admission/storage/storageclass/setdefault`, `plugin/pkg/admission/network/defaultingressclass`).

use super::{INGRESS_CLASSES, Operation, Plugin, Review, STORAGE_CLASSES, View};
use crate::core::json;
use async_trait::async_trait;
use orch_api::{Gvr, StatusError};
use orch_store::Stored;
use serde_json::Value;
use std::sync::Arc;

const STORAGE_MARKS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
const INGRESS_MARKS: [&str; 1] = ["ingressclass.kubernetes.io/is-default-class"];
const STORAGE_OF_OLD: &str = "volume.beta.kubernetes.io/storage-class";
const INGRESS_OF_OLD: &str = "kubernetes.io/ingress.class";

/// The plugin `DefaultStorageClass`.
pub struct DefaultStorageClass;

#[async_trait]
impl Plugin for DefaultStorageClass {
    fn name(&self) -> &'static str {
        "DefaultStorageClass"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        review.is("", "persistentvolumeclaims") && review.operation == Operation::Create
    }

    async fn mutate(&self, view: &View<'_>, _: &Review<'_>, claim: &mut Value) -> Result<bool, StatusError> {
        // The empty class is a class: it asks for a volume that has none.
        if has_annotation(claim, STORAGE_OF_OLD) || json::at(claim, &["spec", "storageClassName"]).is_some() {
            return Ok(false);
        }
        let class = default_of(view, &STORAGE_CLASSES, &STORAGE_MARKS).await?;
        Ok(set(claim, "storageClassName", class.as_deref()))
    }
}

/// The plugin `DefaultIngressClass`.
pub struct DefaultIngressClass;

#[async_trait]
impl Plugin for DefaultIngressClass {
    fn name(&self) -> &'static str {
        "DefaultIngressClass"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        review.is("networking.k8s.io", "ingresses") && review.operation == Operation::Create
    }

    async fn mutate(&self, view: &View<'_>, _: &Review<'_>, ingress: &mut Value) -> Result<bool, StatusError> {
        if has_annotation(ingress, INGRESS_OF_OLD) || json::at(ingress, &["spec", "ingressClassName"]).is_some() {
            return Ok(false);
        }
        let class = default_of(view, &INGRESS_CLASSES, &INGRESS_MARKS).await?;
        Ok(set(ingress, "ingressClassName", class.as_deref()))
    }
}

fn has_annotation(object: &Value, name: &str) -> bool {
    json::at(object, &["metadata", "annotations", name]).is_some()
}

fn set(object: &mut Value, field: &str, class: Option<&Stored>) -> bool {
    if let Some(class) = class {
        json::set(object, &["spec", field], &*class.key.name);
    }
    class.is_some()
}

/// The default of several is the newest; of equally new ones the first by name.
async fn default_of(view: &View<'_>, classes: &Gvr, marks: &[&str]) -> Result<Option<Arc<Stored>>, StatusError> {
    let mut best: Option<(String, Arc<Stored>)> = None;
    for class in view.all(classes, "").await? {
        let tree: Value = class.parse()?;
        if !marks.iter().any(|mark| json::text(&tree, &["metadata", "annotations", mark]) == "true") {
            continue;
        }
        let made = json::meta(&tree, "creationTimestamp").to_owned();
        let better = best
            .as_ref()
            .is_none_or(|(best_made, b)| made > *best_made || (made == *best_made && class.key.name < b.key.name));
        if better {
            best = Some((made, class));
        }
    }
    Ok(best.map(|(_, class)| class))
}
