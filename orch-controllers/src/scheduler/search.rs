//! The search over the nodes: PreFilter, the node that is kept for the pod, and Filter.

use super::{
    cycle::{Decider, Refusal},
    guard::{Panicked, Point},
    words,
};
use orch_runtime::scheduler::{Cycle, Filters, NodeIndex, PreFiltered, Refused, Rejection};
use std::sync::Arc;

/// Clusters up to this size are searched whole.
const MIN_FEASIBLE_NODES: usize = 100;
/// At least this share of a large cluster is searched.
const MIN_FEASIBLE_PERCENTAGE: usize = 5;

/// What PreFilter left of the nodes.
#[derive(Default)]
pub(super) struct Narrowed {
    /// `None` for all.
    only: Option<Vec<NodeIndex>>,
    /// The plugins that left nodes out.
    pub(super) by: Vec<&'static str>,
}

/// What Filter made of the nodes.
#[derive(Default)]
pub(super) struct Found {
    pub(super) feasible: Vec<NodeIndex>,
    pub(super) rejected: Vec<Rejected>,
}

pub(super) struct Rejected {
    pub(super) node: NodeIndex,
    pub(super) plugin: &'static str,
    pub(super) rejection: Rejection,
}

impl Decider<'_> {
    /// Asks PreFilter. Plugins that have nothing to say about the pod go to `skipped`; the inner error is a plugin's no to
    /// all nodes.
    pub(super) fn prepare(
        &self,
        cycle: &mut Cycle,
        skipped: &mut Vec<&'static str>,
    ) -> Result<Result<Narrowed, Refusal>, Panicked> {
        let (nodes, mut only, mut by) = (self.cluster.nodes().len(), None::<Vec<Arc<str>>>, Vec::new());
        for plugin in &self.profile.points.pre_filter {
            let ask = || plugin.pre_filter(cycle, self.pod, self.cluster);
            match self.guard.call(Point::PreFilter, || plugin.name(), ask)? {
                PreFiltered::All => {}
                PreFiltered::Skip => skipped.push(plugin.name()),
                PreFiltered::Only(nodes) => {
                    by.push(plugin.name());
                    only = Some(match only {
                        None => nodes,
                        Some(before) => before.into_iter().filter(|n| nodes.contains(n)).collect(),
                    });
                }
                PreFiltered::Reject(rejection) => {
                    let message = format!("{} {}.", words::headline(nodes), rejection.reasons.join(", "));
                    return Ok(Err(Refusal::plain(message, vec![plugin.name()])));
                }
            }
        }
        if only.as_ref().is_some_and(Vec::is_empty) {
            let told = format!("node(s) didn't satisfy plugin(s) [{}] simultaneously", by.join(" "));
            return Ok(Err(Refusal::plain(format!("{} {told}.", words::headline(nodes)), by)));
        }
        let only = only.map(|names| names.iter().filter_map(|n| self.cluster.position(n)).collect());
        Ok(Ok(Narrowed { only, by }))
    }

    /// The node that is kept for the pod, if it fits there: it is tried first, since probably no other will do
    /// (`evaluateNominatedNode`).
    pub(super) fn kept_node(&self, cycle: &Cycle, filters: &Filters<'_>) -> Result<Option<NodeIndex>, Panicked> {
        let kept = self.cluster.nominations().node_of(&self.pod.uid);
        let Some(node) = kept.and_then(|name| self.cluster.position(name)) else { return Ok(None) };
        let check = || filters.check(cycle, &self.cluster.nodes()[node]);
        let fits = self.guard.call(Point::Filter, || filters.last_asked(), check)?;
        Ok(fits.is_ok().then_some(node))
    }

    /// Asks Filter about as many nodes as it takes.
    pub(super) fn search(
        &self,
        cycle: &Cycle,
        filters: &Filters<'_>,
        narrowed: &Narrowed,
        start: &mut NodeIndex,
    ) -> Result<Found, Panicked> {
        // One guard for all nodes; who was asked last is noted beside it.
        let look = || self.look_at_all(cycle, filters, narrowed, start);
        self.guard.call(Point::Filter, || filters.last_asked(), look)
    }

    fn look_at_all(&self, cycle: &Cycle, filters: &Filters<'_>, narrowed: &Narrowed, start: &mut NodeIndex) -> Found {
        let mut found = Found::default();
        let mut look = |node: NodeIndex| {
            match filters.check(cycle, &self.cluster.nodes()[node]) {
                Ok(()) => found.feasible.push(node),
                Err(Refused { plugin, rejection }) => found.rejected.push(Rejected { node, plugin, rejection }),
            }
            found.feasible.len()
        };
        if let Some(only) = &narrowed.only {
            for node in only {
                look(*node);
            }
            return found;
        }
        let count = self.cluster.nodes().len();
        let (enough, mut seen) = (feasible_nodes_to_find(count), 0);
        while seen < count {
            let feasible = look((*start + seen) % count);
            seen += 1;
            if feasible >= enough {
                break;
            }
        }
        *start = if count == 0 { 0 } else { (*start + seen) % count };
        found
    }
}

/// How many feasible nodes are enough (`schedule_one.go`, `numFeasibleNodesToFind`).
fn feasible_nodes_to_find(nodes: usize) -> usize {
    if nodes < MIN_FEASIBLE_NODES {
        return nodes;
    }
    let percentage = 50_usize.saturating_sub(nodes / 125).max(MIN_FEASIBLE_PERCENTAGE);
    (nodes * percentage / 100).max(MIN_FEASIBLE_NODES)
}
