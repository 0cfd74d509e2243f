//! Owners: nothing is made for one that is gone or going, and nobody deletes what is another's.

use super::{Judge, Oracle, addresses::goes_with_its_service};
use crate::sim::state::{Seen, Verb, Write};
use orch_runtime::{Deletes, Description};
use std::collections::BTreeMap;

/// Nothing is created for an owner that the writer knew to be gone or going, nor for a Job that it knew to have ended.
pub struct NothingForTheDead;

impl Oracle for NothingForTheDead {
    fn name(&self) -> &'static str {
        "nothing for the dead"
    }

    fn judge(&mut self, write: &Write, judge: &Judge<'_>) -> Result<(), String> {
        let Some(new) = write.new.as_ref().filter(|_| write.verb == Verb::Create && *write.who != *"user") else {
            return Ok(());
        };
        let Some((owner, kind)) = new.controller() else { return Ok(()) };
        let believed = judge.believed(write, owner);
        let Some(last) = believed.last() else { return Ok(()) };
        let doubted = believed.iter().all(|owner| owner.is_deleting()) || {
            // A deletion without a state of its own: the writer was told of a revision later than any state.
            let known = judge.knowledge.of(&write.who, &last.uid, write.at.saturating_sub(super::GRACE));
            !judge.state.exists(owner) && known.is_some_and(|known| known > last.revision)
        };
        let ended = |job: &std::sync::Arc<Seen>| job.has_condition("Complete") || job.has_condition("Failed");
        if kind == "Job" && believed.iter().all(ended) {
            return Err(format!("{new} was created for {kind} {}, which was known to have ended", last.name));
        }
        if doubted {
            return Err(format!("{new} was created for {kind} {}, which was known to be going or gone", last.name));
        }
        Ok(())
    }
}

/// The loop that goes by owners alone.
const GARBAGE_COLLECTOR: &str = "garbage-collector-controller";

/// A loop deletes what it says that it may.
pub struct OnlyItsOwn {
    loops: BTreeMap<String, (Deletes, String)>,
}

impl OnlyItsOwn {
    /// Goes by what the loops say of themselves.
    pub fn new(loops: &[Description]) -> Self {
        let loops = loops.iter().map(|each| (each.name.to_owned(), (each.deletes, each.root.clone()))).collect();
        Self { loops }
    }
}

impl Oracle for OnlyItsOwn {
    fn name(&self) -> &'static str {
        "only its own"
    }

    fn judge(&mut self, write: &Write, judge: &Judge<'_>) -> Result<(), String> {
        let Some(object) = write.object().filter(|_| write.dooms()) else { return Ok(()) };
        let before = write.old.as_ref().unwrap_or(object);
        if goes_with_its_service(before, judge.state) {
            return Ok(());
        }
        let Some((deletes, root)) = self.loops.get(&*write.who) else { return Ok(()) };
        let kind = root.rsplit('/').next().unwrap_or(root);
        match deletes {
            Deletes::Owned => match before.controller() {
                Some((_, owner)) if owner == kind => Ok(()),
                other => Err(format!("{before} is not owned by a {kind} but by {other:?}, and was deleted")),
            },
            Deletes::Contents => match judge.state.of_kind(kind).find(|root| root.name == before.namespace) {
                Some(root) if !root.is_deleting() => {
                    Err(format!("{before} was deleted, and its {kind} is not being deleted"))
                }
                _ => Ok(()),
            },
            Deletes::Others(_) if before.owners().is_empty() && *write.who == *GARBAGE_COLLECTOR => {
                Err(format!("{before} has no owners, and was collected"))
            }
            Deletes::Others(_) if *write.who == *GARBAGE_COLLECTOR => {
                let solid = before.owners().iter().find(|owner| {
                    let uid = owner["uid"].as_str().unwrap_or_default();
                    let live = judge.state.by_uid(uid).filter(|_| judge.state.exists(uid));
                    live.is_some_and(|live| !live.is_deleting())
                });
                solid.map_or(Ok(()), |owner| {
                    Err(format!("{before} was collected although its owner {} {} lives", owner["kind"], owner["name"]))
                })
            }
            Deletes::Others(_) => Ok(()),
        }
    }
}
