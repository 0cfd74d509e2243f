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

/// How long to wait before a watch that ended is begun again, or a definition that could not be served is tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves what is defined already, and follows changes from then on.
pub(crate) async fn start(core: &Arc<Core>) -> Result<(), StatusError> {
    let Some(kind) = core.registry.find(&DEFINITIONS) else { return Ok(()) };
    let mut follower = Follower {
        core: core.clone(),
        kind: kind.clone(),
        known: BTreeMap::new(),
        ending: BTreeSet::new(),
        served: Served::default(),
    };
    for stored in core.storage.all(&kind, "").await? {
        let definition: Value = stored.parse()?;
        follower.known.insert(stored.key.name.to_string(), Arc::new(definition));
    }
    for name in follower.known.keys().cloned().collect::<Vec<_>>() {
        follower.sync(&name).await;
    }
    core.ambient.tasks.spawn(follower.follow());
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
}

impl Follower {
    async fn follow(mut self) {
        let resource = self.core.storage.resource(&self.kind);
        while let Ok(mut events) = resource.watch(WatchStart::Initial(ReadAt::Any), None, None) {
            let mut initial: Option<BTreeSet<String>> = Some(BTreeSet::new());
            while let Some(Ok(event)) = events.next().await {
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
        if let Err(error) = self.try_sync(name, &definition).await
            && !error.is_not_found()
        {
            tracing::warn!(definition = name, %error, "a custom resource definition could not be served");
        }
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
