//! Claims that a node of ours is to make a volume for, or whose volume is to grow.

use super::{HOSTNAME, Provisioners};
use async_trait::async_trait;
use k8s_openapi::{
    api::{
        core::v1::{
            Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PersistentVolume, PersistentVolumeClaim,
            PersistentVolumeSpec, VolumeNodeAffinity,
        },
        storage::v1::StorageClass,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use orch_api::{Key, Object};
use orch_runtime::{
    Context, Error, Reconciler, Requeue, View, Watches,
    node::volume::{Unable, VolumeProvisioner},
    plan::{Notice, reference},
    storage::{ClaimInfo, ClaimPhase, VolumeInfo, marks},
};
use orch_store::{ClientExt, Stored, informer::Delta};
use std::sync::Arc;

/// Makes volumes for claims, and lets them grow.
pub(super) struct Claims {
    pub(super) nodes: Provisioners,
}

/// The index of claims that wait for a volume, by the node that was selected for it.
const BY_NODE: &str = "selected node";

pub(super) fn watches() -> Watches {
    Watches::root::<PersistentVolumeClaim>()
        .only(matters)
        .index(BY_NODE, by_node)
        .reads::<PersistentVolume>()
        .reads::<StorageClass>()
        .maps::<Node>(claims_of_node)
        .only(|delta| delta.new.is_none())
}

fn by_node(stored: &Stored) -> Vec<Arc<str>> {
    let claim = ClaimInfo::read(stored);
    if wants_volume(&claim) { claim.selected_node.into_iter().collect() } else { Vec::new() }
}

fn claims_of_node(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let Some(node) = delta.key() else { return Vec::new() };
    let claims = view.by_index_stored(&PersistentVolumeClaim::gvr(), BY_NODE, &node.name);
    claims.iter().map(|claim| claim.key.clone()).collect()
}

/// A claim that waits for a node's volume, or for more of it.
fn matters(delta: &Delta) -> bool {
    delta.new.as_ref().is_some_and(|new| {
        let claim = ClaimInfo::read(new);
        wants_volume(&claim) || grows(&claim)
    })
}

fn wants_volume(claim: &ClaimInfo) -> bool {
    !claim.deleting && claim.volume.is_empty() && claim.selected_node.is_some() && !claim.provisioner.is_empty()
}

fn grows(claim: &ClaimInfo) -> bool {
    !claim.deleting && claim.phase == ClaimPhase::Bound && claim.request > claim.capacity
}

#[async_trait]
impl Reconciler for Claims {
    type Kind = PersistentVolumeClaim;

    async fn reconcile(&self, claim: Arc<PersistentVolumeClaim>, ctx: &Context) -> Result<Requeue, Error> {
        let Some(info) = ctx.view().known::<ClaimInfo>(&claim.key()).map(|known| known.facts) else {
            return Ok(Requeue::OnChange);
        };
        if wants_volume(&info) {
            self.make(&claim, &info, ctx).await?;
        } else if grows(&info) {
            self.grow(&claim, &info, ctx).await?;
        }
        Ok(Requeue::OnChange)
    }
}

impl Claims {
    async fn make(&self, claim: &PersistentVolumeClaim, info: &ClaimInfo, ctx: &Context) -> Result<(), Error> {
        let node = info.selected_node.clone().unwrap_or_default();
        if self.nodes.values().all(|p| p.name() != &*info.provisioner) {
            return Ok(());
        }
        let Some(provisioner) = self.nodes.get(&node).filter(|p| p.name() == &*info.provisioner) else {
            return elsewhere(claim, &node, ctx).await;
        };
        let name = format!("pvc-{}", info.uid);
        if ctx.view().stored(&PersistentVolume::gvr(), &Key::cluster(name.as_str())).is_some() {
            return Ok(());
        }
        let class_key = Key::cluster(info.class_name());
        let Some(class) = ctx.view().get::<StorageClass>(&class_key) else {
            return Err(Error::Retry(format!("storageclass.storage.k8s.io {:?} not found", class_key.name)));
        };
        match provisioner.provision(&name, claim).await {
            Ok(source) => {
                let volume = volume(&name, source, claim, &class, &node, &**provisioner);
                match ctx.client.add(&volume).await {
                    Err(error) if !error.is_already_exists() => return Err(error.into()),
                    _ => {}
                }
                let words = format!("Successfully provisioned volume {name}");
                ctx.recorder.record(Notice::normal(claim, "ProvisioningSucceeded", words));
                Ok(())
            }
            Err(unable) => self.failed(claim, &class, &unable, ctx).await,
        }
    }

    async fn failed(
        &self,
        claim: &PersistentVolumeClaim,
        class: &StorageClass,
        unable: &Unable,
        ctx: &Context,
    ) -> Result<(), Error> {
        let words = format!("failed to provision volume with StorageClass {:?}: {unable}", class.key().name);
        ctx.recorder.record(Notice::warning(claim, "ProvisioningFailed", words.clone()));
        match unable {
            Unable::Now(_) => return Err(Error::Retry(words)),
            Unable::Anywhere(_) => {}
            Unable::Here(_) => reschedule(claim, ctx).await?,
        }
        Ok(())
    }

    async fn grow(&self, claim: &PersistentVolumeClaim, info: &ClaimInfo, ctx: &Context) -> Result<(), Error> {
        let Some(known) = ctx.view().known::<VolumeInfo>(&Key::cluster(info.volume.clone())) else { return Ok(()) };
        let is_its = known.facts.claim.as_ref().is_some_and(|of| of.uid == info.uid);
        let provisioner = known.facts.hostname().and_then(|node| self.nodes.get(node));
        let Some(provisioner) = provisioner.filter(|p| is_its && p.name() == &*known.facts.provisioner) else {
            return Ok(());
        };
        let volume: Arc<PersistentVolume> = known.stored.decode()?;
        let wanted = claim.spec.as_ref().and_then(|s| s.resources.as_ref()?.requests.as_ref()?.get("storage").cloned());
        let Some(wanted) = wanted else { return Ok(()) };
        let words = format!("External resizer is resizing volume {}", info.volume);
        ctx.recorder.record(Notice::normal(claim, "Resizing", words));
        if let Err(why) = provisioner.expand(&volume, info.request).await {
            let words = format!("resize volume {:?} by resizer {:?} failed: {why}", info.volume, provisioner.name());
            ctx.recorder.record(Notice::warning(claim, "VolumeResizeFailed", words.clone()));
            return Err(Error::Retry(words));
        }
        if known.facts.capacity < info.request {
            let mut grown = (*volume).clone();
            let capacity = grown.spec.get_or_insert_default().capacity.get_or_insert_default();
            capacity.insert("storage".into(), wanted.clone());
            ctx.client.replace(&grown).await?;
        }
        let mut told = claim.clone();
        let status = told.status.get_or_insert_default();
        status.capacity.get_or_insert_default().insert("storage".into(), wanted);
        ctx.client.replace_status(&told).await?;
        ctx.recorder.record(Notice::normal(claim, "VolumeResizeSuccessful", "Resize volume succeeded"));
        Ok(())
    }
}

/// Another process serves the node, unless there is no such node any more.
async fn elsewhere(claim: &PersistentVolumeClaim, node: &str, ctx: &Context) -> Result<(), Error> {
    match ctx.client.find::<Node>(&Key::cluster(node)).await? {
        Some(_) => Ok(()),
        None => reschedule(claim, ctx).await,
    }
}

/// Without its node the claim sends the pod back to the scheduler (`rescheduleProvisioning`).
async fn reschedule(claim: &PersistentVolumeClaim, ctx: &Context) -> Result<(), Error> {
    let mut new = claim.clone();
    new.metadata.annotations.get_or_insert_default().remove(marks::SELECTED_NODE);
    match ctx.client.replace(&new).await {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}

/// The object of a volume that was made for a claim on a node.
fn volume(
    name: &str,
    source: PersistentVolumeSpec,
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
    node: &str,
    provisioner: &dyn VolumeProvisioner,
) -> PersistentVolume {
    let wanted = claim.spec.clone().unwrap_or_default();
    let policy = class.reclaim_policy.clone().unwrap_or_else(|| "Delete".into());
    let finalizers = (policy == "Delete").then(|| vec![marks::PROVISIONER_FINALIZER.to_owned()]);
    let on_node =
        NodeSelectorRequirement { key: HOSTNAME.into(), operator: "In".into(), values: Some(vec![node.to_owned()]) };
    let term = NodeSelectorTerm { match_expressions: Some(vec![on_node]), match_fields: None };
    PersistentVolume {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            annotations: Some([(marks::PROVISIONED_BY.to_owned(), provisioner.name().to_owned())].into()),
            finalizers,
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            capacity: wanted.resources.and_then(|resources| resources.requests),
            access_modes: wanted.access_modes,
            volume_mode: wanted.volume_mode,
            storage_class_name: class.metadata.name.clone(),
            mount_options: class.mount_options.clone(),
            persistent_volume_reclaim_policy: Some(policy),
            claim_ref: Some(reference(claim)),
            node_affinity: Some(VolumeNodeAffinity {
                required: Some(NodeSelector { node_selector_terms: vec![term] }),
            }),
            ..source
        }),
        status: None,
    }
}
