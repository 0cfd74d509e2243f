//! [`Storage`]: the claims, volumes and classes of the cluster, as the scheduler keeps them: event by event, with what it
//! has promised already.

use super::pod::PodInfo;
use crate::storage::{CapacityInfo, ClaimInfo, ClaimRef, ClassInfo, VolumeInfo};
use orch_api::Key;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// The claims, volumes and classes of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    claims: HashMap<Key, Arc<ClaimInfo>>,
    volumes: HashMap<Arc<str>, Arc<VolumeInfo>>,
    /// Names of volumes by class, so that a claim looks at no others.
    by_class: HashMap<Arc<str>, BTreeSet<Arc<str>>>,
    classes: HashMap<Arc<str>, Arc<ClassInfo>>,
    drivers: HashMap<Arc<str>, DriverInfo>,
    capacities: BTreeMap<Key, CapacityInfo>,
    limits: HashMap<Arc<str>, DriverLimits>,
    attachments: HashMap<Arc<str>, Attachment>,
    /// Names of attachments by node.
    attached: HashMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Volumes and claims as they were before they were promised. A newer revision of the object ends the promise.
    promised_volumes: HashMap<Arc<str>, Arc<VolumeInfo>>,
    promised_claims: HashMap<Key, Arc<ClaimInfo>>,
    /// How many pods with a node name each claim.
    users: HashMap<Key, usize>,
}

/// What the scheduler asks of a CSIDriver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DriverInfo {
    /// Whether its capacities are to be looked at.
    pub tells_capacity: bool,
}

/// How many volumes of each driver a node takes: of its CSINode.
pub type DriverLimits = BTreeMap<Arc<str>, i64>;

/// A VolumeAttachment in three fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attachment {
    /// The node.
    pub node: Arc<str>,
    /// The driver.
    pub attacher: Arc<str>,
    /// The volume, empty for one that a pod states itself.
    pub volume: Arc<str>,
}

impl Storage {
    /// A claim, as it will be when what was promised is done.
    pub fn claim(&self, key: &Key) -> Option<&Arc<ClaimInfo>> {
        self.claims.get(key)
    }

    /// A volume, as it will be when what was promised is done.
    pub fn volume(&self, name: &str) -> Option<&Arc<VolumeInfo>> {
        self.volumes.get(name)
    }

    /// The volumes of a class in the order of their names.
    pub fn volumes_of_class(&self, class: &str) -> impl Iterator<Item = &Arc<VolumeInfo>> {
        self.by_class.get(class).into_iter().flatten().filter_map(|name| self.volumes.get(name))
    }

    /// A class.
    pub fn class(&self, name: &str) -> Option<&Arc<ClassInfo>> {
        self.classes.get(name)
    }

    /// A CSI driver.
    pub fn driver(&self, name: &str) -> Option<DriverInfo> {
        self.drivers.get(name).copied()
    }

    /// What drivers have left.
    pub fn capacities(&self) -> impl Iterator<Item = &CapacityInfo> {
        self.capacities.values()
    }

    /// How many volumes of each driver a node takes; `None` where nothing is known.
    pub fn limits(&self, node: &str) -> Option<&DriverLimits> {
        self.limits.get(node)
    }

    /// What is attached to a node.
    pub fn attachments(&self, node: &str) -> impl Iterator<Item = &Attachment> {
        self.attached.get(node).into_iter().flatten().filter_map(|name| self.attachments.get(name))
    }

    /// How many pods with a node name the claim.
    pub fn users(&self, claim: &Key) -> usize {
        self.users.get(claim).copied().unwrap_or(0)
    }

    /// Takes over a claim. Returns what was known before, unless the news are old.
    pub fn set_claim(&mut self, claim: Arc<ClaimInfo>) -> News<Arc<ClaimInfo>> {
        let old = self.claims.get(&claim.key).cloned();
        if old.as_ref().is_some_and(|old| old.revision >= claim.revision) {
            return News::Old;
        }
        self.promised_claims.remove(&claim.key);
        self.claims.insert(claim.key.clone(), claim);
        News::of(old)
    }

    /// Forgets a claim.
    pub fn remove_claim(&mut self, key: &Key) {
        self.claims.remove(key);
        self.promised_claims.remove(key);
    }

    /// Takes over a volume. Returns what was known before, unless the news are old.
    pub fn set_volume(&mut self, volume: Arc<VolumeInfo>) -> News<Arc<VolumeInfo>> {
        let old = self.volumes.get(&volume.name).cloned();
        if old.as_ref().is_some_and(|old| old.revision >= volume.revision) {
            return News::Old;
        }
        self.promised_volumes.remove(&volume.name);
        self.put_volume(volume);
        News::of(old)
    }

    /// Forgets a volume.
    pub fn remove_volume(&mut self, name: &str) {
        self.promised_volumes.remove(name);
        if let Some(old) = self.volumes.remove(name) {
            self.unfile(&old);
        }
    }

    /// Takes over a class.
    pub fn set_class(&mut self, class: Arc<ClassInfo>) -> Option<Arc<ClassInfo>> {
        self.classes.insert(class.name.clone(), class)
    }

    /// Forgets a class.
    pub fn remove_class(&mut self, name: &str) {
        self.classes.remove(name);
    }

    /// Takes over a CSI driver; `None` forgets it.
    pub fn set_driver(&mut self, name: Arc<str>, driver: Option<DriverInfo>) -> Option<DriverInfo> {
        match driver {
            Some(driver) => self.drivers.insert(name, driver),
            None => self.drivers.remove(&name),
        }
    }

