//! Disruption budgets.

use super::{GRACE, Judge, Oracle};
use crate::sim::state::{Seen, Write};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// An eviction leaves as many healthy Pods as every budget asks for: where it asks for a number, or says how many may be
/// missing of those that a workload wants. The server goes by the word of the disruption controller, so what that one's
/// watches have not told it yet (a Pod that has failed, or that somebody deleted) excuses an eviction; another eviction does not.
#[derive(Default)]
pub struct Budgets {
    /// Pods that went without an eviction.
    lost: Vec<(Duration, Arc<Seen>)>,
}

/// On whose word Pods are evicted.
const CONTROLLER: &str = "disruption-controller";

impl Oracle for Budgets {
    fn name(&self) -> &'static str {
        "disruption budget"
    }

    fn judge(&mut self, write: &Write, judge: &Judge<'_>) -> Result<(), String> {
        let Some(pod) = write.object().filter(|object| object.kind == "Pod" && write.dooms()) else { return Ok(()) };
        self.lost.retain(|(at, _)| *at + GRACE > write.at);
        if write.subresource != "eviction" {
            self.lost.push((write.at, pod.clone()));
            return Ok(());
        }
        if !write.old.as_ref().is_some_and(|old| is_healthy(old)) {
            return Ok(());
        }
        let budgets = judge.state.of_kind("PodDisruptionBudget").filter(|b| b.namespace == pod.namespace);
        for budget in budgets.filter(|budget| selects(budget, pod)) {
            let all = || judge.state.of_kind("Pod").filter(|other| selects(budget, other));
            let asked = budget.at("/spec/minAvailable").as_i64();
            let Some(least) = asked.or_else(|| kept(budget, all(), write, judge)) else { continue };
            let controller: Arc<str> = CONTROLLER.into();
            let passes = |other: &&Arc<Seen>| {
                let believed = judge.believed_by(&controller, write, &other.uid);
                !other.is_over() && (is_healthy(other) || believed.iter().any(|seen| is_healthy(seen)))
            };
            let lost = self.lost.iter().filter(|(_, other)| selects(budget, other)).count();
            let healthy = (all().filter(passes).count() + lost) as i64;
            if healthy < least {
                return Err(format!("{pod} was evicted: {healthy} healthy Pods are left, {budget} asks for {least}"));
            }
        }
        Ok(())
    }
}

fn is_healthy(pod: &Seen) -> bool {
    pod.has_condition("Ready") && !pod.is_over()
}

/// How many must be left of those that the owners of the Pods want, at least.
fn kept<'a>(budget: &Seen, pods: impl Iterator<Item = &'a Arc<Seen>>, write: &Write, judge: &Judge<'_>) -> Option<i64> {
    let missing = budget.at("/spec/maxUnavailable").as_i64()?;
    let controller: Arc<str> = CONTROLLER.into();
    let owners: BTreeSet<&str> = pods.filter_map(|pod| Some(workload(pod.controller()?.0, judge))).collect();
    let mut wanted = 0;
    for owner in owners {
        let known = judge.believed_by(&controller, write, owner);
        let scale = |owner: &Arc<Seen>| owner.at("/spec/replicas").as_i64();
        wanted += known.iter().map(scale).min()??;
    }
    Some(wanted - missing)
}

/// The Deployment of a ReplicaSet, or the owner itself.
fn workload<'a>(owner: &'a str, judge: &Judge<'a>) -> &'a str {
    judge.state.by_uid(owner).and_then(|owner| owner.controller()).map_or(owner, |(uid, _)| uid)
}

fn selects(budget: &Seen, pod: &Seen) -> bool {
    let wanted = budget.at("/spec/selector/matchLabels").as_object();
    let labels = pod.at("/metadata/labels");
    budget.namespace == pod.namespace
        && wanted.is_some_and(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
}
