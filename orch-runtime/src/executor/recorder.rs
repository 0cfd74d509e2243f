//! [`Recorder`]: writes events in the background; a lost event never fails a reconcile.

use super::correlate::{Correlator, Record};
use crate::plan::Notice;
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Event, EventSource},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use orch_api::{Key, Object};
use orch_store::{
    Ambient, Client, ClientExt,
    client::{Patch, WriteOptions},
};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Events that wait to be written; more are dropped.
const BACKLOG: usize = 1000;

/// Records events on behalf of one component. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    queue: mpsc::Sender<Notice>,
}

impl Recorder {
    /// A recorder whose events are written by a task of the ambience.
    pub fn new(client: Arc<dyn Client>, ambient: &Ambient, component: &'static str) -> Self {
        let (queue, mut notices) = mpsc::channel(BACKLOG);
        let clock = ambient.clock.clone();
        ambient.tasks.spawn(async move {
            let mut correlator = Correlator::default();
            while let Some(notice) = notices.recv().await {
                let now = clock.now();
                let record = correlator.correlate(&notice, now);
                if let Err(error) = write(&*client, component, &notice, record, now).await {
                    tracing::debug!(%error, reason = notice.reason, "an event was not written");
                }
            }
        });
        Self { queue }
    }

    /// Records an event, unless too many wait already.
    pub fn record(&self, notice: Notice) {
        if self.queue.try_send(notice).is_err() {
            tracing::debug!("an event was dropped");
        }
    }
}

async fn write(
    client: &dyn Client,
    component: &'static str,
    notice: &Notice,
    record: Record,
    now: Timestamp,
) -> Result<(), orch_api::StatusError> {
    match record {
        Record::Drop => Ok(()),
        Record::New { key, message } => {
            client.add(&event(component, notice, key, message, 1, now, now)).await.map(drop)
        }
        Record::Again { key, message, count, first } => {
            let patch = json!({ "count": count, "lastTimestamp": Time(now), "message": message });
            let patched = client.patch(&Event::gvr(), &key, None, Patch::Merge(patch), &WriteOptions::default()).await;
            match patched {
                // The event has expired: say it anew.
                Err(error) if error.is_not_found() => {
                    client.add(&event(component, notice, key, message, count, first, now)).await.map(drop)
                }
                other => other.map(drop),
            }
        }
    }
}

fn event(
    component: &'static str,
    notice: &Notice,
    key: Key,
    message: String,
    count: i32,
    first: Timestamp,
    last: Timestamp,
) -> Event {
    Event {
        metadata: ObjectMeta {
            name: Some(key.name.to_string()),
            namespace: Some(key.namespace.to_string()),
            ..ObjectMeta::default()
        },
        involved_object: notice.regarding.clone(),
        reason: Some(notice.reason.clone()),
        message: Some(message),
        type_: Some(notice.kind.as_str().into()),
        count: Some(count),
        first_timestamp: Some(Time(first)),
        last_timestamp: Some(Time(last)),
        source: Some(EventSource { component: Some(component.into()), host: None }),
        reporting_component: Some(component.into()),
        reporting_instance: Some(String::new()),
        ..Event::default()
    }
}
