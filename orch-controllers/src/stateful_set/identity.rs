//! Who a pod is: its name, its ordinal, its labels and its volumes.

use super::claims;
use crate::{
    common::{facts::PodFacts, history::LABEL},
    replica_set::pod_of,
};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume},
};
use orch_runtime::view::Known;

/// The label that holds the pod's own name, so that a Service can select one pod.
const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
/// The label that holds the ordinal.
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// The parts of a name that ends with an ordinal.
pub(super) fn split(name: &str) -> Option<(&str, i32)> {
    let (parent, digits) = name.rsplit_once('-')?;
    let ordinal = digits.parse().ok().filter(|ordinal: &i32| ordinal.to_string() == digits)?;
    Some((parent, ordinal))
}

/// Whether a pod is called as one of the set.
pub(super) fn is_member(set: &StatefulSet, name: &str) -> bool {
    split(name).is_some_and(|(parent, _)| set.metadata.name.as_deref() == Some(parent))
}

/// The ordinal of a pod of the set.
pub(super) fn ordinal(pod: &Known<PodFacts>) -> i32 {
    split(&pod.stored.key.name).map_or(-1, |(_, ordinal)| ordinal)
}

/// The name of the pod with an ordinal.
pub(super) fn pod_name(set: &StatefulSet, ordinal: i32) -> String {
    format!("{}-{ordinal}", set.metadata.name.as_deref().unwrap_or_default())
}

/// The name of the revision that a pod was made of.
pub(super) fn revision(pod: &Known<PodFacts>) -> &str {
    pod.stored.meta.labels.get(LABEL).unwrap_or_default()
}

/// Whether a pod has the label of its name and the claims of its ordinal.
pub(super) fn is_whole(set: &StatefulSet, pod: &Known<PodFacts>) -> bool {
    let has = |volume: &str, claim: &str| pod.facts.claims.iter().any(|(v, c)| &**v == volume && &**c == claim);
    pod.stored.meta.labels.get(POD_NAME) == Some(&*pod.stored.key.name)
        && claims::of(set, ordinal(pod))
            .all(|(template, claim)| has(template.metadata.name.as_deref().unwrap_or_default(), &claim))
}

/// The pod with an ordinal, made from a template of the set.
pub(super) fn make(set: &StatefulSet, template: &PodTemplateSpec, revision: &str, ordinal: i32) -> Pod {
    let mut pod = pod_of(set, template);
    pod.metadata.name = Some(pod_name(set, ordinal));
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = pod.metadata.name.clone();
    spec.subdomain = set.spec.service_name.clone().filter(|name| !name.is_empty());
    pod.metadata.labels.get_or_insert_default().insert(LABEL.into(), revision.into());
    mend(set, &mut pod, ordinal);
    pod
}

/// Gives a pod the labels of its name and the claims of its ordinal.
pub(super) fn mend(set: &StatefulSet, pod: &mut Pod, ordinal: i32) {
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(POD_NAME.into(), pod_name(set, ordinal));
    labels.insert(POD_INDEX.into(), ordinal.to_string());
    let mut volumes: Vec<Volume> = claims::of(set, ordinal)
        .map(|(template, claim)| Volume {
            name: template.metadata.name.clone().unwrap_or_default(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource { claim_name: claim, read_only: None }),
            ..Volume::default()
        })
        .collect();
    let spec = pod.spec.get_or_insert_default();
    let own = spec.volumes.take().unwrap_or_default();
    let others: Vec<Volume> = own.into_iter().filter(|v| volumes.iter().all(|claim| claim.name != v.name)).collect();
    volumes.extend(others);
    spec.volumes = (!volumes.is_empty()).then_some(volumes);
}
