//! The hash of a pod template, which names its ReplicaSet.

use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::PodTemplateSpec,
};

/// The label that tells the pods of one template from those of another.
pub(super) const LABEL: &str = "pod-template-hash";

/// The longest name of a ReplicaSet.
const NAME_MAX: usize = 253;

/// The hash of the deployment's template, changed by each collision.
pub(super) fn of(deployment: &Deployment) -> String {
    let json = serde_json::to_vec(&deployment.spec.template).unwrap_or_default();
    let collisions = deployment.status.as_ref().and_then(|s| s.collision_count);
    let salt = collisions.map(i32::to_le_bytes).unwrap_or_default();
    let salt = if collisions.is_some() { &salt[..] } else { &[] };
    crate::common::hash::of(json.iter().chain(salt))
}

/// The name of the set for the deployment's template.
pub(super) fn set_name(deployment: &Deployment) -> String {
    let hash = of(deployment);
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    let room = NAME_MAX.saturating_sub(hash.len() + 1);
    let name = name.get(..room).unwrap_or(name);
    format!("{name}-{hash}")
}

/// Whether the set was made of the template: they are equal but for the hash label.
pub(super) fn is_of_template(set: &ReplicaSet, template: &PodTemplateSpec) -> bool {
    let bare = |template: &PodTemplateSpec| {
        let mut template = template.clone();
        let meta = template.metadata.get_or_insert_default();
        meta.labels.get_or_insert_default().remove(LABEL);
        meta.annotations.get_or_insert_default();
        template
    };
    set.spec.template.as_ref().is_some_and(|own| bare(own) == bare(template))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn the_hash_never_changes_and_is_safe_in_names() {
        let hash = of(&fixtures::deployment("web", 1));
        assert_eq!(hash, of(&fixtures::deployment("web", 7)));
        assert!(hash.bytes().all(|b| b"bcdfghjklmnpqrstvwxz2456789".contains(&b)), "{hash}");
    }

    #[test]
    fn a_collision_changes_the_hash() {
        let mut deployment = fixtures::deployment("web", 1);
        let before = of(&deployment);
        deployment.status.get_or_insert_default().collision_count = Some(1);
        assert_ne!(of(&deployment), before);
    }
}
