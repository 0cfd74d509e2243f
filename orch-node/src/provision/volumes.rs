//! Volumes whose claims are gone, and that a node of ours is to delete.

use super::Provisioners;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::PersistentVolume;
use orch_api::Object;
use orch_runtime::{
    Context, Error, Reconciler, Requeue, Watches,
    plan::Notice,
    storage::{VolumeInfo, VolumePhase, marks::PROVISIONER_FINALIZER},
};
use orch_store::{ClientExt, client::DeleteOptions, informer::Delta};
use std::sync::Arc;

/// Deletes volumes.
pub(super) struct Volumes {
    pub(super) nodes: Provisioners,
}

pub(super) fn watches() -> Watches {
    Watches::root::<PersistentVolume>().only(matters)
}

fn matters(delta: &Delta) -> bool {
    delta
        .new
        .as_ref()
        .is_some_and(|new| next(&VolumeInfo::read(new), new.meta.has_finalizer(PROVISIONER_FINALIZER)) != Next::Nothing)
}

/// What is to be done about a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    /// What is behind it goes, and then the object.
    Delete,
    /// The object goes, and what is behind it stays: a person has said so since it was made.
    LetGo,
}

/// Decides (`shouldDelete`). A volume with a claim is never touched, also when somebody has deleted its object.
pub(super) fn next(volume: &VolumeInfo, has_finalizer: bool) -> Next {
    let is_free = matches!(volume.phase, VolumePhase::Released | VolumePhase::Failed);
    if volume.provisioner.is_empty() || volume.migrated {
        return Next::Nothing;
    }
    match &*volume.reclaim {
        "Delete" if is_free && (has_finalizer || !volume.deleting) => Next::Delete,
        // Never bound, and deleted by a person.
        "Delete"
            if volume.deleting && volume.phase != VolumePhase::Bound && volume.claim.is_none() && has_finalizer =>
        {
            Next::Delete
        }
        "Retain" if volume.deleting && has_finalizer => Next::LetGo,
        _ => Next::Nothing,
    }
}

#[async_trait]
impl Reconciler for Volumes {
    type Kind = PersistentVolume;

    async fn reconcile(&self, volume: Arc<PersistentVolume>, ctx: &Context) -> Result<Requeue, Error> {
        let Some(known) = ctx.view().known::<VolumeInfo>(&volume.key()) else { return Ok(Requeue::OnChange) };
        let provisioner = known.facts.hostname().and_then(|node| self.nodes.get(node));
        let Some(provisioner) = provisioner.filter(|p| p.name() == &*known.facts.provisioner) else {
            return Ok(Requeue::OnChange);
        };
        match next(&known.facts, known.stored.meta.has_finalizer(PROVISIONER_FINALIZER)) {
            Next::Nothing => {}
            Next::LetGo => free(&volume, ctx).await?,
            Next::Delete => {
                if let Err(words) = provisioner.delete(&volume).await {
                    ctx.recorder.record(Notice::warning(&*volume, "VolumeFailedDelete", words.clone()));
                    return Err(Error::Retry(words));
                }
                if !volume.is_deleting() {
                    let options = DeleteOptions { uid: Some(volume.uid().into()), ..DeleteOptions::default() };
                    match ctx.client.delete(&PersistentVolume::gvr(), &volume.key(), &options).await {
                        Err(error) if error.is_not_found() => return Ok(Requeue::OnChange),
                        other => drop(other?),
                    }
                    // With its finalizer the object is still there, and comes by once more.
                    return Ok(Requeue::OnChange);
                }
                free(&volume, ctx).await?;
            }
        }
        Ok(Requeue::OnChange)
    }
}

/// Takes the finalizer off.
async fn free(volume: &PersistentVolume, ctx: &Context) -> Result<(), Error> {
    let mut new = volume.clone();
    new.metadata.finalizers.get_or_insert_default().retain(|name| name != PROVISIONER_FINALIZER);
    match ctx.client.replace(&new).await {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}
