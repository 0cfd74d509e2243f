//! Which nodes a DaemonSet is for.

use k8s_openapi::api::{apps::v1::DaemonSet, core::v1::Node};
use orch_api::{Gvr, Key, Object};
use orch_runtime::{
    View,
    scheduler::{Effect, NodeInfo, Toleration, Wishes, untolerated},
    view::Facts,
};
use orch_store::{Stored, informer::Delta};

/// What places the pods of a DaemonSet.
#[derive(Debug)]
pub(super) struct Daemon(Wishes);

/// What of a node places pods: its name, its labels, its taints.
#[derive(Debug, Default)]
pub(super) struct Place(NodeInfo);

/// Whether a pod is to run on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Placement {
    /// One is made if there is none.
    pub(super) runs: bool,
    /// One that is there may stay.
    pub(super) stays: bool,
}

/// Taints that do not keep daemons away, with their effects (`AddOrUpdateDaemonPodTolerations`).
const TOLERATED: [(&str, Effect); 6] = [
    ("node.kubernetes.io/not-ready", Effect::NoExecute),
    ("node.kubernetes.io/unreachable", Effect::NoExecute),
    ("node.kubernetes.io/disk-pressure", Effect::NoSchedule),
    ("node.kubernetes.io/memory-pressure", Effect::NoSchedule),
    ("node.kubernetes.io/pid-pressure", Effect::NoSchedule),
    ("node.kubernetes.io/unschedulable", Effect::NoSchedule),
];
/// The same for daemons that live in the node's own network: they may be what brings up that of the pods.
const TOLERATED_BY_THE_HOST: (&str, Effect) = ("node.kubernetes.io/network-unavailable", Effect::NoSchedule);

/// The taints that the daemons tolerate besides those that the template says.
pub(super) fn tolerated(host_network: bool) -> impl Iterator<Item = (&'static str, Effect)> {
    TOLERATED.into_iter().chain(host_network.then_some(TOLERATED_BY_THE_HOST))
}

impl Daemon {
    /// Whether the node is one for the set.
    pub(super) fn on(&self, place: &Place) -> Placement {
        let (wishes, node) = (&self.0, &place.0);
        let named = wishes.node.is_empty() || wishes.node == node.name;
        if !named || !wishes.affinity.matches(node) {
            return Placement::default();
        }
        let bears = |effects: fn(Effect) -> bool| untolerated(&node.taints, &wishes.tolerations, effects).is_none();
        let stays = bears(|effect| effect == Effect::NoExecute);
        Placement { runs: stays && bears(|effect| effect == Effect::NoSchedule), stays }
    }
}

impl Facts for Daemon {
    fn gvr() -> Gvr {
        DaemonSet::gvr()
    }

    fn of(stored: &Stored) -> Self {
        let mut wishes = Wishes::of_template(stored).unwrap_or_default();
        let added = tolerated(wishes.host_network).map(|(key, effect)| Toleration {
            key: key.into(),
            operator: "Exists".into(),
            effect: Some(effect),
            ..Toleration::default()
        });
        wishes.tolerations.extend(added);
        Self(wishes)
    }
}

impl Facts for Place {
    fn gvr() -> Gvr {
        Node::gvr()
    }

    fn of(stored: &Stored) -> Self {
        let read = |node: &Node| {
            let info = NodeInfo::read(node);
            NodeInfo { name: info.name, labels: info.labels, taints: info.taints, ..NodeInfo::default() }
        };
        Self(stored.decode::<Node>().map(|node| read(&node)).unwrap_or_default())
    }
}

/// Whether a node is new, gone, or has other labels or taints.
pub(super) fn has_moved(delta: &Delta) -> bool {
    let (Some(old), Some(new)) = (&delta.old, &delta.new) else { return true };
    old.meta.labels != new.meta.labels || Place::of(old).0.taints != Place::of(new).0.taints
}

/// The sets that a node comes to, or ceases to be, one for.
pub(super) fn sets_that_come_or_go(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let place = |node: &Option<std::sync::Arc<Stored>>| node.as_deref().map(Place::of);
    let (old, new) = (place(&delta.old), place(&delta.new));
    let sets = view.list_known::<Daemon>("");
    let on = |daemon: &Daemon, place: &Option<Place>| place.as_ref().map(|place| daemon.on(place)).unwrap_or_default();
    let concerned = sets.into_iter().filter(|set| on(&set.facts, &old) != on(&set.facts, &new));
    concerned.map(|set| set.stored.key.clone()).collect()
}
