//! Events about pods and nodes as kubelet writes them: repeated ones are counted on the same object
//! (`client-go/tools/record/events_cache.go`).

use crate::status::time;
use dashmap::DashMap;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use orch_api::{Gvr, Key};
use orch_store::{
    Ambient, Client,
    client::{Patch, WriteOptions},
};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::mpsc;

const EVENTS: Gvr = Gvr::of("", "v1", "events");
/// How long a repeated event is counted on the object of the first one.
const SERIES: SignedDuration = SignedDuration::from_mins(10);
/// Remembered events before old ones are forgotten.
const REMEMBERED: usize = 4096;

/// Whether something is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It is.
    Normal,
    /// It is not.
    Warning,
}

/// Writes events in the background, in order. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Event>,
    ambient: Ambient,
}

#[derive(Debug)]
struct Event {
    about: ObjectReference,
    severity: Severity,
    reason: &'static str,
    message: String,
    at: Timestamp,
}

struct Seen {
    name: String,
    count: u32,
    last: Timestamp,
}

impl Recorder {
    /// A recorder of the node agent.
    pub fn new(client: Arc<dyn Client>, node: String, ambient: Ambient) -> Self {
        Self::of("kubelet", client, node, ambient)
    }

    /// A recorder of a component of a node.
    pub fn of(component: &'static str, client: Arc<dyn Client>, node: String, ambient: Ambient) -> Self {
        let (queue, mut events) = mpsc::channel::<Event>(1024);
        let seen = DashMap::new();
        let (tasks, writer) = (ambient.tasks.clone(), ambient.clone());
        tasks.spawn(async move {
            while let Some(event) = events.recv().await {
                write(&*client, (component, &node), &writer, &seen, event).await;
            }
        });
        Self { queue, ambient }
    }

    /// Records an event; dropped with a trace when the API server is too slow for all of them.
    pub fn record(
        &self,
        about: &ObjectReference,
        severity: Severity,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let message = message.into();
        tracing::debug!(name = about.name, reason, message, "event");
        let event = Event { about: about.clone(), severity, reason, message, at: self.ambient.clock.now() };
        if let Err(error) = self.queue.try_send(event) {
            tracing::warn!(%error, "an event was dropped");
        }
    }
}

async fn write(
    client: &dyn Client,
    (component, node): (&str, &str),
    ambient: &Ambient,
    seen: &DashMap<String, Seen>,
    event: Event,
) {
    let id = format!("{:?}/{}/{}", event.about, event.reason, event.message);
    let namespace = event.about.namespace.clone().unwrap_or_else(|| "default".into());
    if let Some(mut known) = seen.get_mut(&id)
        && event.at.duration_since(known.last) < SERIES
    {
        (known.count, known.last) = (known.count + 1, event.at);
        let patch = json!({"count": known.count, "lastTimestamp": time(event.at)});
        let key = Key::new(namespace.as_str(), known.name.as_str());
        drop(known);
        if client.patch(&EVENTS, &key, None, Patch::Merge(patch), &WriteOptions::default()).await.is_ok() {
            return;
        }
    }
    if seen.len() >= REMEMBERED {
        seen.retain(|_, s| event.at.duration_since(s.last) < SERIES);
    }
    let name = format!("{}.{}", event.about.name.as_deref().unwrap_or_default(), ambient.chance.suffix(16));
    let body = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": event.about,
        "type": if event.severity == Severity::Normal { "Normal" } else { "Warning" },
        "reason": event.reason, "message": event.message,
        "source": {"component": component, "host": node},
        "reportingComponent": component, "reportingInstance": node,
        "firstTimestamp": time(event.at), "lastTimestamp": time(event.at), "count": 1,
    });
    let key = Key::new(namespace.as_str(), name.as_str());
    match client.create(&EVENTS, &key, None, body, &WriteOptions::default()).await {
        Ok(_) => drop(seen.insert(id, Seen { name, count: 1, last: event.at })),
        Err(error) => tracing::debug!(%error, "an event was not written"),
    }
}
