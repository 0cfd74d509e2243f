//! The executor: the one place where a plan becomes requests.

mod correlate;
mod recorder;
mod slow_start;
#[cfg(test)]
mod tests;

pub use correlate::{Correlator, Record};
pub use recorder::{Recorder, Reporter, Style};
pub use slow_start::{BURST, slow_start};

use crate::{
    Error,
    gate::Journal,
    plan::{Action, Announce, EventKind, Notice, Plan},
    view::Failure,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use orch_api::{Gvr, Key, StatusError};
use orch_store::{
    Client, Stored,
    client::{DeleteOptions, ListOptions, Patch, Propagation, WriteOptions},
};
use serde_json::Value;
use std::{collections::HashSet, sync::Arc};

/// How many deletes, or patches of different objects, are under way at once.
const CONCURRENT: usize = 50;

/// Performs plans on behalf of one controller.
#[derive(Clone)]
pub struct Executor {
    client: Arc<dyn Client>,
    recorder: Recorder,
    name: &'static str,
}

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Performed {
    /// The first refusal.
    pub error: Option<Error>,
    /// The first refusal of an announced write, for the next observation.
    pub failure: Option<Failure>,
    /// Every refusal.
    pub refusals: Vec<Refusal>,
}

/// A refused write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Of what.
    pub resource: Gvr,
    /// The words of the refusal.
    pub words: String,
}

/// The outcome of one action: what was written.
type Outcome = Result<Option<Arc<Stored>>, StatusError>;

impl Executor {
    /// An executor that writes as the named controller.
    pub fn new(client: Arc<dyn Client>, recorder: Recorder, name: &'static str) -> Self {
        Self { client, recorder, name }
    }

    /// Performs the actions in order: neighbouring creates of one resource in slow-start batches, neighbouring deletes
    /// together, and so neighbouring patches of different objects. After a refusal only reports of status go on, and other
    /// branches. What is written is noted for the consistency gate as soon as it is answered.
    pub async fn perform(&self, plan: &Plan, journal: &Journal) -> Performed {
        let mut performed = Performed::default();
        let mut parts = plan.parts();
        let trunk = parts.next().unwrap_or_default();
        let refused = self.part(trunk, false, journal, &mut performed).await;
        for branch in parts {
            self.part(branch, refused, journal, &mut performed).await;
        }
        performed
    }

    /// Performs what depends on each other; returns whether anything was refused.
    async fn part(&self, part: &[Action], mut refused: bool, journal: &Journal, performed: &mut Performed) -> bool {
        for group in part.chunk_by(|a, b| class(a).is_some() && class(a) == class(b)) {
            if refused && !group.iter().all(Action::reports) {
                continue;
            }
            let outcomes = match group.first().and_then(class) {
                Some(Class::Create(_)) => slow_start(group, |action| self.one(action, journal).boxed()).await,
                Some(Class::Delete) => self.together(group, journal).await,
                Some(Class::Patch) if are_different(group) => self.together(group, journal).await,
                Some(Class::Patch) | None => self.in_turn(group, journal).await,
            };
            for (action, outcome) in outcomes {
                refused |= outcome.is_err();
                performed.note(action, outcome);
            }
        }
        refused
    }

