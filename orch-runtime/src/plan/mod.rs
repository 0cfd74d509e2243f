//! [`Plan`]: what a controller decided, as data. Printed, it is one line per action.

mod action;
mod diff;

pub use action::{Action, Announce, EventKind, Notice, Target, reference};
pub use diff::changes;

use orch_api::{Gvr, Key, Object};
use orch_store::{
    Stored,
    client::{DeleteOptions, Patch, Propagation},
};
use serde_json::Value;
use std::{fmt, sync::Arc, time::Duration};

/// Actions in order, and when to look again although nothing changes. An empty plan writes nothing.
///
/// The executor performs neighbouring creates of one resource in slow-start batches, and neighbouring deletes, or
/// patches of different objects, together; after a refusal it skips the rest, except writes to a status and
/// other branches (see [`Plan::branch`]).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What to do.
    pub actions: Vec<Action>,
    /// When to look again.
    pub requeue_after: Option<Duration>,
    /// Where branches begin (see [`Plan::branch`]): how many actions stand before each.
    pub branches: Vec<usize>,
}

impl Plan {
    /// Creates an object; an empty name with a `generateName` lets the server choose.
    pub fn create<K: Object>(&mut self, object: &K) {
        self.push_create(object, None, false);
    }

    /// Creates an object and records an event about the outcome.
    pub fn create_announced<K: Object>(&mut self, object: &K, announce: Announce) {
        self.push_create(object, Some(announce), false);
    }

    /// Creates an object, content if it is there already.
    pub fn ensure<K: Object>(&mut self, object: &K) {
        self.push_create(object, None, true);
    }

    /// Replaces `old` by `new`, on condition that `old` is still current; nothing if they are equal.
    pub fn update<K: Object>(&mut self, old: &K, new: &K) -> bool {
        self.push_update(old, new, None)
    }

    /// Replaces the status of `old` by that of `new`, and the annotations, which the status subresource
    /// takes too; nothing if they are equal.
    pub fn update_status<K: Object>(&mut self, old: &K, new: &K) -> bool {
        self.push_update(old, new, Some("status"))
    }

    /// Replaces a subresource; nothing if the objects are equal.
    pub fn update_subresource<K: Object>(&mut self, old: &K, new: &K, subresource: &'static str) -> bool {
        self.push_update(old, new, Some(subresource))
    }

    /// Changes an object by a patch.
    pub fn patch(&mut self, target: Target, subresource: Option<&'static str>, patch: Patch) {
        self.actions.push(Action::Patch { target, subresource, patch });
    }

    /// Applies a status on behalf of a field manager.
    pub fn apply_status(&mut self, target: Target, manager: &'static str, body: Value) {
        self.actions.push(Action::ApplyStatus { target, manager, body });
    }

    /// Deletes an object, on condition that it is still the same one.
    pub fn delete<K: Object>(&mut self, object: &K) {
        let options = DeleteOptions { uid: Some(object.uid().into()), ..DeleteOptions::default() };
        self.actions.push(Action::Delete { target: Target::of(object), options, announce: None });
    }

    /// Creates so many objects alike and records an event about each outcome.
    pub fn create_many<K: Object>(&mut self, object: &K, count: usize, announce: &Announce) {
        let (target, body, announce) = (Target::of(object), Arc::new(body(object)), Some(announce.clone()));
        let create = Action::Create { target, body, announce, may_exist: false };
        self.actions.extend(std::iter::repeat_n(create, count));
    }

    /// Deletes an object and records an event about the outcome.
    pub fn delete_announced(&mut self, target: Target, uid: Arc<str>, announce: Announce) {
        let options = DeleteOptions { uid: Some(uid), ..DeleteOptions::default() };
        self.actions.push(Action::Delete { target, options, announce: Some(announce) });
    }

    /// Deletes an object as the options say.
    pub fn delete_with(&mut self, target: Target, options: DeleteOptions) {
        self.actions.push(Action::Delete { target, options, announce: None });
    }

