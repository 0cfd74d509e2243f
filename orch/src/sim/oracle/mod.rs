//! [`Oracle`]: judges every committed write, in the order of revisions.
//!
//! A loop is judged by what it could know. Its caches lag, legally, so a write is wrong only if it is wrong for every
//! state of the objects that the writer may have believed in: the last one that its watches had delivered
//! [`GRACE`] ago, and all later ones. What a loop wrote itself it knows, since the runtime's gate waits for it.

mod addresses;
mod budget;
mod capacity;
mod daemons;
mod fights;
mod finalizers;
mod identity;
mod jobs;
mod ordered;
mod owners;
mod preemption;
mod replicas;
mod rollout;
mod volumes;
mod work;

pub use addresses::OneHolder;
pub use budget::Budgets;
pub use capacity::{Capacity, OneBinding};
pub use daemons::Daemons;
pub use fights::Fights;
pub use finalizers::Finalizers;
pub use identity::OnePerIdentity;
pub use jobs::CountedOnce;
pub use ordered::Ordered;
pub use owners::{NothingForTheDead, OnlyItsOwn};
pub use preemption::Preemption;
pub use replicas::NoExcess;
pub use rollout::Rollout;
pub use volumes::Volumes;
pub use work::Work;

use super::{
    knowledge::Knowledge,
    state::{Seen, State, Write},
};
use std::{fmt, sync::Arc, time::Duration};

/// How long a decision may take from the view that it was made from to its write.
pub const GRACE: Duration = Duration::from_secs(2);

/// Judges writes. Implement it for invariants of your own, and hand it to [`Sim::oracle`](super::Sim::oracle).
pub trait Oracle: Send {
    /// What it watches over, in a word or two; a shrunk failure is one of the same oracle.
    fn name(&self) -> &'static str;

    /// Judges a write, which is in the state already.
    ///
    /// # Errors
    /// What is wrong with it, in words for a person.
    fn judge(&mut self, write: &Write, judge: &Judge<'_>) -> Result<(), String>;
}

/// What an oracle may look at.
pub struct Judge<'a> {
    /// Everything that the store holds.
    pub state: &'a State,
    /// Who has been told what.
    pub knowledge: &'a Knowledge,
}

impl<'a> Judge<'a> {
    /// Every state of an object that the writer may have believed in when it decided.
    pub fn believed(&self, write: &Write, uid: &str) -> &'a [Arc<Seen>] {
        self.believed_by(&write.who, write, uid)
    }

    /// The same of another than the writer, on whose word the writer acted.
    pub fn believed_by(&self, who: &Arc<str>, write: &Write, uid: &str) -> &'a [Arc<Seen>] {
        let known = self.knowledge.of(who, &uid.into(), write.at.saturating_sub(GRACE));
        self.state.since(uid, known)
    }

    /// Whether the writer's watches had shown it this object when it decided.
    pub fn knew_of(&self, write: &Write, uid: &Arc<str>) -> bool {
        !write.repeated && self.knowledge.of(&write.who, uid, write.at).is_some()
    }

    /// Whether the writer must count an object: its caches had it when it decided, or it made it itself and was told so, or
    /// makes it now.
    pub fn must_know(&self, write: &Write, object: &Seen) -> bool {
        let told = self.knowledge.of(&write.who, &object.uid, write.at.saturating_sub(GRACE)).is_some();
        let makes = write.object().is_some_and(|made| made.uid == object.uid);
        told || makes || self.knowledge.made(&write.who, &object.uid)
    }
}

/// What an oracle objected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub oracle: &'static str,
    /// When, since the start.
    pub at: Duration,
    /// What.
    pub words: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:.3}s: {}", self.oracle, self.at.as_secs_f64(), self.words)
    }
}

/// Every built-in oracle. The loops say what they may delete.
pub fn all(loops: &[orch_runtime::Description]) -> Vec<Box<dyn Oracle>> {
    vec![
        Box::new(OneBinding),
        Box::new(Capacity),
        Box::new(OneHolder),
        Box::new(Preemption),
        Box::new(OnePerIdentity),
        Box::new(NothingForTheDead),
        Box::new(OnlyItsOwn::new(loops)),
        Box::new(Finalizers),
        Box::new(NoExcess),
        Box::new(Rollout),
        Box::new(Ordered),
        Box::new(Daemons),
        Box::new(Budgets::default()),
        Box::new(Volumes),
        Box::new(CountedOnce::default()),
        Box::new(Work),
        Box::new(Fights::default()),
    ]
}
