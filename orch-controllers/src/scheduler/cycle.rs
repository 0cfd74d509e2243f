//! One scheduling decision: a function from a pod and the cluster to a node or a refusal, without IO.

use orch_runtime::scheduler::{
    Cluster, Cycle, Filter, NodeIndex, PodInfo, PostFiltered, PreFiltered, Profile, Rejection, Scored,
};
use orch_store::Chance;
use std::{collections::BTreeMap, sync::Arc};

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
}

/// Decides for one pod. The search over the nodes begins at `start`, which moves on so that all nodes get
/// their turn. Ties are broken by chance. What the plugins found out is in `cycle` afterwards.
pub fn decide(
    profile: &Profile,
    cycle: &mut Cycle,
    pod: &PodInfo,
    cluster: &Cluster,
    start: &mut NodeIndex,
    chance: &Chance,
) -> Decision {
    let search = match prepare(profile, cycle, pod, cluster) {
        Ok(search) => search,
        Err(refusal) => return Decision::Refused(refusal),
    };
    let found = search.run(cycle, pod, cluster, start);
    match found.feasible[..] {
        [] => Decision::Refused(refuse(profile, cycle, pod, cluster, found.rejected, &search.narrowed_by)),
        [only] => Decision::Node(cluster.nodes()[only].name.clone()),
        _ => {
            let scores = score(profile, cycle, pod, cluster, &found.feasible);
            let best = pick(&found.feasible, &scores, chance);
            Decision::Node(cluster.nodes()[best].name.clone())
        }
    }
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
    cycle: &mut Cycle,
    pod: &PodInfo,
    cluster: &Cluster,
) -> Result<Search<'a>, Refusal> {
    let mut skipped = Vec::new();
    let mut only: Option<Vec<Arc<str>>> = None;
    let mut narrowed_by = Vec::new();
    for plugin in &profile.points.pre_filter {
        match plugin.pre_filter(cycle, pod, cluster) {
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
                return Err(Refusal { message, plugins: vec![plugin.name()], nominated: None });
            }
        }
    }
    if only.as_ref().is_some_and(Vec::is_empty) {
        let by = narrowed_by.join(" ");
        let message = format!("{}: node(s) didn't satisfy plugin(s) [{by}] simultaneously.", available(cluster));
        return Err(Refusal { message, plugins: narrowed_by, nominated: None });
    }
    let filters = profile.points.filter.iter().filter(|f| !skipped.contains(&f.name())).collect();
    let only = only.map(|names| names.iter().filter_map(|n| cluster.position(n)).collect());
    Ok(Search { filters, only, narrowed_by })
}

impl Search<'_> {
    fn run(&self, cycle: &Cycle, pod: &PodInfo, cluster: &Cluster, start: &mut NodeIndex) -> Found {
        let mut found = Found::default();
        if let Some(only) = &self.only {
            only.iter().for_each(|i| self.look(*i, cycle, pod, cluster, &mut found));
            return found;
        }
        let count = cluster.nodes().len();
        let enough = feasible_nodes_to_find(count);
        let mut seen = 0;
        while seen < count && found.feasible.len() < enough {
            self.look((*start + seen) % count, cycle, pod, cluster, &mut found);
            seen += 1;
        }
        *start = if count == 0 { 0 } else { (*start + seen) % count };
        found
    }

    fn look(&self, node: NodeIndex, cycle: &Cycle, pod: &PodInfo, cluster: &Cluster, found: &mut Found) {
        for filter in &self.filters {
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

fn score(profile: &Profile, cycle: &mut Cycle, pod: &PodInfo, cluster: &Cluster, nodes: &[NodeIndex]) -> Vec<i64> {
    let skipped: Vec<&str> = profile
        .points
        .pre_score
        .iter()
        .filter(|plugin| !plugin.pre_score(cycle, pod, cluster))
        .map(|plugin| plugin.name())
        .collect();
    let mut totals = vec![0; nodes.len()];
    let mut scores = Vec::with_capacity(nodes.len());
    for Scored { plugin, weight } in profile.points.score.iter().filter(|s| !skipped.contains(&s.plugin.name())) {
        scores.clear();
        scores.extend(nodes.iter().map(|i| plugin.score(cycle, pod, &cluster.nodes()[*i], cluster)));
        plugin.normalize(&mut scores);
        totals.iter_mut().zip(&scores).for_each(|(total, score)| *total += score * weight);
    }
    totals
}

fn pick(nodes: &[NodeIndex], scores: &[i64], chance: &Chance) -> NodeIndex {
    let highest = scores.iter().copied().max().unwrap_or(0);
    let ties: Vec<NodeIndex> = nodes.iter().zip(scores).filter(|(_, s)| **s == highest).map(|(n, _)| *n).collect();
    ties[chance.below(ties.len() as u64) as usize]
}

fn refuse(
    profile: &Profile,
    cycle: &Cycle,
    pod: &PodInfo,
    cluster: &Cluster,
    rejected: Vec<Rejected>,
    narrowed_by: &[&'static str],
) -> Refusal {
    if cluster.nodes().is_empty() {
        // Any node may help, so every filter's hints are asked.
        let plugins = profile.points.filter.iter().map(|f| f.name()).collect();
        return Refusal { message: "no nodes available to schedule pods".into(), plugins, nominated: None };
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
    let mut refusal =
        Refusal { message: format!("{}: {}.", available(cluster), reasons.join(", ")), plugins, nominated: None };
    let rejections: Vec<(Arc<str>, Rejection)> =
        rejected.into_iter().map(|r| (cluster.nodes()[r.node].name.clone(), r.rejection)).collect();
    for plugin in &profile.points.post_filter {
        match plugin.post_filter(cycle, pod, cluster, &rejections) {
            PostFiltered::Unschedulable(words) if words.is_empty() => {}
            PostFiltered::Unschedulable(words) => refusal.message = format!("{} {words}", refusal.message),
            PostFiltered::Nominated(node) => {
                refusal.nominated = Some(node);
                break;
            }
        }
    }
    refusal
}

fn available(cluster: &Cluster) -> String {
    format!("0/{} nodes are available", cluster.nodes().len())
}
