//! Pods carry the topology labels of their node (`plugin/pkg/admission/podtopologylabels`).

use super::{NODES, Operation, Plugin, Review, View};
use crate::core::json;
use async_trait::async_trait;
use orch_api::{Key, StatusError};
use serde_json::Value;

const LABELS: [&str; 2] = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

/// The plugin `PodTopologyLabels`. A Binding hands its labels on to the pod.
pub struct PodTopologyLabels;

#[async_trait]
impl Plugin for PodTopologyLabels {
    fn name(&self) -> &'static str {
        "PodTopologyLabels"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        review.operation == Operation::Create
            && (review.is("", "pods") || (review.is_of("", "pods") && review.subresource() == "binding"))
    }

    async fn mutate(&self, view: &View<'_>, review: &Review<'_>, object: &mut Value) -> Result<bool, StatusError> {
        let node = match review.subresource() {
            "" => json::text(object, &["spec", "nodeName"]),
            _ if json::text(object, &["target", "kind"]) == "Node" => json::text(object, &["target", "name"]),
            _ => "",
        };
        if node.is_empty() {
            return Ok(false);
        }
        let Some(node) = view.find(&NODES, &Key::cluster(node)).await? else { return Ok(false) };
        let mut changed = false;
        for label in LABELS {
            let Some(value) = node.meta.labels.get(label) else { continue };
            if json::text(object, &["metadata", "labels", label]) != value {
                json::set(object, &["metadata", "labels", label], value);
                changed = true;
            }
        }
        Ok(changed)
    }
}
