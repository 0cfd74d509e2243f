//! [`Filters`]: the filters that have something to say about a pod, asked about nodes as they are or as they would be.

use super::{
    cluster::Cluster,
    cycle::Cycle,
    node::NodeInfo,
    plugin::{Filter, PreFilter, Rejection},
    pod::PodInfo,
    profile::Points,
};
use std::{cell::Cell, sync::Arc};

/// The filters that have something to say about a pod.
pub struct Filters<'a> {
    pod: &'a PodInfo,
    cluster: &'a Cluster,
    asked: Vec<&'a Arc<dyn Filter>>,
    keepers: Vec<&'a Arc<dyn PreFilter>>,
    /// Whose turn it is.
    current: Cell<usize>,
}

/// A filter's no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The filter.
    pub plugin: &'static str,
    /// Why.
    pub rejection: Rejection,
}

impl<'a> Filters<'a> {
    /// All of these but the skipped.
    pub fn new(points: &'a Points, skipped: &[&'static str], pod: &'a PodInfo, cluster: &'a Cluster) -> Self {
        let asked = points.filter.iter().filter(|f| !skipped.contains(&f.name())).collect();
        let keepers = points.pre_filter.iter().filter(|p| !skipped.contains(&p.name())).collect();
        Self { pod, cluster, asked, keepers, current: Cell::new(0) }
    }

    /// The filter that was asked last.
    pub fn last_asked(&self) -> &'static str {
        self.asked.get(self.current.get()).map_or("", |filter| filter.name())
    }

    /// Whether the pod fits on a node (`RunFilterPluginsWithNominatedPods`). Where the node is kept for others of its
    /// priority or a higher one, it must fit beside them, and without them as well: nobody knows whether they will come.
    ///
    /// # Errors
    /// The first no.
    pub fn check(&self, cycle: &Cycle, node: &NodeInfo) -> Result<(), Refused> {
        let nominations = self.cluster.nominations();
        if !nominations.is_empty() {
            let precedes = |other: &&Arc<PodInfo>| other.priority >= self.pod.priority && other.uid != self.pod.uid;
            let mut others = nominations.on(&node.name).iter().filter(precedes).peekable();
            if others.peek().is_some() {
                let (mut cycle, mut node) = (cycle.clone(), node.clone());
                others.for_each(|other| self.add(&mut cycle, &mut node, other));
                self.ask(&cycle, &node)?;
            }
        }
        self.ask(cycle, node)
    }

    /// Counts another pod in on a copy of a node, for all filters.
    pub fn add(&self, cycle: &mut Cycle, node: &mut NodeInfo, other: &Arc<PodInfo>) {
        node.add(other.clone());
        self.keepers.iter().for_each(|keeper| keeper.add_pod(cycle, self.pod, other, node, self.cluster));
    }

    /// Counts another pod out on a copy of a node, for all filters.
    pub fn remove(&self, cycle: &mut Cycle, node: &mut NodeInfo, other: &Arc<PodInfo>) {
        if node.remove(&other.uid).is_some() {
            self.keepers.iter().for_each(|keeper| keeper.remove_pod(cycle, self.pod, other, node, self.cluster));
        }
    }

    fn ask(&self, cycle: &Cycle, node: &NodeInfo) -> Result<(), Refused> {
        for (number, filter) in self.asked.iter().enumerate() {
            self.current.set(number);
            let no = |rejection| Refused { plugin: filter.name(), rejection };
            filter.filter(cycle, self.pod, node).map_err(no)?;
        }
        Ok(())
    }
}
