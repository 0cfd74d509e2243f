//! Who would have to go from a node (`SelectVictimsOnNode`). Pure: the node and the cycle are copied.

use super::pick::{Candidate, more_important};
use orch_runtime::scheduler::{Budget, Cluster, Misfit, NodeInfo, PodInfo, Rejection};
use std::sync::Arc;

/// The least important pods of a node without which the pod would fit there.
///
/// # Errors
/// Why it would not even if all that are less important than itself went.
pub(super) fn victims(misfit: &Misfit<'_>, node: &NodeInfo) -> Result<Candidate, Rejection> {
    let Misfit { pod, filters, cluster, .. } = *misfit;
    let mut potential: Vec<Arc<PodInfo>> =
        node.pods.values().filter(|other| other.priority < pod.priority).cloned().collect();
    if potential.is_empty() {
        return Err(Rejection::unresolvable("No preemption victims found for incoming pod"));
    }
    potential.sort_by(more_important);
    let (mut cycle, mut imagined) = (misfit.cycle.clone(), node.clone());
    for other in &potential {
        filters.remove(&mut cycle, &mut imagined, other);
    }
    filters.check(&cycle, &imagined).map_err(|refused| refused.rejection)?;
    // Whoever may stay comes back: first those whose end would violate a budget, and of these the most important.
    let (violating, sound) = by_budget(potential, cluster);
    let mut spares = |other: &Arc<PodInfo>| {
        filters.add(&mut cycle, &mut imagined, other);
        let fits = filters.check(&cycle, &imagined).is_ok();
        if !fits {
            filters.remove(&mut cycle, &mut imagined, other);
        }
        fits
    };
    let mut victims: Vec<Arc<PodInfo>> = violating.into_iter().filter(|other| !spares(other)).collect();
    let violations = victims.len();
    victims.extend(sound.into_iter().filter(|other| !spares(other)));
    if victims.is_empty() {
        return Err(Rejection::unresolvable(format!("expected at least one victim pod on node {:?}", node.name)));
    }
    victims.sort_by(more_important);
    Ok(Candidate { node: node.name.clone(), victims, violations })
}

type Pods = Vec<Arc<PodInfo>>;

/// Those whose end, one after the other, would violate a budget, and the others (`filterPodsWithPDBViolation`).
fn by_budget(pods: Pods, cluster: &Cluster) -> (Pods, Pods) {
    let mut left: Vec<(&Budget, i32)> = cluster.budgets().map(|budget| (budget, budget.allowed)).collect();
    pods.into_iter().partition(|pod| {
        let mut is_violated = false;
        for (_, allowed) in left.iter_mut().filter(|(budget, _)| budget.covers(pod)) {
            *allowed -= 1;
            is_violated |= *allowed < 0;
        }
        is_violated
    })
}
