//! Which claims pods use, and the indexes by which claims, volumes and pods find each other.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use orch_api::Key;
use orch_runtime::{
    storage::{ClaimInfo, VolumeInfo},
    view::View,
};
use orch_store::{Stored, informer::Delta, stored::Parts};
use serde::Deserialize;
use std::sync::Arc;

/// The index of pods by the claims that they use.
pub const BY_CLAIM: &str = "claims";
/// The index of volumes by the claim that they are for.
pub const BY_REFERENCE: &str = "claim reference";
/// The index of volumes by their class.
pub const BY_CLASS: &str = "class";
/// The index of claims by the volume that they name.
pub const BY_VOLUME: &str = "volume";
/// The index of claims that name no volume, by their class.
pub const WITHOUT_VOLUME: &str = "without volume";

/// How a pod uses claims.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodUse {
    /// Its node, empty while it has none.
    pub node: Arc<str>,
    /// Whether all its containers have ended for good.
    pub is_finished: bool,
    /// Whether the node is done with it, or it was deleted by force: nothing of it runs any more.
    pub is_shut_down: bool,
    /// The claims, with whether each is made for this pod alone.
    pub claims: Vec<(Arc<str>, bool)>,
}

impl PodUse {
    /// Reads the stored JSON. Pods without claims cost a glance.
    pub fn read(stored: &Stored) -> Self {
        if !mentions_claims(stored) {
            return Self::default();
        }
        let Parts { metadata, spec, status }: Parts<LiteSpec, LiteStatus, LiteMeta> = Parts::of(stored);
        let claim = |volume: LiteVolume| match (volume.persistent_volume_claim, volume.ephemeral) {
            (Some(source), _) => Some((source.claim_name, false)),
            (None, Some(_)) => Some((claim_name(&stored.key.name, &volume.name).into(), true)),
            (None, None) => None,
        };
        Self {
            node: spec.node_name,
            is_finished: matches!(&*status.phase, "Succeeded" | "Failed"),
            is_shut_down: stored.meta.is_deleting() && metadata.deletion_grace_period_seconds == Some(0),
            claims: spec.volumes.into_iter().filter_map(claim).collect(),
        }
    }
}

/// The claim of an ephemeral volume (`ephemeral.VolumeClaimName`).
pub fn claim_name(pod: &str, volume: &str) -> String {
    format!("{pod}-{volume}")
}

fn mentions_claims(stored: &Stored) -> bool {
    let text = std::str::from_utf8(&stored.json).unwrap_or_default();
    text.contains("\"persistentVolumeClaim\"") || text.contains("\"ephemeral\"")
}

/// Files pods under [`BY_CLAIM`].
pub fn by_claim(stored: &Stored) -> Vec<Arc<str>> {
    let used = PodUse::read(stored).claims;
    used.into_iter().map(|(name, _)| format!("{}/{name}", stored.key.namespace).into()).collect()
}

/// Files volumes under [`BY_REFERENCE`].
pub fn by_reference(stored: &Stored) -> Vec<Arc<str>> {
    VolumeInfo::read(stored).claim.into_iter().map(|of| of.key.to_string().into()).collect()
}

/// Files volumes under [`BY_CLASS`].
pub fn by_class(stored: &Stored) -> Vec<Arc<str>> {
    vec![VolumeInfo::read(stored).class]
}

/// Files claims under [`BY_VOLUME`].
pub fn by_volume(stored: &Stored) -> Vec<Arc<str>> {
    Some(ClaimInfo::read(stored).volume).filter(|name| !name.is_empty()).into_iter().collect()
}

/// Files claims under [`WITHOUT_VOLUME`].
pub fn without_volume(stored: &Stored) -> Vec<Arc<str>> {
    let claim = ClaimInfo::read(stored);
    if claim.volume.is_empty() { vec![claim.class.unwrap_or_default()] } else { Vec::new() }
}

/// The claims of a pod that appeared, went, ended or got a node.
pub fn claims_of_pod(delta: &Delta, _: &View<'_>) -> Vec<Key> {
    let read = |stored: &Option<Arc<Stored>>| stored.as_ref().map(|pod| PodUse::read(pod)).unwrap_or_default();
    let (old, new) = (read(&delta.old), read(&delta.new));
    let other = |d: &Delta| matches!((&d.old, &d.new), (Some(old), Some(new)) if old.meta.uid != new.meta.uid);
    if old == new && !other(delta) {
        return Vec::new();
    }
    let Some(namespace) = delta.key().map(|key| key.namespace.clone()) else { return Vec::new() };
    let names = old.claims.into_iter().chain(new.claims).map(|(name, _)| name);
    let mut keys: Vec<Key> = names.map(|name| Key { namespace: namespace.clone(), name }).collect();
    keys.sort();
    keys.dedup();
    keys
}

/// Whether the claim is the one that an ephemeral volume of the pod asks for: the pod controls it.
pub fn is_of_pod(claim: &PersistentVolumeClaim, pod_uid: &str) -> bool {
    let owners = claim.metadata.owner_references.iter().flatten();
    owners.filter(|owner| owner.controller == Some(true)).any(|owner| owner.uid == pod_uid)
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LiteMeta {
    deletion_grace_period_seconds: Option<i64>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LiteSpec {
    node_name: Arc<str>,
    volumes: Vec<LiteVolume>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LiteVolume {
    name: Arc<str>,
    persistent_volume_claim: Option<ClaimSource>,
    ephemeral: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ClaimSource {
    claim_name: Arc<str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LiteStatus {
    phase: Arc<str>,
}
