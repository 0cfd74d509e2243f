//! One scheduling decision: a function from a pod and the cluster to a node or a refusal, without IO.

use super::guard::{Guard, Panicked, Point};
use orch_runtime::scheduler::{
    Cluster, Cycle, Filter, NodeIndex, PodInfo, PostFiltered, PreFiltered, Profile, Rejection, Scored,
};
use orch_store::Chance;
use std::{cell::Cell, collections::BTreeMap, sync::Arc};

/// Clusters up to this size are searched whole.
const MIN_FEASIBLE_NODES: usize = 100;
/// At least this share of a large cluster is searched.
const MIN_FEASIBLE_PERCENTAGE: usize = 5;

/// Where a pod goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// To this node.
    Node(Arc<str>),
    /// Nowhere for now.
    Refused(Refusal),
}

/// Why a pod fits nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// `0/3 nodes are available: …`
    pub message: String,
    /// The plugins that said no: their hints decide when to try again.
    pub plugins: Vec<&'static str>,
    /// The node on which room is being made.
    pub nominated: Option<Arc<str>>,
    /// Whether not the cluster but a plugin is at fault: the pod is tried again after a back-off, whatever happens.
    pub failed: bool,
}

impl From<Panicked> for Refusal {
    fn from(panicked: Panicked) -> Self {
        Self { message: panicked.to_string(), failed: true, ..Self::default() }
    }
}

/// Decides for one pod. The search over the nodes begins at `start`, which moves on so that all nodes get
/// their turn. Ties are broken by chance. What the plugins found out is in `cycle` afterwards.
pub fn decide(
    profile: &Profile,
    guard: &Guard,
    cycle: &mut Cycle,
    pod: &PodInfo,
    cluster: &Cluster,
    start: &mut NodeIndex,
    chance: &Chance,
) -> Decision {
    find(profile, guard, cycle, pod, cluster, start, chance).map_or_else(Decision::Refused, Decision::Node)
}

fn find(
    profile: &Profile,
    guard: &Guard,
    cycle: &mut Cycle,
    pod: &PodInfo,
    cluster: &Cluster,
    start: &mut NodeIndex,
    chance: &Chance,
) -> Result<Arc<str>, Refusal> {
    let search = prepare(profile, guard, cycle, pod, cluster)?;
    let found = search.run(guard, cycle, pod, cluster, start)?;
    let best = match found.feasible[..] {
        [] => return Err(refuse(profile, guard, cycle, pod, cluster, found.rejected, &search.narrowed_by)?),
        [only] => only,
        _ => pick(&found.feasible, &score(profile, guard, cycle, pod, cluster, &found.feasible)?, chance),
    };
    Ok(cluster.nodes()[best].name.clone())
}

/// The nodes to look at and the filters to ask.
struct Search<'a> {
    filters: Vec<&'a Arc<dyn Filter>>,
    /// `None` for all nodes.
    only: Option<Vec<NodeIndex>>,
    /// The plugins that left nodes out.
    narrowed_by: Vec<&'static str>,
}

#[derive(Default)]
struct Found {
    feasible: Vec<NodeIndex>,
    rejected: Vec<Rejected>,
}

struct Rejected {
    node: NodeIndex,
    plugin: &'static str,
    rejection: Rejection,
}

fn prepare<'a>(
    profile: &'a Profile,
    guard: &Guard,
    cycle: &mut Cycle,
    pod: &PodInfo,
    cluster: &Cluster,
) -> Result<Search<'a>, Refusal> {
    let mut skipped = Vec::new();
    let mut only: Option<Vec<Arc<str>>> = None;
    let mut narrowed_by = Vec::new();
    for plugin in &profile.points.pre_filter {
        let name = || plugin.name();
        match guard.call(Point::PreFilter, name, || plugin.pre_filter(cycle, pod, cluster))? {
            PreFiltered::All => {}
            PreFiltered::Skip => skipped.push(plugin.name()),
            PreFiltered::Only(nodes) => {
                narrowed_by.push(plugin.name());
                only = Some(match only {
                    None => nodes,
                    Some(before) => before.into_iter().filter(|n| nodes.contains(n)).collect(),
                });
            }
            PreFiltered::Reject(rejection) => {
                let message = format!("{}: {}.", available(cluster), rejection.reasons.join(", "));
                return Err(Refusal { message, plugins: vec![plugin.name()], ..Refusal::default() });
            }
        }
    }
    if only.as_ref().is_some_and(Vec::is_empty) {
        let by = narrowed_by.join(" ");
        let message = format!("{}: node(s) didn't satisfy plugin(s) [{by}] simultaneously.", available(cluster));
        return Err(Refusal { message, plugins: narrowed_by, ..Refusal::default() });
    }
    let filters = profile.points.filter.iter().filter(|f| !skipped.contains(&f.name())).collect();
    let only = only.map(|names| names.iter().filter_map(|n| cluster.position(n)).collect());
    Ok(Search { filters, only, narrowed_by })
}