    /// Takes over what a driver has left; `None` forgets it.
    pub fn set_capacity(&mut self, key: Key, capacity: Option<CapacityInfo>) -> Option<CapacityInfo> {
        match capacity {
            Some(capacity) => self.capacities.insert(key, capacity),
            None => self.capacities.remove(&key),
        }
    }

    /// Takes over the limits of a node; `None` forgets them.
    pub fn set_limits(&mut self, node: Arc<str>, limits: Option<DriverLimits>) -> Option<DriverLimits> {
        match limits {
            Some(limits) => self.limits.insert(node, limits),
            None => self.limits.remove(&node),
        }
    }

    /// Takes over an attachment; `None` forgets it.
    pub fn set_attachment(&mut self, name: Arc<str>, attachment: Option<Attachment>) -> Option<Attachment> {
        let old = self.attachments.remove(&name);
        if let Some(names) = old.as_ref().and_then(|old| self.attached.get_mut(&old.node)) {
            names.remove(&name);
        }
        if let Some(attachment) = attachment {
            self.attached.entry(attachment.node.clone()).or_default().insert(name.clone());
            self.attachments.insert(name, attachment);
        }
        old
    }

    /// Counts on it that the volume will be the claim's.
    pub fn promise_volume(&mut self, volume: &str, claim: &ClaimInfo) {
        let Some(old) = self.volumes.get(volume).cloned() else { return };
        let reference = ClaimRef { key: claim.key.clone(), uid: claim.uid.clone() };
        self.promised_volumes.entry(old.name.clone()).or_insert_with(|| old.clone());
        self.put_volume(Arc::new(VolumeInfo { claim: Some(reference), ..(*old).clone() }));
    }

    /// Counts on it that a volume will be made for the claim on the node.
    pub fn promise_claim(&mut self, claim: &Key, node: &Arc<str>) {
        let Some(old) = self.claims.get(claim).cloned() else { return };
        self.promised_claims.entry(claim.clone()).or_insert_with(|| old.clone());
        let promised = ClaimInfo { selected_node: Some(node.clone()), ..(*old).clone() };
        self.claims.insert(claim.clone(), Arc::new(promised));
    }

    /// Takes a promise about a volume back, unless something newer is known of it.
    pub fn forget_volume(&mut self, volume: &str) {
        if let Some(before) = self.promised_volumes.remove(volume) {
            self.put_volume(before);
        }
    }

    /// Takes a promise about a claim back, unless something newer is known of it.
    pub fn forget_claim(&mut self, claim: &Key) {
        if let Some(before) = self.promised_claims.remove(claim) {
            self.claims.insert(claim.clone(), before);
        }
    }

    /// Counts a pod as one that uses its claims.
    pub(super) fn add_user(&mut self, pod: &PodInfo) {
        for key in pod.named_claims() {
            *self.users.entry(key).or_default() += 1;
        }
    }

    /// Counts a pod out.
    pub(super) fn remove_user(&mut self, pod: &PodInfo) {
        for key in pod.named_claims() {
            if let Some(count) = self.users.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    self.users.remove(&key);
                }
            }
        }
    }

    fn put_volume(&mut self, volume: Arc<VolumeInfo>) {
        if let Some(old) = self.volumes.get(&volume.name).cloned().filter(|old| old.class != volume.class) {
            self.unfile(&old);
        }
        self.by_class.entry(volume.class.clone()).or_default().insert(volume.name.clone());
        self.volumes.insert(volume.name.clone(), volume);
    }

    fn unfile(&mut self, volume: &VolumeInfo) {
        if let Some(names) = self.by_class.get_mut(&volume.class) {
            names.remove(&volume.name);
            if names.is_empty() {
                self.by_class.remove(&volume.class);
            }
        }
    }
}

/// What became of something that was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News<T> {
    /// It, or something newer, was known.
    Old,
    /// Nothing was known of it.
    New,
    /// This was known.
    Changed(T),
}

impl<T> News<T> {
    fn of(old: Option<T>) -> Self {
        old.map_or(Self::New, Self::Changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_store::Revision;

    fn volume(revision: u64) -> Arc<VolumeInfo> {
        Arc::new(VolumeInfo { name: "v".into(), revision: Revision(revision), ..VolumeInfo::default() })
    }

    #[test]
    fn a_promise_holds_until_it_is_taken_back_or_the_object_changes() {
        let (mut storage, claim) = (Storage::default(), ClaimInfo::default());
        let is_promised = |storage: &Storage| storage.volume("v").unwrap().claim.is_some();
        storage.set_volume(volume(1));
        storage.promise_volume("v", &claim);
        assert!(is_promised(&storage));
        assert_eq!(storage.set_volume(volume(1)), News::Old);
        assert!(is_promised(&storage), "a revision that was known says nothing new");
        storage.forget_volume("v");
        assert!(!is_promised(&storage));

        storage.promise_volume("v", &claim);
        storage.set_volume(volume(2));
        assert!(!is_promised(&storage), "the object says what is true now");
        storage.forget_volume("v");
        assert_eq!(storage.volume("v").unwrap().revision, Revision(2), "what is newer stays");
    }

    #[test]
    fn volumes_are_filed_under_their_class_as_long_as_they_have_it() {
        let mut storage = Storage::default();
        let of = |class: &str, revision| Arc::new(VolumeInfo { class: class.into(), ..(*volume(revision)).clone() });
        storage.set_volume(of("a", 1));
        storage.set_volume(of("b", 2));
        assert_eq!((storage.volumes_of_class("a").count(), storage.volumes_of_class("b").count()), (0, 1));
        storage.remove_volume("v");
        assert_eq!(storage.volumes_of_class("b").count(), 0);
    }
}
