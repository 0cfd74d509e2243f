//! The default plugins, one file each, with the weights and words of kube-scheduler
//! (`pkg/scheduler/apis/config/v1/default_plugins.go`).

mod balanced_allocation;
mod default_binder;
mod default_preemption;
mod image_locality;
mod inter_pod_affinity;
mod node_affinity;
mod node_name;
mod node_ports;
mod node_unschedulable;
mod node_volume_limits;
mod pod_topology_spread;
mod priority_sort;
mod resources_fit;
mod scheduling_gates;
mod taint_toleration;
mod volume_binding;
mod volume_restrictions;
mod volume_zone;

pub use balanced_allocation::NodeResourcesBalancedAllocation;
pub use default_binder::DefaultBinder;
pub use default_preemption::DefaultPreemption;
pub use image_locality::ImageLocality;
pub use inter_pod_affinity::InterPodAffinity;
pub use node_affinity::NodeAffinity;
pub use node_name::NodeName;
pub use node_ports::NodePorts;
pub use node_unschedulable::NodeUnschedulable;
pub use node_volume_limits::NodeVolumeLimits;
pub use pod_topology_spread::PodTopologySpread;
pub use priority_sort::PrioritySort;
pub use resources_fit::NodeResourcesFit;
pub use scheduling_gates::SchedulingGates;
pub use taint_toleration::TaintToleration;
pub use volume_binding::VolumeBinding;
pub use volume_restrictions::VolumeRestrictions;
pub use volume_zone::VolumeZone;

use orch_runtime::scheduler::{MAX_SCORE, Profile};

/// The profile of pods that name no other scheduler, with the default plugins in the default order.
pub fn default_profile() -> Profile {
    Profile::new("default-scheduler")
        .with(SchedulingGates)
        .with(PrioritySort)
        .with(NodeUnschedulable)
        .with(NodeName)
        .with(TaintToleration)
        .with(NodeAffinity)
        .with(NodePorts)
        .with(NodeResourcesFit)
        .with(VolumeRestrictions)
        .with(NodeVolumeLimits)
        .with(VolumeBinding)
        .with(VolumeZone)
        .with(PodTopologySpread)
        .with(InterPodAffinity)
        .with(DefaultPreemption::default())
        .with(NodeResourcesBalancedAllocation)
        .with(ImageLocality)
        .with(DefaultBinder)
}

/// Scales scores so that the highest becomes [`MAX_SCORE`] (`plugins/helper/normalize_score.go`).
fn normalize(scores: &mut [i64], reverse: bool) {
    let highest = scores.iter().copied().max().unwrap_or(0);
    for score in scores {
        *score = if highest == 0 { 0 } else { MAX_SCORE * *score / highest };
        if reverse {
            *score = MAX_SCORE - *score;
        }
    }
}