    async fn together<'a>(&'a self, group: &'a [Action], journal: &'a Journal) -> Vec<(&'a Action, Outcome)> {
        let requests: Vec<BoxFuture<'a, Outcome>> =
            group.iter().map(|action| self.one(action, journal).boxed()).collect();
        let outcomes: Vec<Outcome> = stream::iter(requests).buffered(CONCURRENT).collect().await;
        group.iter().zip(outcomes).collect()
    }

    async fn in_turn<'a>(&self, group: &'a [Action], journal: &Journal) -> Vec<(&'a Action, Outcome)> {
        let mut outcomes = Vec::with_capacity(group.len());
        for action in group {
            outcomes.push((action, self.one(action, journal).await));
        }
        outcomes
    }

    async fn one(&self, action: &Action, journal: &Journal) -> Outcome {
        let outcome = self.request(action).await;
        if let (Some(gvr), Ok(Some(stored))) = (action.resource(), &outcome) {
            journal.note(gvr, stored.revision);
        }
        let settled = outcome.as_ref().is_err_and(|error| is_settled(action, error));
        if let Some(announce) = announce(action).filter(|_| !settled) {
            self.announce(announce, &outcome);
        }
        if settled { Ok(None) } else { outcome }
    }

    async fn request(&self, action: &Action) -> Outcome {
        let write = WriteOptions { field_manager: self.name.to_owned(), ..WriteOptions::default() };
        match action {
            Action::Create { target, body, .. } => {
                self.client.create(&target.gvr, &target.key, None, Value::clone(body), &write).await.map(Some)
            }
            Action::Update { target, subresource, body, .. } => {
                self.client.update(&target.gvr, &target.key, *subresource, body.clone(), &write).await.map(Some)
            }
            Action::Patch { target, subresource, patch } => {
                self.client.patch(&target.gvr, &target.key, *subresource, patch.clone(), &write).await.map(Some)
            }
            Action::ApplyStatus { target, manager, body } => {
                let write = WriteOptions { field_manager: (*manager).to_owned(), force: true, ..write };
                let patch = Patch::Apply(body.clone());
                self.client.patch(&target.gvr, &target.key, Some("status"), patch, &write).await.map(Some)
            }
            Action::Delete { target, options, .. } => {
                self.client.delete(&target.gvr, &target.key, options).await.map(Some)
            }
            Action::DeleteAll { gvr, namespace } => {
                let select = ListOptions { namespace: namespace.clone(), ..ListOptions::default() };
                // Some kinds are orphaned by default; what is emptied shall keep nothing.
                let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
                self.client.delete_collection(gvr, &select, &options).await.map(|()| None)
            }
            Action::Event(notice) => {
                self.recorder.record(notice.clone());
                Ok(None)
            }
        }
    }

    fn announce(&self, announce: &Announce, outcome: &Outcome) {
        let (kind, (reason, message), about) = match (outcome, &announce.success) {
            (Ok(Some(stored)), Some(success)) => (EventKind::Normal, success, stored.key.name.to_string()),
            (Err(error), _) => (EventKind::Warning, &announce.failure, error.message().to_owned()),
            _ => return,
        };
        let regarding = announce.regarding.clone();
        let message = message.replace("{}", &about);
        self.recorder.record(Notice { regarding, kind, reason: (*reason).into(), message });
    }
}

impl Performed {
    fn note(&mut self, action: &Action, outcome: Outcome) {
        let Err(error) = outcome else { return };
        if let Some(announce) = announce(action).filter(|_| self.failure.is_none()) {
            let reason = announce.failure.0.to_owned();
            self.failure = Some(Failure { reason, message: error.message().to_owned() });
        }
        if let Some(resource) = action.resource().cloned() {
            self.refusals.push(Refusal { resource, words: error.message().to_owned() });
        }
        self.error.get_or_insert(error.into());
    }
}

/// What is performed together. Creates of one resource are, so that a pod is made after the claims that it needs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class<'a> {
    Create(&'a Gvr),
    Delete,
    Patch,
}

fn class(action: &Action) -> Option<Class<'_>> {
    match action {
        Action::Create { target, .. } => Some(Class::Create(&target.gvr)),
        Action::Delete { .. } => Some(Class::Delete),
        Action::Patch { subresource: None, .. } => Some(Class::Patch),
        _ => None,
    }
}

/// Whether no object is patched twice.
fn are_different(group: &[Action]) -> bool {
    let mut seen = HashSet::new();
    group.iter().all(|action| match action {
        Action::Patch { target, .. } => seen.insert((&target.gvr, &target.key)),
        _ => true,
    })
}

fn announce(action: &Action) -> Option<&Announce> {
    match action {
        Action::Create { announce, .. } | Action::Delete { announce, .. } => announce.as_ref(),
        _ => None,
    }
}

/// Whether the refusal says that nothing is left to do.
fn is_settled(action: &Action, error: &StatusError) -> bool {
    match action {
        Action::Create { may_exist, .. } => is_terminating(error) || (*may_exist && error.is_already_exists()),
        Action::Delete { .. } | Action::DeleteAll { .. } => error.is_not_found(),
        Action::Update { .. } | Action::Patch { .. } => error.is_not_found(),
        _ => false,
    }
}

/// Whether a create was refused because its namespace is being deleted: trying again is of no use.
fn is_terminating(error: &StatusError) -> bool {
    let causes = error.details().and_then(|d| d.causes.as_ref());
    causes.is_some_and(|causes| causes.iter().any(|c| c.reason.as_deref() == Some("NamespaceTerminating")))
}

/// The key of an event's namespace: events about cluster-scoped objects live in `default`.
pub(crate) fn event_key(namespace: Option<&str>, name: String) -> Key {
    Key::new(namespace.filter(|n| !n.is_empty()).unwrap_or("default"), name)
}
