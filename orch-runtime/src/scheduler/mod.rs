//! The scheduler's plug points: one small trait per extension point, and what plugins look at.
//!
//! ```text
//! PreEnqueue ─► queue (QueueSort) ─► PreFilter ─► Filter* ─► PostFilter (when nothing fits)
//!      PreScore ─► Score* ─► Reserve ─► Permit ─► PreBind ─► Bind ─► PostBind
//!                                   * once per node: pure, cheap, without allocation when it passes
//! ```
//!
//! The names, the order and the messages are those of kube-scheduler
//! (`staging/src/k8s.io/kube-scheduler/framework/interface.go`). Everything up to Reserve is synchronous and
//! pure; a plugin that must ask the outside world does it in PreBind. What Reserve promises stands in the
//! [`Cluster`], so that the next pod sees it.
//!
//! PostFilter imagines nodes otherwise than they are: on a copy of a node and of the [`Cycle`] it counts pods out and in and
//! asks the [`Filters`] again. A plugin that keeps in the cycle what other pods have to do with follows suit
//! ([`PreFilter::add_pod`], [`PreFilter::remove_pod`]).

mod affinity;
mod budgets;
mod cluster;
mod cycle;
mod events;
mod filters;
mod neighbours;
mod node;
mod nominations;
mod plugin;
mod pod;
mod profile;
mod resources;
mod spread;
mod storage;
mod taints;
mod volumes;

pub use affinity::{NodeAffinity, NodeTerm};
pub use budgets::Budget;
pub use cluster::{Cluster, NodeIndex};
pub use cycle::Cycle;
pub use events::{ClusterEvent, Hint, Interest};
pub use filters::{Filters, Refused};
pub use neighbours::{Neighbours, PodTerm};
pub use node::NodeInfo;
pub use nominations::Nominations;
pub use plugin::{
    Bind, Binding, Filter, MAX_SCORE, Misfit, Nomination, Permit, Permitted, Plugin, PostBind, PostFilter,
    PostFiltered, PreBind, PreEnqueue, PreFilter, PreFiltered, PreScore, QueueSort, Rejection, Reserve, Room, Score,
};
pub use pod::{HostPort, PodInfo, Queued, Wishes};
pub use profile::{Points, Profile, Scored};
pub use resources::Resources;
pub use spread::Spread;
pub use storage::{Attachment, DriverInfo, DriverLimits, News, Storage};
pub use taints::{Effect, Taint, Toleration, untolerated};
pub use volumes::{Disk, PodClaim};
