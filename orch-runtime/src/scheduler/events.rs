//! What happened in the cluster, and whether it can help a pod that did not fit (queueing hints).

use super::{
    node::NodeInfo,
    pod::PodInfo,
    storage::{Attachment, DriverInfo, DriverLimits},
};
use crate::storage::{CapacityInfo, ClaimInfo, ClassInfo, VolumeInfo};
use std::sync::Arc;

/// Something that may make room.
#[derive(Clone, Copy, Debug)]
pub enum ClusterEvent<'a> {
    /// A node appeared.
    NodeAdded(&'a NodeInfo),
    /// A node's own fields changed. The old form carries no pods.
    NodeUpdated(&'a NodeInfo, &'a NodeInfo),
    /// A node is gone.
    NodeRemoved(&'a NodeInfo),
    /// A pod is on a node now, bound or about to be.
    PodPlaced(&'a Arc<PodInfo>),
    /// The labels of a bound pod changed.
    PodRelabelled(&'a Arc<PodInfo>, &'a Arc<PodInfo>),
    /// A bound pod is gone or has ended.
    PodFreed(&'a Arc<PodInfo>),
    /// The unscheduled pod itself changed.
    PodUpdated(&'a Arc<PodInfo>, &'a Arc<PodInfo>),
    /// A claim appeared or changed.
    Claim(Option<&'a ClaimInfo>, &'a ClaimInfo),
    /// A volume appeared or changed.
    Volume(Option<&'a VolumeInfo>, &'a VolumeInfo),
    /// A class appeared or changed.
    Class(Option<&'a ClassInfo>, &'a ClassInfo),
    /// A CSI driver changed.
    Driver(&'a str, DriverInfo, DriverInfo),
    /// What a driver has left was told, or changed.
    Capacity(Option<&'a CapacityInfo>, &'a CapacityInfo),
    /// How many volumes a node takes was told, or changed.
    Limits(Option<&'a DriverLimits>, &'a DriverLimits),
    /// A volume was detached.
    Detached(&'a Attachment),
}

/// Whether an event is worth another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// The event cannot help this pod.
    Skip,
    /// Try again.
    Queue,
}

/// What a plugin says about an event and a pod that it rejected.
pub type Interest = fn(&PodInfo, &ClusterEvent<'_>) -> Hint;
