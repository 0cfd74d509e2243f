//! `StorageFeed`: what happens to claims, volumes and classes, and what that is to waiting pods.

use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim},
    storage::v1::{CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment},
};
use orch_api::{Gvr, Object};
use orch_runtime::{
    scheduler::{Attachment, ClusterEvent, DriverInfo, DriverLimits, News, Storage},
    storage::{CapacityInfo, ClaimInfo, ClassInfo, VolumeInfo},
};
use orch_store::{Informer, Informers, Stored, informer::Delta};
use serde::Deserialize;
use std::{future::poll_fn, sync::Arc, task::Poll};
use tokio::sync::mpsc::UnboundedReceiver;

/// A change of one of the kinds that have to do with storage.
pub struct StorageChange {
    kind: Kind,
    delta: Delta,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Claim,
    Volume,
    Class,
    Driver,
    Capacity,
    Limits,
    Attachment,
}

/// The changes of all these kinds, those of one kind in their order.
pub(super) struct StorageFeed(Vec<(Kind, Informer, UnboundedReceiver<Delta>)>);

impl StorageFeed {
    /// Begins to listen.
    pub(super) fn start(informers: &Informers) -> Self {
        let listen = |(kind, gvr): (Kind, fn() -> Gvr)| {
            let informer = informers.get(&gvr());
            let deltas = informer.subscribe();
            (kind, informer, deltas)
        };
        Self(KINDS.into_iter().map(listen).collect())
    }

    /// Waits until everything that there is has been listed.
    pub(super) async fn synced(&self) {
        for (_, informer, _) in &self.0 {
            informer.synced().await;
        }
    }

    /// The next change; `None` when the informers are gone.
    pub(super) async fn recv(&mut self) -> Option<StorageChange> {
        poll_fn(|context| {
            for (kind, _, deltas) in &mut self.0 {
                if let Poll::Ready(delta) = deltas.poll_recv(context) {
                    return Poll::Ready(delta.map(|delta| StorageChange { kind: *kind, delta }));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// The next change that is there already.
    pub(super) fn try_recv(&mut self) -> Option<StorageChange> {
        self.0
            .iter_mut()
            .find_map(|(kind, _, deltas)| Some(StorageChange { kind: *kind, delta: deltas.try_recv().ok()? }))
    }
}

const KINDS: [(Kind, fn() -> Gvr); 7] = [
    (Kind::Claim, PersistentVolumeClaim::gvr),
    (Kind::Volume, PersistentVolume::gvr),
    (Kind::Class, StorageClass::gvr),
    (Kind::Driver, CSIDriver::gvr),
    (Kind::Capacity, CSIStorageCapacity::gvr),
    (Kind::Limits, CSINode::gvr),
    (Kind::Attachment, VolumeAttachment::gvr),
];

impl StorageChange {
    #[cfg(test)]
    pub(super) fn of<K: Object>(old: Option<&K>, new: Option<&K>) -> Self {
        let stored = |object: &K| {
            let json = orch_store::client::encode(object).unwrap().to_string();
            Arc::new(Stored::from_json(json.into()).unwrap())
        };
        let kind = KINDS.iter().find(|(_, gvr)| gvr() == K::gvr()).unwrap().0;
        Self { kind, delta: Delta { old: old.map(stored), new: new.map(stored) } }
    }

    /// Takes the change over and tells what it may help with.
    pub(super) fn apply(&self, storage: &mut Storage, mut tell: impl FnMut(&ClusterEvent<'_>)) {
        let Some(stored) = self.delta.new.as_ref() else { return self.remove(storage, tell) };
        let name = stored.key.name.clone();
        match self.kind {
            Kind::Claim => {
                let new = Arc::new(ClaimInfo::read(stored));
                match storage.set_claim(new.clone()) {
                    News::Old => {}
                    News::New => tell(&ClusterEvent::Claim(None, &new)),
                    News::Changed(old) => tell(&ClusterEvent::Claim(Some(&old), &new)),
                }
            }
            Kind::Volume => {
                let new = Arc::new(VolumeInfo::read(stored));
                match storage.set_volume(new.clone()) {
                    News::Old => {}
                    News::New => tell(&ClusterEvent::Volume(None, &new)),
                    News::Changed(old) => tell(&ClusterEvent::Volume(Some(&old), &new)),
                }
            }
            Kind::Class => {
                let new = Arc::new(ClassInfo::read(stored));
                let old = storage.set_class(new.clone());
                tell(&ClusterEvent::Class(old.as_deref(), &new));
            }
            Kind::Driver => {
                let new = driver(stored);
                if let Some(old) = storage.set_driver(name.clone(), Some(new)) {
                    tell(&ClusterEvent::Driver(&name, old, new));
                }
            }
            Kind::Capacity => {
                let new = CapacityInfo::read(stored);
                let old = storage.set_capacity(stored.key.clone(), Some(new.clone()));
                tell(&ClusterEvent::Capacity(old.as_ref(), &new));
            }
            Kind::Limits => {
                let new = limits(stored);
                let old = storage.set_limits(name, Some(new.clone()));
                tell(&ClusterEvent::Limits(old.as_ref(), &new));
            }
            Kind::Attachment => drop(storage.set_attachment(name, Some(attachment(stored)))),
        }
    }

    fn remove(&self, storage: &mut Storage, mut tell: impl FnMut(&ClusterEvent<'_>)) {
        let Some(stored) = self.delta.old.as_ref() else { return };
        let name = stored.key.name.clone();
        match self.kind {
            Kind::Claim => storage.remove_claim(&stored.key),
            Kind::Volume => storage.remove_volume(&name),
            Kind::Class => storage.remove_class(&name),
            Kind::Driver => drop(storage.set_driver(name, None)),
            Kind::Capacity => drop(storage.set_capacity(stored.key.clone(), None)),
            Kind::Limits => drop(storage.set_limits(name, None)),
            Kind::Attachment => {
                if let Some(gone) = storage.set_attachment(name, None) {
                    tell(&ClusterEvent::Detached(&gone));
                }
            }
        }
    }
}

fn driver(stored: &Stored) -> DriverInfo {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Json {
        spec: Spec,
    }
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Spec {
        storage_capacity: bool,
    }
    let Json { spec } = stored.parse().unwrap_or_default();
    DriverInfo { tells_capacity: spec.storage_capacity }
}

fn limits(stored: &Stored) -> DriverLimits {
    let node: Option<Arc<CSINode>> = stored.decode().ok();
    let drivers = node.iter().flat_map(|node| &node.spec.drivers);
    drivers
        .filter_map(|driver| Some((driver.name.as_str().into(), driver.allocatable.as_ref()?.count?.into())))
        .collect()
}

fn attachment(stored: &Stored) -> Attachment {
    let Ok(found) = stored.decode::<VolumeAttachment>() else { return Attachment::default() };
    let spec = &found.spec;
    let volume = spec.source.persistent_volume_name.as_deref().unwrap_or_default();
    Attachment { node: spec.node_name.as_str().into(), attacher: spec.attacher.as_str().into(), volume: volume.into() }
}
