//! Disruption budgets.

use super::{Judge, Oracle};
use crate::sim::state::{Seen, Write};

/// An eviction leaves as many healthy Pods as every budget asks for, where it asks for a number.
pub struct Budgets;

impl Oracle for Budgets {
    fn name(&self) -> &'static str {
        "disruption budget"
    }

    fn judge(&mut self, write: &Write, judge: &Judge<'_>) -> Result<(), String> {
        let Some(pod) = write.object().filter(|object| object.kind == "Pod" && write.subresource == "eviction") else {
            return Ok(());
        };
        let was_ready = write.old.as_ref().is_some_and(|old| old.has_condition("Ready") && !old.is_over());
        if !write.dooms() || !was_ready {
            return Ok(());
        }
        let budgets = judge.state.of_kind("PodDisruptionBudget").filter(|b| b.namespace == pod.namespace);
        for budget in budgets.filter(|budget| selects(budget, pod)) {
            let Some(least) = budget.at("/spec/minAvailable").as_i64() else { continue };
            let all =
                judge.state.of_kind("Pod").filter(|other| other.namespace == pod.namespace && selects(budget, other));
            let healthy = all.filter(|other| other.has_condition("Ready") && !other.is_over()).count() as i64;
            if healthy < least {
                return Err(format!("{pod} was evicted: {healthy} healthy Pods are left, {budget} asks for {least}"));
            }
        }
        Ok(())
    }
}

fn selects(budget: &Seen, pod: &Seen) -> bool {
    let wanted = budget.at("/spec/selector/matchLabels").as_object();
    let labels = pod.at("/metadata/labels");
    wanted.is_some_and(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
}
