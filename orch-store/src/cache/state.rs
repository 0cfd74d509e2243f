//! What a resource cache knows, as plain data: no locks, no tasks.

use super::{
    snapshot::Snapshot,
    window::{After, Limits, Record, Window},
};
use crate::{Revision, Stored, backend::BackendError};
use orch_api::Key;
use std::sync::Arc;

/// One change of this resource, parsed.
#[derive(Clone, Debug)]
pub(super) enum Update {
    /// The key has a new value.
    Put(Arc<Stored>),
    /// The key was deleted at a revision.
    Delete(Key, Revision),
}

impl Update {
    pub(super) fn revision(&self) -> Revision {
        match self {
            Self::Put(object) => object.revision,
            Self::Delete(_, revision) => *revision,
        }
    }
}

/// Current state and recent history of one resource.
#[derive(Debug)]
pub(super) enum State {
    /// The state is being read; changes that arrive meanwhile are kept.
    Loading {
        pending: Vec<Update>,
        /// Where positions go on, so that those of an earlier load stay invalid.
        first: u64,
    },
    /// The state is complete.
    Ready { current: Snapshot, window: Window },
}

impl State {
    /// Nothing known yet.
    pub(super) fn new() -> Self {
        Self::Loading { pending: Vec::new(), first: 0 }
    }

    /// What a load must present to be taken: a reset in between makes it invalid. `None` when ready.
    pub(super) fn ticket(&self) -> Option<u64> {
        match self {
            Self::Loading { first, .. } => Some(*first),
            Self::Ready { .. } => None,
        }
    }

    /// Takes the state that was read at a revision, then the changes that came meanwhile.
    pub(super) fn load(&mut self, ticket: u64, objects: Vec<Arc<Stored>>, revision: Revision, limits: Limits) {
        let Self::Loading { pending, first } = self else { return };
        if *first != ticket {
            return;
        }
        let pending = std::mem::take(pending);
        let mut current = Snapshot { revision, ..Snapshot::default() };
        objects.into_iter().for_each(|object| drop(current.insert(object)));
        *self = Self::Ready { current, window: Window::new(revision, *first, limits) };
        pending.into_iter().for_each(|update| self.apply(update));
    }

    /// Forgets everything: history was lost. Watchers find their positions gone.
    pub(super) fn reset(&mut self) {
        let end = match self {
            Self::Loading { first, .. } => *first,
            Self::Ready { window, .. } => window.end(),
        };
        *self = Self::Loading { pending: Vec::new(), first: end + 1 };
    }

    /// Takes one change; those that the state holds already are ignored.
    pub(super) fn apply(&mut self, update: Update) {
        let (current, window) = match self {
            Self::Loading { pending, .. } => return pending.push(update),
            Self::Ready { current, window } => (current, window),
        };
        if update.revision() <= window.floor() {
            return;
        }
        current.revision = current.revision.max(update.revision());
        match update {
            Update::Put(new) => {
                let old = current.insert(new.clone());
                window.push(Arc::new(Record::put(old, new)));
            }
            Update::Delete(key, revision) => {
                if let Some(old) = current.remove(&key) {
                    window.push(Arc::new(Record::gone(old, revision)));
                }
            }
        }
    }

    pub(super) fn ready(&self) -> Option<(&Snapshot, &Window)> {
        match self {
            Self::Loading { .. } => None,
            Self::Ready { current, window } => Some((current, window)),
        }
    }
}

/// The state as it was at an earlier revision, by undoing the events since: the cost is that of what
/// has changed. The caller made sure that the cache has seen the revision.
pub(super) fn rewind(current: &Snapshot, window: &Window, revision: Revision) -> Result<Snapshot, BackendError> {
    if revision < window.floor() {
        return Err(BackendError::Compacted { requested: revision, oldest: window.floor() });
    }
    let mut past = Snapshot { revision, ..current.clone() };
    for record in window.undo(revision) {
        match (&record.old, &record.new) {
            (Some(old), _) => drop(past.insert(old.clone())),
            (None, After::Put(new)) => drop(past.remove(&new.key)),
            (None, After::Gone(_)) => {}
        }
    }
    Ok(past)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::Meta;

    fn put(name: &str, revision: u64) -> Update {
        let meta = Meta { name: name.into(), resource_version: Revision(revision), ..Meta::default() };
        Update::Put(Arc::new(Stored::new(meta, "{}".into())))
    }

    fn delete(name: &str, revision: u64) -> Update {
        Update::Delete(Key::cluster(name), Revision(revision))
    }

    fn state(updates: impl IntoIterator<Item = Update>) -> State {
        let mut state = State::new();
        state.load(0, Vec::new(), Revision(10), Limits { events: 4, bytes: 1 << 20 });
        updates.into_iter().for_each(|u| state.apply(u));
        state
    }

    fn show(snapshot: &Snapshot) -> String {
        snapshot.iter(None, None).map(|o| format!("{o:?}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_past_revision_of_the_window_can_be_restored() {
        let state = state([put("a", 11), put("b", 12), put("a", 13), delete("b", 14)]);
        let (current, window) = state.ready().unwrap();
        let at = |r| rewind(current, window, Revision(r)).map(|s| show(&s));
        assert_eq!(at(14).unwrap(), "a@13");
        assert_eq!(at(13).unwrap(), "a@13 b@12");
        assert_eq!(at(12).unwrap(), "a@11 b@12");
        assert_eq!(at(11).unwrap(), "a@11");
        assert_eq!(at(10).unwrap(), "");
        assert!(matches!(at(9), Err(BackendError::Compacted { oldest: Revision(10), .. })));
    }

    #[test]
    fn changes_that_arrive_while_loading_are_applied_after_it() {
        let mut state = State::new();
        state.apply(put("stale", 9));
        state.apply(put("a", 11));
        let Update::Put(loaded) = put("a", 10) else { unreachable!() };
        state.load(0, vec![loaded], Revision(10), Limits::default());
        let (current, window) = state.ready().unwrap();
        assert_eq!((show(current).as_str(), window.end()), ("a@11", 1));
    }

    #[test]
    fn positions_of_an_earlier_load_stay_invalid_after_a_reset() {
        let mut state = state([put("a", 11), put("b", 12)]);
        let old_end = state.ready().unwrap().1.end();
        state.reset();
        state.load(0, vec![], Revision(19), Limits::default());
        assert!(state.ready().is_none(), "a load from before the reset is refused");
        state.load(state.ticket().unwrap(), Vec::new(), Revision(20), Limits::default());
        assert!(state.ready().unwrap().1.read(old_end, 1).is_none());
    }

    #[test]
    fn deleting_what_is_not_there_is_no_event() {
        let state = state([delete("ghost", 11)]);
        let (current, window) = state.ready().unwrap();
        assert_eq!((current.revision, window.end()), (Revision(11), 0));
    }
}
