//! One scheduling decision: a function from a pod and the cluster to a node or a refusal, without IO.

use super::{
    guard::{Guard, Panicked, Point},
    search::{Found, Narrowed, Rejected},
    words,
};
use orch_runtime::scheduler::{
    Cluster, Cycle, Filters, Misfit, NodeIndex, Nomination, PodInfo, PostFiltered, Profile, Rejection, Room, Scored,
};
use orch_store::Chance;
use std::{iter::repeat_n, sync::Arc};

/// Where a pod goes.
#[derive(Clone, Debug)]
pub enum Decision {
    /// To this node.
    Node(Arc<str>),
    /// Nowhere for now.
    Refused(Refusal),
}

/// Why a pod fits nowhere.
#[derive(Clone, Debug, Default)]
pub struct Refusal {
    /// `0/3 nodes are available: …`
    pub message: String,
    /// The plugins that said no: their hints decide when to try again.
    pub plugins: Vec<&'static str>,
    /// What becomes of the node that is kept for it.
    pub nomination: Nomination,
    /// What is to be done so that it fits later.
    pub room: Option<Room>,
    /// Whether not the cluster but a plugin is at fault: the pod is tried again after a back-off, whatever happens.
    pub failed: bool,
}

impl Refusal {
    /// What is left to say when something other than the search over the nodes went wrong.
    pub(super) fn plain(message: String, plugins: Vec<&'static str>) -> Self {
        Self { message, plugins, nomination: Nomination::Drop, ..Self::default() }
    }
}

impl From<Panicked> for Refusal {
    fn from(panicked: Panicked) -> Self {
        Self { failed: true, ..Self::plain(panicked.to_string(), Vec::new()) }
    }
}

/// A pod that is to get a node, and what the decision depends on.
pub struct Decider<'a> {
    /// The plugins.
    pub profile: &'a Profile,
    /// Calls them.
    pub guard: &'a Guard,
    /// The pod.
    pub pod: &'a PodInfo,
    /// The nodes.
    pub cluster: &'a Cluster,
    /// Breaks ties.
    pub chance: &'a Chance,
}

impl<'a> Decider<'a> {
    /// Decides. The search over the nodes begins at `start`, which moves on so that all nodes get their turn. What the
    /// plugins found out is in `cycle` afterwards.
    pub fn decide(&self, cycle: &mut Cycle, start: &mut NodeIndex) -> Decision {
        match self.choose(cycle, start) {
            Ok(node) => Decision::Node(self.cluster.nodes()[node].name.clone()),
            Err(refusal) => Decision::Refused(refusal),
        }
    }

    fn choose(&self, cycle: &mut Cycle, start: &mut NodeIndex) -> Result<NodeIndex, Refusal> {
        if self.cluster.nodes().is_empty() {
            // Any node may help, so every filter's hints are asked.
            let plugins = self.profile.points.filter.iter().map(|f| f.name()).collect();
            return Err(Refusal::plain("no nodes available to schedule pods".into(), plugins));
        }
        let mut skipped = Vec::new();
        let narrowed = match self.prepare(cycle, &mut skipped)? {
            Ok(narrowed) => narrowed,
            Err(refusal) => return Err(self.make_room(cycle, &self.filters(&[]), refusal, &[])?),
        };
        let filters = self.filters(&skipped);
        if let Some(kept) = self.kept_node(cycle, &filters)? {
            return Ok(kept);
        }
        let found = self.search(cycle, &filters, &narrowed, start)?;
        match found.feasible[..] {
            [] => Err(self.refuse(cycle, &filters, found, &narrowed)?),
            [only] => Ok(only),
            _ => Ok(self.best(&found.feasible, &self.score(cycle, &found.feasible)?)),
        }
    }

