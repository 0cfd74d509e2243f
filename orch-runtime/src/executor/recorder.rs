//! [`Recorder`]: writes events in the background; a lost event never fails a reconcile.

use super::correlate::{Correlator, Record};
use crate::plan::Notice;
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Event, EventSeries, EventSource},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time},
};
use orch_api::{Key, Object};
use orch_store::{
    Ambient, Client, Tasks,
    client::{Patch, WriteOptions},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// Events that wait to be written; more are dropped.
const BACKLOG: usize = 1000;

/// How long the events of a loop that has ended may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Who records events, and how.
#[derive(Clone, Debug)]
pub struct Reporter {
    /// The component, such as `kubelet`.
    pub component: &'static str,
    /// The machine or instance; may be empty.
    pub host: String,
    /// How repetitions are written.
    pub style: Style,
}

/// How repetitions of an event are written on the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// By `count` and `lastTimestamp`, as core/v1 has it and most components write it.
    Counted,
    /// By `series`, as events.k8s.io/v1 has it and the scheduler writes it.
    Series,
}

/// Records events on behalf of one component. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    queue: mpsc::Sender<Notice>,
}

impl Recorder {
    /// A recorder whose events are written by a task of the ambience.
    pub fn new(client: Arc<dyn Client>, ambient: &Ambient, component: &'static str) -> Self {
        Self::of(client, ambient, Reporter { component, host: String::new(), style: Style::Counted })
    }

    /// The same for a loop that finishes what it has begun after its ambience was cancelled: what it says then is written,
    /// too. The future resolves when that has happened, once nobody holds the recorder any more.
    pub(crate) fn of_loop(
        client: Arc<dyn Client>,
        ambient: &Ambient,
        component: &'static str,
    ) -> (Self, impl Future<Output = ()> + use<>) {
        let tasks = Tasks::new();
        let recorder = Self::new(client, &Ambient { tasks: tasks.clone(), ..ambient.clone() }, component);
        let last_words = async move {
            if tokio::time::timeout(LAST_WORDS, tasks.ended()).await.is_err() {
                tracing::debug!(component, "its last events took too long and are dropped");
                tasks.stop().await;
            }
        };
        (recorder, last_words)
    }

    /// The same for a reporter of any kind.
    pub fn of(client: Arc<dyn Client>, ambient: &Ambient, reporter: Reporter) -> Self {
        let (queue, mut notices) = mpsc::channel(BACKLOG);
        let clock = ambient.clock.clone();
        ambient.tasks.spawn(async move {
            let mut correlator = Correlator::default();
            while let Some(notice) = notices.recv().await {
                let now = clock.now();
                let record = correlator.correlate(&notice, now);
                if let Err(error) = write(&*client, &reporter, &notice, record, now).await {
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
    reporter: &Reporter,
    notice: &Notice,
    record: Record,
    now: Timestamp,
) -> Result<(), orch_api::StatusError> {
    match record {
        Record::Drop => Ok(()),
        Record::New { key, message } => create(client, event(reporter, notice, key, message, 1, (now, now))).await,
        Record::Again { key, message, count, first } => {
            let patch = match reporter.style {
                Style::Counted => json!({ "count": count, "lastTimestamp": Time(now), "message": message }),
                Style::Series => json!({ "series": series(count, now), "message": message }),
            };
            let patched = client.patch(&Event::gvr(), &key, None, Patch::Merge(patch), &WriteOptions::default()).await;
            match patched {
                // The event has expired: say it anew.
                Err(error) if error.is_not_found() => {
                    create(client, event(reporter, notice, key, message, count, (first, now))).await
                }
                other => other.map(drop),
            }
        }
    }
}

/// Creates an event. Nobody reads the answer, so it is not decoded.
async fn create(client: &dyn Client, event: Event) -> Result<(), orch_api::StatusError> {
    let body = serde_json::to_value(&event).map_err(orch_api::StatusError::internal)?;
    client.create(&Event::gvr(), &event.key(), None, body, &WriteOptions::default()).await.map(drop)
}

fn series(count: i32, now: Timestamp) -> EventSeries {
    EventSeries { count: Some(count), last_observed_time: Some(MicroTime(now)) }
}

fn event(
    reporter: &Reporter,
    notice: &Notice,
    key: Key,
    message: String,
    count: i32,
    (first, last): (Timestamp, Timestamp),
) -> Event {
    let component = reporter.component.to_owned();
    let event = Event {
        metadata: ObjectMeta {
            name: Some(key.name.to_string()),
            namespace: Some(key.namespace.to_string()),
            ..ObjectMeta::default()
        },
        involved_object: notice.regarding.clone(),
        reason: Some(notice.reason.clone()),
        message: Some(message),
        type_: Some(notice.kind.as_str().into()),
        reporting_component: Some(component.clone()),
        reporting_instance: Some(reporter.host.clone()),
        ..Event::default()
    };
    match reporter.style {
        Style::Counted => Event {
            count: Some(count),
            first_timestamp: Some(Time(first)),
            last_timestamp: Some(Time(last)),
            source: Some(EventSource {
                component: Some(component),
                host: Some(reporter.host.clone()).filter(|host| !host.is_empty()),
            }),
            ..event
        },
        // The new API requires an action and an instance.
        Style::Series => Event {
            event_time: Some(MicroTime(first)),
            action: Some(notice.reason.clone()),
            reporting_instance: Some(if reporter.host.is_empty() { component } else { reporter.host.clone() }),
            series: (count > 1).then(|| series(count, last)),
            ..event
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::EventKind;
    use k8s_openapi::api::core::v1::ObjectReference;
    use orch_store::{Informers, backend::MemoryBackend, testing::BareClient};

    async fn recorded(style: Style) -> Arc<Event> {
        let ambient = Ambient::seeded(1);
        let client: Arc<dyn Client> = Arc::new(BareClient::new(Arc::new(MemoryBackend::new()), ambient.clone()));
        let reporter = Reporter { component: "kubelet", host: "node-1".into(), style };
        let recorder = Recorder::of(client.clone(), &ambient, reporter);
        let events = Informers::new(client, ambient).of::<Event>();
        for _ in 0..3 {
            let regarding = ObjectReference { name: Some("web".into()), ..ObjectReference::default() };
            let kind = EventKind::Warning;
            recorder.record(Notice { regarding, kind, reason: "BackOff".into(), message: "again".into() });
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let all = events.list("");
        assert_eq!(all.len(), 1);
        all[0].decode().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn repetitions_are_counted_on_the_first_event() {
        let event = recorded(Style::Counted).await;
        assert_eq!((event.count, &event.series), (Some(3), &None));
        assert_eq!(event.source.as_ref().and_then(|s| s.host.as_deref()), Some("node-1"));
    }

    #[tokio::test(start_paused = true)]
    async fn repetitions_are_a_series_in_the_new_api() {
        let event = recorded(Style::Series).await;
        assert_eq!(event.count, None);
        assert_eq!(event.series.as_ref().and_then(|s| s.count), Some(3));
        assert_eq!((event.action.as_deref(), event.event_time.is_some()), (Some("BackOff"), true));
    }
}
