//! Preemption: pods that are less important make room (`framework/preemption`, `plugins/defaultpreemption`).
//!
//! ```text
//! may it? ─► nodes whose no is not final ─► on each: who would have to go ─► the node where that hurts least
//! ```
//!
//! All of it is imagined, on copies of nodes. Whoever has to go is told by the scheduler, not by the plugin.

mod pick;
#[cfg(test)]
mod tests;
mod victims;

use crate::scheduler::words;
use orch_runtime::scheduler::{
    ClusterEvent, Hint, Misfit, NodeInfo, Nomination, Plugin, PodInfo, Points, PostFilter, PostFiltered, Room,
};
use pick::{Candidate, pick};
use std::{iter::repeat_n, sync::Arc};
use victims::victims;

/// Makes room for a pod where pods of a lower priority run.
pub struct DefaultPreemption {
    /// How many candidates are enough, in percent of the nodes that may become one (`minCandidateNodesPercentage`).
    pub enough_percent: usize,
    /// How many candidates are enough at least (`minCandidateNodesAbsolute`).
    pub enough_at_least: usize,
}

impl Default for DefaultPreemption {
    fn default() -> Self {
        Self { enough_percent: 10, enough_at_least: 100 }
    }
}

impl Plugin for DefaultPreemption {
    fn name(&self) -> &'static str {
        "DefaultPreemption"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.post_filter(self);
    }

    /// When to try again is up to the plugins whose no it was to resolve.
    fn hint(&self, _: &PodInfo, _: &ClusterEvent<'_>) -> Hint {
        Hint::Skip
    }
}

impl PostFilter for DefaultPreemption {
    fn post_filter(&self, misfit: &Misfit<'_>) -> PostFiltered {
        let unschedulable = |why: &str, nomination| {
            let message = format!("preemption: {why}");
            PostFiltered::Unschedulable { message, nomination }
        };
        if let Err(why) = may_preempt(misfit) {
            return unschedulable(why, Nomination::Keep);
        }
        let best = self.candidates(misfit).map(pick);
        match best {
            Ok(Some(Candidate { node, victims, .. })) => {
                PostFiltered::MakeRoom(Room { plugin: self.name(), node, victims })
            }
            Ok(None) => unschedulable("no candidate node for preemption", Nomination::Keep),
            Err(why) => unschedulable(&why, Nomination::Drop),
        }
    }
}

impl DefaultPreemption {
    /// As many candidates as are enough, those that violate no budget first, from a node on that chance says; or why there
    /// are none (`DryRunPreemption`).
    fn candidates(&self, misfit: &Misfit<'_>) -> Result<Vec<Candidate>, String> {
        let resolvable = misfit.rejections.iter().filter(|(_, rejection)| rejection.resolvable);
        let potential: Vec<&NodeInfo> = resolvable.filter_map(|(name, _)| misfit.cluster.node(name)).collect();
        let enough = self.enough(potential.len());
        let offset = misfit.chance.below(potential.len() as u64) as usize;
        let (mut sound, mut violating, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
        for node in potential.iter().cycle().skip(offset).take(potential.len()) {
            match victims(misfit, node) {
                Ok(candidate) if candidate.violations == 0 => sound.push(candidate),
                Ok(candidate) if violating.len() < enough => violating.push(candidate),
                Ok(_) => {}
                Err(rejection) => reasons.extend(rejection.reasons),
            }
            if !sound.is_empty() && sound.len() + violating.len() >= enough {
                break;
            }
        }
        sound.append(&mut violating);
        if !sound.is_empty() {
            return Ok(sound);
        }
        let nodes = misfit.cluster.nodes().len();
        let hopeless = repeat_n("Preemption is not helpful for scheduling", nodes - potential.len());
        Err(words::unavailable(nodes, reasons.iter().map(|reason| &**reason).chain(hopeless)))
    }

    fn enough(&self, potential: usize) -> usize {
        (potential * self.enough_percent / 100).max(self.enough_at_least).min(potential)
    }
}

/// Whether a pod may have others removed (`PodEligibleToPreemptOthers`): not while some still go for its sake.
fn may_preempt(misfit: &Misfit<'_>) -> Result<(), &'static str> {
    let Misfit { pod, cluster, .. } = *misfit;
    if pod.never_preempts {
        return Err("not eligible due to preemptionPolicy=Never.");
    }
    let Some(node) = cluster.nominations().node_of(&pod.uid) else { return Ok(()) };
    let refused = misfit.rejections.iter().find(|(name, _)| name == node);
    if !refused.is_some_and(|(_, rejection)| rejection.resolvable) {
        return Ok(());
    }
    let goes = |other: &Arc<PodInfo>| other.priority < pod.priority && other.deleting && other.is_victim;
    match cluster.node(node).is_some_and(|node| node.pods.values().any(goes)) {
        true => Err("not eligible due to a terminating pod on the nominated node."),
        false => Ok(()),
    }
}
