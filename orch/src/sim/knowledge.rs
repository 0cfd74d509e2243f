//! [`Knowledge`]: who has been told what. A loop may act on what it was told and no sooner; so that is what its writes
//! are judged by. What a watch has not delivered yet, nobody can hold against the loop.

use orch_store::Revision;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// What each loop has been told of each object, by its watches.
#[derive(Debug, Default)]
pub struct Knowledge {
    told: BTreeMap<(Arc<str>, Arc<str>), Vec<Told>>,
    /// What each has created and got an answer for.
    made: BTreeSet<(Arc<str>, Arc<str>)>,
}

/// A revision of an object, delivered.
#[derive(Clone, Copy, Debug)]
struct Told {
    at: Duration,
    revision: Revision,
}

impl Knowledge {
    /// A watch of `who` delivered this revision of the object with this UID.
    pub fn tell(&mut self, who: &Arc<str>, uid: &Arc<str>, revision: Revision, at: Duration) {
        self.told.entry((who.clone(), uid.clone())).or_default().push(Told { at, revision });
    }

    /// The loop begins anew and knows nothing.
    pub fn forget(&mut self, who: &str) {
        self.told.retain(|(name, _), _| **name != *who);
        self.made.retain(|(name, _)| **name != *who);
    }

    /// Somebody created an object and was told that it did.
    pub fn make(&mut self, who: &Arc<str>, uid: &Arc<str>) {
        self.made.insert((who.clone(), uid.clone()));
    }

    /// Whether somebody knows that it created the object.
    pub fn made(&self, who: &Arc<str>, uid: &Arc<str>) -> bool {
        self.made.contains(&(who.clone(), uid.clone()))
    }

    /// The newest revision of the object that `who` had been told of by then; `None` for one that it had not heard of.
    pub fn of(&self, who: &Arc<str>, uid: &Arc<str>, by: Duration) -> Option<Revision> {
        let told = self.told.get(&(who.clone(), uid.clone()))?;
        told.iter().filter(|told| told.at <= by).map(|told| told.revision).max()
    }
}