    fn filters(&self, skipped: &[&'static str]) -> Filters<'a> {
        Filters::new(&self.profile.points, skipped, self.pod, self.cluster)
    }

    fn score(&self, cycle: &mut Cycle, nodes: &[NodeIndex]) -> Result<Vec<i64>, Panicked> {
        let Self { profile, guard, pod, cluster, .. } = *self;
        let mut skipped = Vec::new();
        for plugin in &profile.points.pre_score {
            if !guard.call(Point::PreScore, || plugin.name(), || plugin.pre_score(cycle, pod, cluster, nodes))? {
                skipped.push(plugin.name());
            }
        }
        let mut totals = vec![0; nodes.len()];
        let mut scores = Vec::with_capacity(nodes.len());
        for Scored { plugin, weight } in profile.points.score.iter().filter(|s| !skipped.contains(&s.plugin.name())) {
            scores.clear();
            let rated = nodes.iter().map(|i| plugin.score(cycle, pod, &cluster.nodes()[*i], cluster));
            guard.call(Point::Score, || plugin.name(), || scores.extend(rated))?;
            guard.call(Point::Normalize, || plugin.name(), || plugin.normalize(&mut scores))?;
            totals.iter_mut().zip(&scores).for_each(|(total, score)| *total += score * weight);
        }
        Ok(totals)
    }

    fn best(&self, nodes: &[NodeIndex], scores: &[i64]) -> NodeIndex {
        let highest = scores.iter().copied().max().unwrap_or(0);
        let ties: Vec<NodeIndex> = nodes.iter().zip(scores).filter(|(_, s)| **s == highest).map(|(n, _)| *n).collect();
        ties[self.chance.below(ties.len() as u64) as usize]
    }

    /// Says why no node is fit, and whether one can be made so.
    fn refuse(
        &self,
        cycle: &Cycle,
        filters: &Filters<'_>,
        found: Found,
        narrowed: &Narrowed,
    ) -> Result<Refusal, Panicked> {
        let mut plugins = Vec::new();
        for plugin in found.rejected.iter().map(|rejected| rejected.plugin) {
            if !plugins.contains(&plugin) {
                plugins.push(plugin);
            }
        }
        let nodes = self.cluster.nodes();
        let left_out = nodes.len() - found.rejected.len();
        if left_out > 0 {
            plugins.extend(narrowed.by.iter().filter(|p| !plugins.contains(p)).copied().collect::<Vec<_>>());
        }
        let absent = format!("node(s) didn't satisfy plugin(s) [{}]", narrowed.by.join(" "));
        let reasons = found.rejected.iter().flat_map(|r| r.rejection.reasons.iter().map(|reason| &**reason));
        let message = words::unavailable(nodes.len(), reasons.chain(repeat_n(&*absent, left_out)));
        let named = |r: Rejected| (nodes[r.node].name.clone(), r.rejection);
        let rejections: Vec<(Arc<str>, Rejection)> = found.rejected.into_iter().map(named).collect();
        self.make_room(cycle, filters, Refusal::plain(message, plugins), &rejections)
    }

    /// Asks the PostFilter plugins (`RunPostFilterPlugins`).
    fn make_room(
        &self,
        cycle: &Cycle,
        filters: &Filters<'_>,
        mut refusal: Refusal,
        rejections: &[(Arc<str>, Rejection)],
    ) -> Result<Refusal, Panicked> {
        let Self { profile, guard, pod, cluster, chance } = *self;
        if profile.points.post_filter.is_empty() {
            return Ok(refusal);
        }
        refusal.nomination = Nomination::Keep;
        let misfit = Misfit { cycle, pod, cluster, rejections, filters, chance };
        let mut added: Vec<String> = Vec::new();
        for plugin in &profile.points.post_filter {
            match guard.call(Point::PostFilter, || plugin.name(), || plugin.post_filter(&misfit))? {
                PostFiltered::MakeRoom(room) => {
                    refusal.nomination = Nomination::To(room.node.clone());
                    refusal.room = Some(room);
                    return Ok(refusal);
                }
                PostFiltered::Unschedulable { message, nomination } => {
                    added.extend(Some(message).filter(|message| !message.is_empty()));
                    if nomination != Nomination::Keep {
                        refusal.nomination = nomination;
                    }
                }
            }
        }
        if !added.is_empty() {
            refusal.message = format!("{} {}", refusal.message, added.join(", "));
        }
        Ok(refusal)
    }
}
