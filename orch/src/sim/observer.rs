//! [`Observer`]: sees every commit in the order of revisions, writes the history, and asks the oracles.

use super::{
    history::{self, History},
    knowledge::Knowledge,
    oracle::{Judge, Oracle, Violation},
    state::{Seen, State, Verb, Write},
};
use orch_store::{Revision, backend::Txn};
use parking_lot::Mutex;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{sync::Notify, time::Instant};

tokio::task_local! {
    /// On whose behalf this task speaks to the API server at the moment.
    pub(super) static OPERATION: Operation;
}

/// A request under way.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) who: Arc<str>,
    pub(super) subresource: String,
    /// The network says it once more.
    pub(super) repeated: bool,
}

/// How often who did what to which kind.
pub type Tally = BTreeMap<(String, Verb, String), u64>;

/// Sees every commit. Shared by the whole simulation.
pub(super) struct Observer {
    inner: Mutex<Inner>,
    origin: Instant,
    /// Told at every write that somebody may wait for.
    pub(super) wrote: Notify,
    /// Told once when there are more writes than any cluster that works would make.
    pub(super) ran_away: Notify,
    limit: u64,
}

struct Inner {
    state: State,
    history: History,
    knowledge: Knowledge,
    oracles: Vec<Box<dyn Oracle>>,
    violations: Vec<Violation>,
    /// Which keys each commit touched.
    log: BTreeMap<Revision, Vec<Arc<str>>>,
    tally: Tally,
    counting: bool,
    /// Writes that somebody may wait for.
    writes: u64,
    last: Option<(Instant, String)>,
    revision: Option<Revision>,
}

impl Observer {
    pub(super) fn new(oracles: Vec<Box<dyn Oracle>>, limit: u64) -> Arc<Self> {
        let inner = Inner {
            state: State::default(),
            history: History::default(),
            knowledge: Knowledge::default(),
            oracles,
            violations: Vec::new(),
            log: BTreeMap::new(),
            tally: Tally::new(),
            counting: false,
            writes: 0,
            last: None,
            revision: None,
        };
        Arc::new(Self {
            inner: Mutex::new(inner),
            origin: Instant::now(),
            wrote: Notify::new(),
            ran_away: Notify::new(),
            limit,
        })
    }

    /// The virtual time since the start.
    pub(super) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// From now on writes are counted.
    pub(super) fn count(&self) {
        let mut inner = self.inner.lock();
        inner.counting = true;
        inner.tally.clear();
    }

    /// A line about something else than a write.
    pub(super) fn note(&self, words: impl std::fmt::Display) {
        self.inner.lock().history.add(self.now(), words);
    }

    /// A watch of `who` delivered an object.
    pub(super) fn tell(&self, who: &Arc<str>, uid: &Arc<str>, revision: Revision) {
        let at = self.now();
        self.inner.lock().knowledge.tell(who, uid, revision, at);
    }

    /// Somebody created an object and was told so.
    pub(super) fn made(&self, who: &Arc<str>, uid: &Arc<str>) {
        self.inner.lock().knowledge.make(who, uid);
    }

    /// The loop begins anew.
    pub(super) fn forget(&self, who: &str) {
        self.inner.lock().knowledge.forget(who);
    }

    /// Something is wrong that no oracle saw.
    pub(super) fn accuse(&self, oracle: &'static str, words: String) {
        let at = self.now();
        let mut inner = self.inner.lock();
        inner.history.add(at, format_args!("VIOLATION {oracle}: {words}"));
        inner.violations.push(Violation { oracle, at, words });
    }

    /// Whether a commit after `after` and up to `upto` touched a key with this prefix that is not `but`.
    pub(super) fn missed(&self, prefix: &str, after: Revision, upto: Revision) -> Option<(Revision, Arc<str>)> {
        if upto <= after.next() {
            return None;
        }
        let inner = self.inner.lock();
        let between = inner.log.range(after.next()..upto);
        between
            .filter_map(|(revision, keys)| Some((*revision, keys.iter().find(|k| k.starts_with(prefix))?.clone())))
            .next()
    }

