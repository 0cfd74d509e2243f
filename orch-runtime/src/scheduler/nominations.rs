//! [`Nominations`]: pods without a node for which one is kept free (`backend/queue/nominator.go`).

use super::pod::PodInfo;
use std::{collections::HashMap, sync::Arc};

/// Pods that wait, with the node that is kept for each: because room is being made for them there, or because their
/// `status.nominatedNodeName` says so. Pods of a lower priority get nothing of it.
#[derive(Clone, Debug, Default)]
pub struct Nominations {
    /// In the order in which they were nominated.
    on: HashMap<Arc<str>, Vec<Arc<PodInfo>>>,
    nodes: HashMap<Arc<str>, Arc<str>>,
}

impl Nominations {
    /// Whether no pod has one.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The pods for which a node is kept.
    pub fn on(&self, node: &str) -> &[Arc<PodInfo>] {
        self.on.get(node).map_or(&[], Vec::as_slice)
    }

    /// The node that is kept for a pod.
    pub fn node_of(&self, uid: &str) -> Option<&Arc<str>> {
        self.nodes.get(uid)
    }

    /// Keeps a node for a pod, and the one that was kept for it no more.
    pub fn set(&mut self, pod: Arc<PodInfo>, node: Arc<str>) {
        self.remove(&pod.uid);
        self.nodes.insert(pod.uid.clone(), node.clone());
        self.on.entry(node).or_default().push(pod);
    }

    /// Takes over a pod's new form; its node stays.
    pub fn refresh(&mut self, pod: &Arc<PodInfo>) {
        let Some(pods) = self.nodes.get(&pod.uid).and_then(|node| self.on.get_mut(node)) else { return };
        pods.iter_mut().filter(|known| known.uid == pod.uid).for_each(|known| *known = pod.clone());
    }

    /// Keeps nothing for a pod any more. Returns it and its node.
    pub fn remove(&mut self, uid: &str) -> Option<(Arc<PodInfo>, Arc<str>)> {
        let node = self.nodes.remove(uid)?;
        let pods = self.on.get_mut(&node)?;
        let pod = pods.iter().position(|pod| *pod.uid == *uid).map(|i| pods.remove(i))?;
        if pods.is_empty() {
            self.on.remove(&node);
        }
        Some((pod, node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_has_one_nomination_at_most() {
        let pod = |uid: &str| Arc::new(PodInfo { uid: uid.into(), ..PodInfo::default() });
        let on = |n: &Nominations, node: &str| n.on(node).iter().map(|p| p.uid.to_string()).collect::<Vec<_>>();
        let mut nominations = Nominations::default();
        nominations.set(pod("1"), "a".into());
        nominations.set(pod("2"), "a".into());
        nominations.set(pod("1"), "b".into());
        assert_eq!((on(&nominations, "a"), on(&nominations, "b")), (vec!["2".into()], vec!["1".into()]));
        nominations.refresh(&Arc::new(PodInfo { priority: 7, ..(*pod("2")).clone() }));
        assert_eq!(nominations.on("a")[0].priority, 7);
        assert_eq!(nominations.remove("2").map(|(_, node)| node).as_deref(), Some("a"));
        assert!(nominations.remove("2").is_none() && !nominations.is_empty() && nominations.on("a").is_empty());
    }
}
