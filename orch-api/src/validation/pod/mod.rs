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
#[cfg(test)]
mod tests;
mod update;
mod volumes;

pub(super) use containers::PULL_POLICIES;
pub(super) use handlers::port_number;
pub(super) use resize::{ephemeral_containers_updated, resized};
pub(super) use resources::{quantity, resource_name};
pub(super) use scheduling::{node_selector, node_selector_term, tolerations};
pub(super) use status::status_updated;
pub(super) use update::updated;
pub(super) use volumes::{path_no_backsteps, secret_like};

use super::{at::At, meta, selector};

/// Whether a spec is a pod's own or a template's: a template may leave open what a controller fills.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose<'a> {
    /// A pod with this metadata.
    Pod(At<'a>),
    /// A template.
    Template,
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
    let meta = template.at("metadata");
    selector::labels(meta.at("labels"));
    meta::annotations(meta.at("annotations"));
    annotations::pod(meta.at("annotations"), template.at("spec"));
    spec::spec(template.at("spec"), Whose::Template);
    if !template.at("spec").at("ephemeralContainers").is_empty() {
        template.at("spec").at("ephemeralContainers").forbidden("ephemeral containers not allowed in pod template");
    }
}