    /// A transaction was committed.
    pub(super) fn committed(&self, revision: Revision, txn: &Txn) {
        let at = self.now();
        let operation = OPERATION.try_with(Operation::clone).ok();
        let who = operation.as_ref().map_or_else(|| Arc::from("apiserver"), |operation| operation.who.clone());
        let repeated = operation.as_ref().is_some_and(|operation| operation.repeated);
        let subresource = operation.map(|operation| operation.subresource).unwrap_or_default();
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        if let Some(before) = inner.revision.replace(revision).filter(|before| before.next() != revision) {
            let words = format!("revision {revision} follows {before}");
            inner.violations.push(Violation { oracle: "revisions", at, words });
        }
        inner.log.insert(revision, txn.writes.iter().map(|write| write.key.clone()).collect());
        for write in &txn.writes {
            let new = write.value.as_ref().and_then(|value| Seen::read(&write.key, &value.at(revision), revision));
            let old = match &new {
                Some(_) => inner.state.at(&write.key).cloned(),
                None => inner.state.remove(&write.key),
            };
            let new = new.map(Arc::new);
            if let Some(new) = &new {
                inner.state.put(new.clone());
            }
            let verb = match (&old, &new) {
                (None, _) => Verb::Create,
                (Some(_), Some(_)) => Verb::Update,
                (Some(_), None) => Verb::Delete,
            };
            let write =
                Write { revision, at, who: who.clone(), subresource: subresource.clone(), repeated, verb, old, new };
            inner.take(&write);
            if !write.is_noise() {
                inner.writes += 1;
                self.wrote.notify_one();
                if inner.writes == self.limit {
                    self.ran_away.notify_one();
                }
            }
        }
    }

    /// When the last write was that somebody may wait for, and what it was.
    pub(super) fn last(&self) -> Option<(Instant, String)> {
        self.inner.lock().last.clone()
    }

    /// Reads the state.
    pub(super) fn read<T>(&self, reader: impl FnOnce(&State) -> T) -> T {
        reader(&self.inner.lock().state)
    }

    /// What there is to say in the end.
    pub(super) fn take(&self) -> (History, Vec<Violation>, Tally) {
        let mut inner = self.inner.lock();
        (inner.history.clone(), std::mem::take(&mut inner.violations), inner.tally.clone())
    }
}

impl Inner {
    fn take(&mut self, write: &Write) {
        let Some(object) = write.object() else { return };
        let noise = write.is_noise();
        let part = if write.subresource.is_empty() { String::new() } else { format!("/{}", write.subresource) };
        let words = match (&write.old, &write.new) {
            _ if matches!(&*object.kind, "Lease") => String::new(),
            (None, Some(new)) if new.kind == "Event" => format!(" {}: {}", new.text("/reason"), new.text("/message")),
            (Some(old), Some(new)) => history::change(&old.value, &new.value),
            (None, Some(new)) => history::change(&Value::Null, &creation(&new.value)),
            _ => String::new(),
        };
        let line = format!("r{} {} {}{part} by {}:{words}", write.revision, write.verb, object, write.who);
        if !noise {
            self.last = Some((Instant::now(), line.clone()));
        }
        self.history.add(write.at, line);
        if noise {
            return;
        }
        if self.counting {
            let key = (write.who.to_string(), write.verb, object.kind.clone());
            *self.tally.entry(key).or_default() += 1;
        }
        let judge = Judge { state: &self.state, knowledge: &self.knowledge };
        for oracle in &mut self.oracles {
            if let Err(words) = oracle.judge(write, &judge) {
                let words = format!("{words} (r{} by {})", write.revision, write.who);
                self.history.add(write.at, format_args!("VIOLATION {}: {words}", oracle.name()));
                self.violations.push(Violation { oracle: oracle.name(), at: write.at, words });
            }
        }
    }
}

/// What is said of a new object: whose it is and what it wants.
fn creation(value: &Value) -> Value {
    let owner = value.pointer("/metadata/ownerReferences/0/name").cloned().unwrap_or_default();
    let mut said = serde_json::Map::new();
    for (name, part) in [
        ("owner", owner),
        ("replicas", value.pointer("/spec/replicas").cloned().unwrap_or_default()),
        ("finalizers", value.pointer("/metadata/finalizers").cloned().unwrap_or_default()),
    ] {
        if !part.is_null() {
            said.insert(name.into(), part);
        }
    }
    Value::Object(said)
}
