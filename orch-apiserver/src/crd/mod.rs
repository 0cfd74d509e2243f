//! Custom kinds in the server: follows the CustomResourceDefinitions that are stored, gives them their names and
//! conditions, serves their versions, and lets them go when their objects are gone (the loops that upstream runs in
//! `apiextensions-apiserver/pkg/controller`).
//!
//! ```text
//! definition changed ─► names, conditions (pure) ─► rows into the Registry ─► status written: Established
//!            deleted ─► objects deleted ─► finalizer taken ─► rows out of the Registry
//! ```
//!
//! One task sees every change in its order. A version is served before its definition says so.

pub(crate) mod cleanup;
mod convert;
mod serve;
mod status;

pub use convert::Converter;

use crate::core::{Core, json};
use cleanup::DEFINITIONS;
use futures::StreamExt;
use orch_api::{Key, Kind, StatusError, crd::names::Taken};
use orch_store::{
    cache::WatchStart,
    client::{ReadAt, WatchEvent, WriteOptions},
};
use serde_json::Value;
use serve::Served;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;

/// How long to wait before a watch that ended is begun again, and before the first time that something that failed is tried
/// again; twice as long each time after that.
const PAUSE: Duration = Duration::from_millis(50);
/// No longer than that.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long to wait after so many failures in a row.
fn pause(failures: u32) -> Duration {
    PAUSE.saturating_mul(1 << failures.min(16)).min(LONGEST_PAUSE)
}

/// Serves what is defined already, and follows changes from then on.
pub(crate) async fn start(core: &Arc<Core>) -> Result<(), StatusError> {
    let Some(kind) = core.registry.find(&DEFINITIONS) else { return Ok(()) };
    let (again, retries) = mpsc::unbounded_channel();
    let mut follower = Follower {
        core: core.clone(),
        kind: kind.clone(),
        known: BTreeMap::new(),
        ending: BTreeSet::new(),
        served: Served::default(),
        failures: BTreeMap::new(),
        again,
    };
    for stored in core.storage.all(&kind, "").await? {
        let definition: Value = stored.parse()?;
        follower.known.insert(stored.key.name.to_string(), Arc::new(definition));
    }
    for name in follower.known.keys().cloned().collect::<Vec<_>>() {
        follower.sync(&name).await;
    }
    core.ambient.tasks.spawn(follower.follow(retries));
    Ok(())
}

/// Says of a definition that it is going.
pub(crate) fn terminating(definition: &mut Value, now: jiff::Timestamp) {
    let words = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    status::set(definition, "Terminating", "True", "InstanceDeletionPending", words, now);
}

struct Follower {
    core: Arc<Core>,
    kind: Arc<Kind>,
    known: BTreeMap<String, Arc<Value>>,
    /// Definitions whose objects are being deleted.
    ending: BTreeSet<String>,
    served: Served,
    /// How often in a row each definition could not be served.
    failures: BTreeMap<String, u32>,
    /// Where definitions whose pause is over are said.
    again: mpsc::UnboundedSender<String>,
}

impl Follower {
    async fn follow(mut self, mut retries: mpsc::UnboundedReceiver<String>) {
        let resource = self.core.storage.resource(&self.kind);
        while let Ok(mut events) = resource.watch(WatchStart::Initial(ReadAt::Any), None, None) {
            let mut initial: Option<BTreeSet<String>> = Some(BTreeSet::new());
            loop {
                let event = tokio::select! {
                    biased;
                    event = events.next() => event,
                    Some(name) = retries.recv() => {
                        self.sync(&name).await;
                        continue;
                    }
                };
                let Some(Ok(event)) = event else { break };
                match event {
                    WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                        let name = object.key.name.to_string();
                        if let Some(seen) = &mut initial {
                            seen.insert(name.clone());
                        }
                        if let Ok(definition) = object.parse::<Value>() {
                            self.known.insert(name.clone(), Arc::new(definition));
                            self.sync(&name).await;
                        }
                    }
                    WatchEvent::Deleted(object) => self.gone(&object.key.name).await,
                    WatchEvent::Bookmark { .. } => {
                        let Some(seen) = initial.take() else { continue };
                        let lost: Vec<String> = self.known.keys().filter(|n| !seen.contains(*n)).cloned().collect();
                        for name in lost {
                            self.gone(&name).await;
                        }
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Names that others have are free again for those that wait for them.
    async fn gone(&mut self, name: &str) {
        self.ending.remove(name);
        self.failures.remove(name);
        self.served.remove(&self.core, name);
        let Some(old) = self.known.remove(name) else { return };
        self.sync_others(name, json::text(&old, &["spec", "group"])).await;
    }

    async fn sync_others(&mut self, name: &str, group: &str) {
        let others: Vec<String> = self
            .known
            .iter()
            .filter(|(other, d)| *other != name && json::text(d, &["spec", "group"]) == group)
            .filter(|(_, d)| !status::is_true(d, "NamesAccepted"))
            .map(|(other, _)| other.clone())
            .collect();
        for other in others {
            self.sync(&other).await;
        }
    }

    /// Brings one definition to where it should be.
    async fn sync(&mut self, name: &str) {
        let Some(definition) = self.known.get(name).cloned() else { return };
        match self.try_sync(name, &definition).await {
            Err(error) if !error.is_not_found() => {
                tracing::warn!(definition = name, %error, "a custom resource definition could not be served");
                self.try_again(name);
            }
            _ => drop(self.failures.remove(name)),
        }
    }

    fn try_again(&mut self, name: &str) {
        let failures = self.failures.entry(name.to_owned()).or_default();
        let (again, name, pause) = (self.again.clone(), name.to_owned(), pause(*failures));
        *failures += 1;
        self.core.ambient.tasks.spawn(async move {
            tokio::time::sleep(pause).await;
            let _ended = again.send(name);
        });
    }

    async fn try_sync(&mut self, name: &str, definition: &Arc<Value>) -> Result<(), StatusError> {
        let group = json::text(definition, &["spec", "group"]);
        let mut taken = Taken::default();
        let others = self.known.iter().filter(|(other, _)| *other != name);
        others.filter(|(_, d)| json::text(d, &["spec", "group"]) == group).for_each(|(_, d)| taken.add(d));
        let now = self.core.ambient.clock.now();
        let decided = status::decided(definition, &taken, now);
        self.served.put(&self.core, name, &decided).await?;
        if json::at(&decided, &["status"]) != json::at(definition, &["status"]) {
            // The event of this write comes back here and finds nothing to do.
            let call = cleanup::call(self.kind.clone(), Key::cluster(name), Some("status"));
            let change = |live: &Value| Ok(status::decided(live, &taken, now));
            self.core.write(&call, cleanup::QUIET, &WriteOptions::default(), &change).await?;
            self.known.insert(name.to_owned(), Arc::new(decided));
        }
        if cleanup::is_due(definition) && self.ending.insert(name.to_owned()) {
            self.core.ambient.tasks.spawn(cleanup::run(self.core.clone(), Value::clone(definition)));
        }
        Ok(())
    }
}
