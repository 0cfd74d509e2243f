//! Preemption: who makes room for whom.

use super::{Judge, Oracle};
use crate::sim::{
    host::SCHEDULER,
    state::{Seen, Write},
};
use std::sync::Arc;

/// The scheduler ends a Pod only for the sake of one that has no node, is more important, and may have others removed; and the
/// Pod's status says so.
pub struct Preemption;

impl Oracle for Preemption {
    fn name(&self) -> &'static str {
        "preemption"
    }

    fn judge(&mut self, write: &Write, judge: &Judge<'_>) -> Result<(), String> {
        let doomed = write.object().filter(|pod| pod.kind == "Pod" && write.dooms() && *write.who == *SCHEDULER);
        let Some(victim) = doomed else { return Ok(()) };
        let priority = victim.number("/spec/priority");
        let believed_to_wait = |pod: &&Arc<Seen>| {
            let waits = |seen: &Arc<Seen>| seen.text("/spec/nodeName").is_empty() && !seen.is_over();
            judge.believed(write, &pod.uid).iter().any(waits)
        };
        let preempts =
            |pod: &&Arc<Seen>| pod.number("/spec/priority") > priority && pod.text("/spec/preemptionPolicy") != "Never";
        if !judge.state.of_kind("Pod").filter(preempts).any(|pod| believed_to_wait(&pod)) {
            return Err(format!("{victim} of priority {priority} has to go, and no Pod of a higher one waits"));
        }
        if !victim.has_condition("DisruptionTarget") {
            return Err(format!("{victim} has to go, and its status does not say why"));
        }
        Ok(())
    }
}
