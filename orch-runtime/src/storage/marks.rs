//! The annotations and finalizers by which the parties talk to each other.

/// On a claim: it was bound once. If its volume is gone it has lost its data.
pub const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// On both: the binder chose, not the user.
pub const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// On a claim: the node that the scheduler chose, for which a volume is to be made.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// On a claim: who is to make its volume.
pub const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
/// The same as older provisioners look for it.
pub const PROVISIONER_OF_OLD: &str = "volume.beta.kubernetes.io/storage-provisioner";
/// On a volume: who made it.
pub const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// On a volume: a CSI driver has taken it over from a plugin of old.
pub const MIGRATED_TO: &str = "pv.kubernetes.io/migrated-to";
/// On both: the class, from before it was a field.
pub const CLASS_OF_OLD: &str = "volume.beta.kubernetes.io/storage-class";
/// On a class: claims that name none get this one.
pub const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
/// The same as it was called before.
pub const DEFAULT_CLASS_OF_OLD: &str = "storageclass.beta.kubernetes.io/is-default-class";

/// The provisioner of classes whose volumes are made by hand.
pub const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// Keeps a volume that is bound.
pub const PROTECT_VOLUME: &str = "kubernetes.io/pv-protection";
/// Keeps a claim that a pod uses.
pub const PROTECT_CLAIM: &str = "kubernetes.io/pvc-protection";
/// Keeps a class of attributes that volumes have.
pub const PROTECT_ATTRIBUTES: &str = "kubernetes.io/vac-protection";
/// Keeps a volume until its provisioner has deleted what is behind it.
pub const PROVISIONER_FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";
