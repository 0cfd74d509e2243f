//! [`World`]: what a scenario holds: a client, the means to wait, and the means to make trouble.

use super::{
    fault::{Fault, FaultPlan},
    host::Host,
    injector::Death,
    normal::Normal,
    state::State,
    timeline,
};
use orch_api::{Gvk, Gvr, Key, Reason, StatusError, kinds};
use orch_store::{
    Client, Stored,
    client::{DeleteOptions, Patch, WriteOptions},
};
use serde_json::Value;
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::Instant;

/// A simulated cluster that runs. Cheap to clone.
#[derive(Clone)]
pub struct World {
    pub(super) host: Arc<Host>,
    pub(super) plan: FaultPlan,
    pub(super) client: Arc<dyn Client>,
    pub(super) patience: Patience,
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// After so long without a write the cluster has come to rest. Longer than any timer that it may wait for.
    pub quiet: Duration,
    /// It must have come to rest after so long.
    pub limit: Duration,
    /// And then stay at rest for so long.
    pub rest: Duration,
}

impl Patience {
    /// For hundreds of runs: as long as the longest timer of a cluster in which nothing is left broken.
    pub fn short() -> Self {
        let seconds = Duration::from_secs;
        Self { quiet: seconds(330), limit: seconds(2400), rest: seconds(300) }
    }
}

impl Default for Patience {
    fn default() -> Self {
        // Taints are tolerated for 300 s, and containers that crash are started again within 300 s.
        let seconds = Duration::from_secs;
        Self { quiet: seconds(400), limit: seconds(3600), rest: seconds(600) }
    }
}

/// The cluster does not come to rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restless {
    /// The last writes.
    pub writes: Vec<String>,
}

impl std::error::Error for Restless {}

impl fmt::Display for Restless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "somebody still writes:")?;
        self.writes.iter().try_for_each(|write| writeln!(f, "  {write}"))
    }
}

/// Acting as a user.
impl World {
    /// A client that meets no faults.
    pub fn client(&self) -> Arc<dyn Client> {
        self.client.clone()
    }

    /// Creates an object, or replaces the spec (or the data) of the one that is there.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn put(&self, object: Value) -> Result<Arc<Stored>, StatusError> {
        let (gvr, key) = self.name(&object)?;
        let made = self.client.create(&gvr, &key, None, object.clone(), &options()).await;
        match made {
            Err(error) if error.is_already_exists() => {
                let mut patch = serde_json::Map::new();
                for part in ["spec", "data"] {
                    object.get(part).map(|value| patch.insert(part.into(), value.clone()));
                }
                self.client.patch(&gvr, &key, None, Patch::Merge(Value::Object(patch)), &options()).await
            }
            other => other,
        }
    }

    /// Merges a JSON merge patch into an object that is named by kind (`apps/v1 Deployment`) and key.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn edit(&self, kind: &str, key: &Key, patch: Value) -> Result<Arc<Stored>, StatusError> {
        self.client.patch(&self.resource(kind)?, key, None, Patch::Merge(patch), &options()).await
    }

    /// Deletes an object, if it is there.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn delete(&self, kind: &str, key: &Key, delete: &DeleteOptions) -> Result<(), StatusError> {
        match self.client.delete(&self.resource(kind)?, key, delete).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Asks for a Pod to be evicted. False when its budget does not allow it, or there is no such Pod.
    ///
    /// # Errors
    /// What the API server says otherwise.
    pub async fn evict(&self, pod: &Key) -> Result<bool, StatusError> {
        let body = serde_json::json!({"apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": &*pod.name, "namespace": &*pod.namespace}});
        match self.client.create(&Gvr::of("", "v1", "pods"), pod, Some("eviction"), body, &options()).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.reason(), Reason::TooManyRequests | Reason::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads everything that the store holds.
    pub fn state<T>(&self, reader: impl FnOnce(&State) -> T) -> T {
        self.host.observer.read(reader)
    }
}

/// Waiting.
impl World {
    /// Lets virtual time pass.
    pub async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Waits until nobody has written for [`Patience::quiet`].
    ///
    /// # Errors
    /// When that takes longer than [`Patience::limit`]: who writes.
    pub async fn settle(&self) -> Result<(), Restless> {
        let begun = Instant::now();
        let mut writes = Vec::new();
        while tokio::time::timeout(self.patience.quiet, self.host.observer.wrote.notified()).await.is_ok() {
            if let Some((_, write)) = self.host.observer.last() {
                writes.push(write);
            }
            if begun.elapsed() > self.patience.limit {
                let from = writes.len().saturating_sub(12);
                return Err(Restless { writes: writes.split_off(from) });
            }
        }
        Ok(())
    }

