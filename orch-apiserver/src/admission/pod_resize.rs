//! A resize that the pod's node can never grant is refused at once (`plugin/pkg/admission/podresize`).

use super::{NODES, Operation, Plugin, Review, View};
use crate::core::json;
use async_trait::async_trait;
use orch_api::quantity::Quantity;
use orch_api::{
    Key, StatusError,
    k8s_openapi::apimachinery::pkg::apis::meta::v1::StatusCause,
    quota::{Amounts, pod_requests},
};
use serde_json::Value;

/// The plugin `PodResizeValidator`.
pub struct PodResizeValidator;

#[async_trait]
impl Plugin for PodResizeValidator {
    fn name(&self) -> &'static str {
        "PodResizeValidator"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        review.is_of("", "pods") && review.subresource() == "resize" && review.operation == Operation::Update
    }

    async fn validate(&self, view: &View<'_>, review: &Review<'_>, pod: &Value) -> Result<(), StatusError> {
        let name = json::text(pod, &["spec", "nodeName"]);
        let generation = |pod: &Value| json::integer(pod, &["metadata", "generation"]);
        if name.is_empty() || review.old.is_some_and(|old| generation(old) == generation(pod)) {
            return Ok(());
        }
        let Some(node) = view.find(&NODES, &Key::cluster(name)).await? else {
            return Err(review.forbidden(pod, format!("node {name:?} not found")));
        };
        if let Some(os) = node.meta.labels.get("kubernetes.io/os").filter(|os| *os != "linux") {
            let why = format!("pod resize is only supported on linux nodes, node {name:?} is {os:?}");
            return Err(refused(review, pod, why, "UnsupportedPlatform"));
        }
        let node: Value = node.parse()?;
        let allocatable = Amounts::read(json::at(&node, &["status", "allocatable"]));
        match shortage(&pod_requests(pod, false), &allocatable) {
            Some(why) => Err(refused(review, pod, why, "NodeCapacity")),
            None => Ok(()),
        }
    }
}

fn refused(review: &Review<'_>, pod: &Value, why: String, reason: &str) -> StatusError {
    let error = review.forbidden(pod, why);
    let mut details = error.details().cloned().unwrap_or_default();
    let cause = StatusCause { reason: Some(reason.to_owned()), message: None, field: None };
    details.causes.get_or_insert_default().push(cause);
    error.with_details(details)
}

/// What of CPU and memory is more than the whole node has for pods.
fn shortage(requests: &Amounts, allocatable: &Amounts) -> Option<String> {
    let read = |amounts: &Amounts, name: &str| amounts.get(name).unwrap_or(Quantity::ZERO);
    let short = ["cpu", "memory"].into_iter().filter_map(|name| {
        let (requested, has) = (read(requests, name), read(allocatable, name));
        let shown = |quantity: Quantity| if name == "cpu" { quantity.millis() } else { quantity.value() };
        (requested > has).then(|| format!("{name}, requested: {}, allocatable: {}", shown(requested), shown(has)))
    });
    let short: Vec<String> = short.collect();
    (!short.is_empty()).then(|| format!("node didn't have enough allocatable resources: {}", short.join("; ")))
}