    /// Deletes all objects of a resource in a namespace.
    pub fn delete_all(&mut self, gvr: Gvr, namespace: Arc<str>) {
        self.actions.push(Action::DeleteAll { gvr, namespace });
    }

    /// Begins a branch: what follows, up to the next branch, depends on what stands before the first one, and is done
    /// whatever becomes of other branches.
    pub fn branch(&mut self) {
        self.branches.push(self.actions.len());
    }

    /// What all depends on, and then the branches.
    pub fn parts(&self) -> impl Iterator<Item = &[Action]> {
        let len = self.actions.len();
        let breaks = || self.branches.iter().map(move |at| (*at).min(len));
        let (begins, ends) = (std::iter::once(0).chain(breaks()), breaks().chain([len]));
        begins.zip(ends).map(|(begin, end)| self.actions.get(begin..end).unwrap_or_default())
    }

    /// Goes on with another plan.
    pub fn append(&mut self, other: Self) {
        let begin = self.actions.len();
        self.branches.extend(other.branches.iter().map(|at| begin + at));
        self.actions.extend(other.actions);
        other.requeue_after.into_iter().for_each(|delay| self.requeue_within(delay));
    }

    /// Records an event.
    pub fn event(&mut self, notice: Notice) {
        self.actions.push(Action::Event(notice));
    }

    /// Looks again after this long at the latest.
    pub fn requeue_within(&mut self, delay: Duration) {
        self.requeue_after = Some(self.requeue_after.map_or(delay, |earlier| earlier.min(delay)));
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// Whether it changes no object: it does nothing, or tells something in events.
    pub fn writes_nothing(&self) -> bool {
        self.actions.iter().all(|action| matches!(action, Action::Event(_)))
    }

    fn push_create<K: Object>(&mut self, object: &K, announce: Option<Announce>, may_exist: bool) {
        self.actions.push(Action::Create {
            target: Target::of(object),
            body: Arc::new(body(object)),
            announce,
            may_exist,
        });
    }

    fn push_update<K: Object>(&mut self, old: &K, new: &K, subresource: Option<&'static str>) -> bool {
        if are_same(old, new) {
            return false;
        }
        let (before, body) = (body(old), body(new));
        let differs = match subresource {
            Some("status") => {
                ["/metadata/annotations", "/status"].iter().any(|part| before.pointer(part) != body.pointer(part))
            }
            _ => before != body,
        };
        if differs {
            self.actions.push(Action::Update { target: Target::of(new), subresource, before, body });
        }
        differs
    }
}

/// A typed object as JSON. The types of k8s-openapi and of kube-derive always have a JSON form; should
/// another type fail, the server refuses the empty body.
fn body<K: Object>(object: &K) -> Value {
    orch_store::client::encode(object).unwrap_or_default()
}

/// Whether both are written as the same text, which is what most plans find. Trees cost ten times as much.
fn are_same<K: Object>(old: &K, new: &K) -> bool {
    matches!((serde_json::to_vec(old), serde_json::to_vec(new)), (Ok(old), Ok(new)) if old == new)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for action in &self.actions {
            writeln!(f, "{action}")?;
        }
        match self.requeue_after {
            Some(delay) => writeln!(f, "requeue after {delay:?}"),
            None => Ok(()),
        }
    }
}

impl Target {
    /// The object itself.
    pub fn of<K: Object>(object: &K) -> Self {
        Self { gvr: K::gvr(), kind: K::gvk().kind, key: object.key() }
    }

    /// An object that is known as stored only.
    pub fn stored<K: Object>(stored: &Stored) -> Self {
        Self { gvr: K::gvr(), kind: K::gvk().kind, key: stored.key.clone() }
    }

    /// An object of a typed kind, by key.
    pub fn named<K: Object>(key: Key) -> Self {
        Self { gvr: K::gvr(), kind: K::gvk().kind, key }
    }
}

pub(crate) fn propagation_word(propagation: Propagation) -> &'static str {
    match propagation {
        Propagation::Orphan => "orphan",
        Propagation::Background => "background",
        Propagation::Foreground => "foreground",
    }
}