    /// Watches for a while that nobody writes.
    ///
    /// # Errors
    /// Who does.
    pub async fn rest(&self) -> Result<(), Restless> {
        let write = tokio::time::timeout(self.patience.rest, self.host.observer.wrote.notified()).await;
        match write {
            Err(_) => Ok(()),
            Ok(()) => Err(Restless { writes: self.host.observer.last().map(|(_, write)| write).into_iter().collect() }),
        }
    }

    /// The state with everything left out that may differ between two runs.
    pub fn normal(&self) -> Normal {
        self.state(Normal::of)
    }
}

/// Making trouble.
impl World {
    /// From here on times and numbers of the plan count. Before that, nothing goes wrong.
    pub fn begin(&self) {
        self.host.observer.count();
        self.host.observer.note("begin");
        self.host.injector.begin();
        for fault in &self.plan.faults {
            timeline::plan(&self.host, fault.clone());
        }
    }

    /// Adds a fault, whose times count from [`World::begin`]; see [`World::now_ms`].
    pub fn inject(&self, fault: Fault) {
        self.host.injector.add(fault.clone());
        timeline::plan(&self.host, fault);
    }

    /// Milliseconds since the beginning.
    pub fn now_ms(&self) -> u64 {
        self.host.injector.elapsed_ms()
    }

    /// Cuts a loop or a node off for a time.
    pub fn partition(&self, who: &str, lasts: Duration) {
        let for_ms = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
        self.inject(Fault::Partition { who: who.into(), at_ms: self.now_ms(), for_ms });
    }

    /// Kills a loop or a node's agent, which begins anew at once.
    pub fn crash(&self, who: &str) {
        self.host.crash(who, Death::default());
    }

    /// The node loses its power for ever.
    pub fn lose_node(&self, node: &str) {
        self.inject(Fault::NodeLoss { node: node.into(), at_ms: self.now_ms(), for_ms: 0 });
    }

    /// Ends the API server and starts another, which is back after a while.
    pub fn restart_server(&self, away: Duration) {
        let for_ms = u64::try_from(away.as_millis()).unwrap_or(u64::MAX).max(1);
        self.inject(Fault::ServerRestart { at_ms: self.now_ms(), for_ms });
    }

    /// How many writes each process has asked for, those included that were refused.
    pub(super) fn tried(&self) -> Vec<(Arc<str>, u64)> {
        let count = |name: Arc<str>| (name.clone(), self.host.injector.count(&name, super::fault::Class::Write));
        self.names().into_iter().map(count).collect()
    }

    /// The names of everybody whom a fault can concern.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.host.names()
    }
}

/// What the user's writes are known by.
fn options() -> WriteOptions {
    WriteOptions { field_manager: super::fault::USER.into(), ..WriteOptions::default() }
}

/// Names.
impl World {
    /// The resource of `apps/v1 Deployment`, or of a kind that a definition in the store defines.
    fn resource(&self, kind: &str) -> Result<Gvr, StatusError> {
        let (version, kind) = kind.split_once(' ').unwrap_or(("v1", kind));
        let gvk = Gvk::parse(version, kind);
        let built_in = kinds::find_kind(&gvk).map(orch_api::Kind::gvr);
        let found = built_in.or_else(|| self.state(|state| custom(state, &gvk)));
        found.ok_or_else(|| StatusError::bad_request(format!("there is no kind {version} {kind}")))
    }

    /// The resource and the key of an object.
    fn name(&self, object: &Value) -> Result<(Gvr, Key), StatusError> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let gvr = self.resource(&format!("{} {}", text("/apiVersion"), text("/kind")))?;
        Ok((gvr, Key::new(text("/metadata/namespace"), text("/metadata/name"))))
    }
}

/// The resource of a kind that a definition defines.
fn custom(state: &State, gvk: &Gvk) -> Option<Gvr> {
    let mut definitions = state.of_kind("CustomResourceDefinition");
    let found = definitions.find(|d| d.text("/spec/group") == gvk.group && d.text("/spec/names/kind") == gvk.kind)?;
    let resource = found.text("/spec/names/plural").to_owned().into();
    Some(Gvr { group: gvk.group.clone(), version: gvk.version.clone(), resource })
}
