//! Pods and pod templates (`pkg/apis/core/validation/validation.go`).

mod annotations;
mod containers;
mod env;
mod handlers;
mod mounts;
mod os;
mod projected;
mod resize;
mod resources;
mod scheduling;
mod security;
mod spec;
mod status;
mod update;
mod volumes;

pub(super) use handlers::port_number;
pub(super) use resize::{ephemeral_containers_updated, resized};
pub(super) use resources::{container_resource_name, quantity, resource_name};
pub(super) use scheduling::{node_selector, tolerations};
pub(super) use status::status_updated;
pub(super) use update::{difference, updated};
pub(super) use volumes::path_no_backsteps;

use super::{at::At, meta, selector};

/// Whether a spec is a pod's own or a template's: a template may leave open what a controller fills.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose<'a> {
    /// A pod with this metadata.
    Pod(At<'a>),
    /// A template; a StatefulSet adds a volume for each of its claims.
    Template(Option<At<'a>>),
}

/// A new pod.
pub(super) fn created(pod: At<'_>) {
    metadata_and_spec(pod);
    let spec = pod.at("spec");
    if !spec.at("ephemeralContainers").is_empty() {
        spec.at("ephemeralContainers").forbidden("cannot be set on create");
    }
    if !spec.at("nodeName").is_empty() && !spec.at("schedulingGates").is_empty() {
        spec.at("nodeName").forbidden("cannot be set until all schedulingGates have been cleared");
    }
}

/// What holds for a pod at all times.
fn metadata_and_spec(pod: At<'_>) {
    let (meta, spec) = (pod.at("metadata"), pod.at("spec"));
    annotations::pod(meta.at("annotations"), spec);
    spec::spec(spec, Whose::Pod(meta));
    if spec.at("serviceAccountName").is_empty() {
        projected::no_tokens(spec.at("volumes"));
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        spec.at(list).items().for_each(|container| containers::image_is_trimmed(container.at("image")));
    }
}

/// A `PodTemplateSpec`, as workloads embed it.
pub(super) fn template(template: At<'_>) {
    judge_template(template, None);
}

/// A `PodTemplateSpec` whose containers may mount claims beside the volumes.
pub(super) fn template_with_claims<'a>(template: At<'a>, claims: At<'a>) {
    judge_template(template, Some(claims));
}

fn judge_template<'a>(template: At<'a>, claims: Option<At<'a>>) {
    let meta = template.at("metadata");
    selector::labels(meta.at("labels"));
    meta::annotations(meta.at("annotations"));
    annotations::pod(meta.at("annotations"), template.at("spec"));
    spec::spec(template.at("spec"), Whose::Template(claims));
    if !template.at("spec").at("ephemeralContainers").is_empty() {
        template.at("spec").at("ephemeralContainers").forbidden("ephemeral containers not allowed in pod template");
    }
}