impl Search<'_> {
    fn run(
        &self,
        guard: &Guard,
        cycle: &Cycle,
        pod: &PodInfo,
        cluster: &Cluster,
        start: &mut NodeIndex,
    ) -> Result<Found, Panicked> {
        // One guard for all nodes; who was asked last is noted beside it.
        let asked = Cell::new(0);
        let name = || self.filters.get(asked.get()).map_or("", |filter| filter.name());
        guard.call(Point::Filter, name, || self.look_at_all(&asked, cycle, pod, cluster, start))
    }

    fn look_at_all(
        &self,
        asked: &Cell<usize>,
        cycle: &Cycle,
        pod: &PodInfo,
        cluster: &Cluster,
        start: &mut NodeIndex,
    ) -> Found {
        let mut found = Found::default();
        if let Some(only) = &self.only {
            only.iter().for_each(|i| self.look(*i, asked, cycle, pod, cluster, &mut found));
            return found;
        }
        let count = cluster.nodes().len();
        let enough = feasible_nodes_to_find(count);
        let mut seen = 0;
        while seen < count && found.feasible.len() < enough {
            self.look((*start + seen) % count, asked, cycle, pod, cluster, &mut found);
            seen += 1;
        }
        *start = if count == 0 { 0 } else { (*start + seen) % count };
        found
    }

    fn look(
        &self,
        node: NodeIndex,
        asked: &Cell<usize>,
        cycle: &Cycle,
        pod: &PodInfo,
        cluster: &Cluster,
        found: &mut Found,
    ) {
        for (number, filter) in self.filters.iter().enumerate() {
            asked.set(number);
            if let Err(rejection) = filter.filter(cycle, pod, &cluster.nodes()[node]) {
                found.rejected.push(Rejected { node, plugin: filter.name(), rejection });
                return;
            }
        }
        found.feasible.push(node);
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

fn score(
    profile: &Profile,
    guard: &Guard,
    cycle: &mut Cycle,
    pod: &PodInfo,
    cluster: &Cluster,
    nodes: &[NodeIndex],
) -> Result<Vec<i64>, Panicked> {
    let mut skipped = Vec::new();
    for plugin in &profile.points.pre_score {
        if !guard.call(Point::PreScore, || plugin.name(), || plugin.pre_score(cycle, pod, cluster))? {
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

fn pick(nodes: &[NodeIndex], scores: &[i64], chance: &Chance) -> NodeIndex {
    let highest = scores.iter().copied().max().unwrap_or(0);
    let ties: Vec<NodeIndex> = nodes.iter().zip(scores).filter(|(_, s)| **s == highest).map(|(n, _)| *n).collect();
    ties[chance.below(ties.len() as u64) as usize]
}

fn refuse(
    profile: &Profile,
    guard: &Guard,
    cycle: &Cycle,
    pod: &PodInfo,
    cluster: &Cluster,
    rejected: Vec<Rejected>,
    narrowed_by: &[&'static str],
) -> Result<Refusal, Panicked> {
    if cluster.nodes().is_empty() {
        // Any node may help, so every filter's hints are asked.
        let plugins = profile.points.filter.iter().map(|f| f.name()).collect();
        let message = "no nodes available to schedule pods".into();
        return Ok(Refusal { message, plugins, ..Refusal::default() });
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut plugins = Vec::new();
    for Rejected { plugin, rejection, .. } in &rejected {
        for reason in &rejection.reasons {
            *counts.entry(reason).or_default() += 1;
        }
        if !plugins.contains(plugin) {
            plugins.push(*plugin);
        }
    }
    let left_out = cluster.nodes().len() - rejected.len();
    let words = format!("node(s) didn't satisfy plugin(s) [{}]", narrowed_by.join(" "));
    if left_out > 0 {
        counts.insert(&words, left_out);
        plugins.extend(narrowed_by.iter().filter(|p| !plugins.contains(p)).copied().collect::<Vec<_>>());
    }
    let mut reasons: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    reasons.sort();
    let message = format!("{}: {}.", available(cluster), reasons.join(", "));
    let mut refusal = Refusal { message, plugins, ..Refusal::default() };
    let rejections: Vec<(Arc<str>, Rejection)> =
        rejected.into_iter().map(|r| (cluster.nodes()[r.node].name.clone(), r.rejection)).collect();
    for plugin in &profile.points.post_filter {
        let ask = || plugin.post_filter(cycle, pod, cluster, &rejections);
        match guard.call(Point::PostFilter, || plugin.name(), ask)? {
            PostFiltered::Unschedulable(words) if words.is_empty() => {}
            PostFiltered::Unschedulable(words) => refusal.message = format!("{} {words}", refusal.message),
            PostFiltered::Nominated(node) => {
                refusal.nominated = Some(node);
                break;
            }
        }
    }
    Ok(refusal)
}

fn available(cluster: &Cluster) -> String {
    format!("0/{} nodes are available", cluster.nodes().len())
}
