//! [`Source`]: what a volume of a pod is made of: what the pod says itself, or what its claim is bound to.

use super::{Context, MountError};
use k8s_openapi::api::core::v1::{
    HostPathVolumeSource, Node as NodeObject, PersistentVolume, PersistentVolumeClaim, Pod, Volume,
};
use orch_api::{Key, Object, StatusError};
use orch_runtime::{
    scheduler::NodeInfo,
    storage::{ClaimInfo, ClaimPhase, VolumeInfo, marks, reaches},
};
use orch_store::{Client, Stored};
use std::sync::Arc;

/// What a volume of a pod is made of.
pub struct Source<'a> {
    /// The volume as the pod states it.
    pub volume: &'a Volume,
    /// What its claim is bound to, if it is one.
    pub persistent: Option<Arc<PersistentVolume>>,
}

impl Source<'_> {
    /// The name in messages: that of the persistent volume, where there is one.
    pub fn name(&self) -> &str {
        let persistent = self.persistent.as_ref().and_then(|volume| volume.metadata.name.as_deref());
        persistent.unwrap_or(&self.volume.name)
    }

    /// A path of the node.
    pub fn host_path(&self) -> Option<&HostPathVolumeSource> {
        match &self.persistent {
            Some(volume) => volume.spec.as_ref()?.host_path.as_ref(),
            None => self.volume.host_path.as_ref(),
        }
    }

    /// The path of a local volume.
    pub fn local(&self) -> Option<&str> {
        self.persistent.as_ref()?.spec.as_ref()?.local.as_ref().map(|local| local.path.as_str())
    }
}

/// The claim that a volume of the pod is: its name, and whether it is made for this pod alone.
pub fn claim_of(pod: &Pod, volume: &Volume) -> Option<(String, bool)> {
    if let Some(claim) = &volume.persistent_volume_claim {
        return Some((claim.claim_name.clone(), false));
    }
    volume.ephemeral.as_ref()?;
    let pod = pod.metadata.name.as_deref().unwrap_or_default();
    Some((format!("{pod}-{}", volume.name), true))
}

/// Finds out what a volume is made of. Claims and persistent volumes are asked for at the API itself, so that a claim which
/// is being deleted is not used any more (`desired_state_of_world_populator.go`, createVolumeSpec).
pub(super) async fn resolve<'a>(context: &Context<'_>, volume: &'a Volume) -> Result<Source<'a>, MountError> {
    let Some((name, ephemeral)) = claim_of(context.pod, volume) else {
        return Ok(Source { volume, persistent: None });
    };
    let namespace = context.pod.metadata.namespace.as_deref().unwrap_or_default();
    let key = Key::new(namespace, name);
    let unfit = |why: String| MountError::Claim { volume: volume.name.clone(), why };
    let processing = |why: String| unfit(format!("error processing PVC {key}: {why}"));
    let client = &*context.node.client;
    let claim = claim(client, &key).await.map_err(processing)?;
    if ephemeral && *claim.owner != *context.pod.uid() {
        let words = format!("PVC {key} was not created for pod {} (pod is not owner)", context.pod.key());
        return Err(unfit(words));
    }
    let found = persistent(client, &claim).await.map_err(processing)?;
    let info = VolumeInfo::read(&found);
    let (is, needed) = (if info.block { "Block" } else { "Filesystem" }, mentions(context.pod, &volume.name));
    if let Some(list) = needed.unfit_for(info.block) {
        return Err(unfit(format!("volume {} has volumeMode {is}, but is specified in {list}", volume.name)));
    }
    let setup = |why: String| MountError::SetUp { volume: info.name.to_string(), why };
    reachable(context, &info).await?;
    let persistent = found.decode::<PersistentVolume>().map_err(|error| setup(error.to_string()))?;
    Ok(Source { volume, persistent: Some(persistent) })
}

async fn claim(client: &dyn Client, key: &Key) -> Result<ClaimInfo, String> {
    let failed = |error: StatusError| format!("failed to fetch PVC from API server: {error}");
    let stored = client.get(&PersistentVolumeClaim::gvr(), key, None).await.map_err(failed)?;
    let claim = ClaimInfo::read(&stored);
    if claim.deleting && !stored.meta.has_finalizer(marks::PROTECT_CLAIM) {
        return Err("PVC is being deleted".into());
    }
    if claim.phase != ClaimPhase::Bound {
        return Err("PVC is not bound".into());
    }
    if claim.volume.is_empty() {
        return Err("PVC has empty pvc.Spec.VolumeName".into());
    }
    Ok(claim)
}

async fn persistent(client: &dyn Client, claim: &ClaimInfo) -> Result<Arc<Stored>, String> {
    let name = &claim.volume;
    let failed = |error: StatusError| format!("failed to fetch PV {name} from API server: {error}");
    let stored = client.get(&PersistentVolume::gvr(), &Key::cluster(name.clone()), None).await.map_err(failed)?;
    match VolumeInfo::read(&stored).claim {
        None => {
            let words = "has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim";
            Err(format!("found PV object {name} but it {words}"))
        }
        Some(of) if of.uid != claim.uid => {
            let words = format!("pv.Spec.ClaimRef.UID {} does not point to claim.UID {}", of.uid, claim.uid);
            Err(format!("found PV object {name} but its {words}"))
        }
        Some(_) => Ok(stored),
    }
}

/// A volume of another node may have a path that is here as well.
async fn reachable(context: &Context<'_>, volume: &VolumeInfo) -> Result<(), MountError> {
    if volume.affinity.is_none() {
        return Ok(());
    }
    let check = |why: String| MountError::Affinity { volume: volume.name.to_string(), why };
    let key = Key::cluster(context.node.name.clone());
    let found = context.node.client.get(&NodeObject::gvr(), &key, None).await;
    let node = found.and_then(|stored| stored.decode::<NodeObject>()).map_err(|error| check(error.to_string()))?;
    match reaches(&NodeInfo::read(&node), volume) {
        true => Ok(()),
        false => Err(check("no matching NodeSelectorTerms".into())),
    }
}

/// How the containers of a pod use a volume.
struct Mentions {
    mounted: bool,
    as_device: bool,
}

impl Mentions {
    /// The list that does not go with a block device, or with a file system.
    fn unfit_for(&self, block: bool) -> Option<&'static str> {
        match block {
            true if self.mounted => Some("volumeMounts"),
            false if self.as_device => Some("volumeDevices"),
            _ => None,
        }
    }
}

fn mentions(pod: &Pod, volume: &str) -> Mentions {
    let containers = || crate::pod::spec::containers(pod).map(|of| of.container);
    Mentions {
        mounted: containers().any(|c| c.volume_mounts.iter().flatten().any(|mount| mount.name == volume)),
        as_device: containers().any(|c| c.volume_devices.iter().flatten().any(|device| device.name == volume)),
    }
}
