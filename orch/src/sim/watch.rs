//! Watches as faults leave them: late, cut off, expired, beginning in the past. Before any fault the events are checked
//! against what was committed: ordered, without gaps, no bookmark ahead of an event.

use super::{client::FaultyClient, injector::Schedule, observer::Observer};
use futures::StreamExt;
use orch_api::{Gvr, StatusError};
use orch_store::{
    Revision, Stored,
    client::{ListOptions, Result, WatchEvent, WatchOptions, WatchStream},
    watched,
};
use std::{collections::VecDeque, sync::Arc};
use tokio::time::Instant;

/// Opens a watch.
pub(super) async fn open(client: &FaultyClient, resource: &Gvr, options: &WatchOptions) -> Result<WatchStream> {
    let mut first = VecDeque::new();
    let mut inner_from = None;
    let begins = options.initial_events || options.after.is_none();
    if begins {
        let list = ListOptions {
            namespace: options.namespace.clone(),
            labels: options.labels.clone(),
            fields: options.fields.clone(),
            ..ListOptions::default()
        };
        if let Some((page, until)) = client.past_page(resource, &list).await {
            let at = page.revision;
            client.note(format_args!("{} of {} begin at r{at}", resource.group_resource(), client.life.who));
            first.extend(page.items.into_iter().map(WatchEvent::Added));
            if options.initial_events {
                first.push_back(WatchEvent::Bookmark { revision: at, initial_events_end: true });
            }
            inner_from = Some((at, until));
        }
    }
    let inner = match inner_from {
        None => client.inner.watch(resource, options).await?,
        Some((at, until)) => {
            let (client, resource) = (client.inner.clone(), resource.clone());
            let options = WatchOptions { after: Some(at), initial_events: false, ..options.clone() };
            let later = async move {
                tokio::time::sleep_until(until).await;
                match client.watch(&resource, &options).await {
                    Ok(events) => events,
                    Err(error) => futures::stream::once(async { Err(error) }).boxed(),
                }
            };
            futures::stream::once(later).flatten().boxed()
        }
    };
    let whole = options.namespace.is_empty() && options.labels.is_empty() && options.fields.is_empty();
    let last = inner_from.map(|(at, _)| at).or(options.after.filter(|_| !begins));
    let watch = Watch {
        check: client.observer.clone().filter(|_| whole).map(|observer| Check::new(observer, resource, last)),
        schedule: client.injector.subscribe(),
        opened: Instant::now(),
        client: client.clone(),
        first,
        inner: Some(inner),
    };
    Ok(futures::stream::unfold(watch, |mut watch| async move { Some((watch.next().await?, watch)) }).boxed())
}

struct Watch {
    client: FaultyClient,
    schedule: watched::Receiver<Schedule>,
    opened: Instant,
    /// What comes before anything of `inner`.
    first: VecDeque<WatchEvent>,
    /// `None` once the watch has ended.
    inner: Option<WatchStream>,
    check: Option<Check>,
}

impl Watch {
    async fn next(&mut self) -> Option<Result<WatchEvent>> {
        loop {
            if let Some(event) = self.first.pop_front() {
                return self.deliver(Ok(event)).await;
            }
            let cut = self.client.injector.next_cut(&self.client.life.who, self.opened);
            let inner = self.inner.as_mut()?;
            tokio::select! {
                biased;
                _ = self.client.life.ended() => {
                    self.inner = None;
                    return None;
                }
                changed = self.schedule.changed() => if changed.is_err() { return None },
                expire = until(cut) => {
                    self.inner = None;
                    return expire.then(|| Err(expired()));
                }
                event = inner.next() => {
                    let Some(event) = event else {
                        self.inner = None;
                        return None;
                    };
                    if let (Some(check), Ok(event)) = (&mut self.check, &event) {
                        check.event(event);
                    }
                    return self.deliver(event).await;
                }
            }
        }
    }

    /// The event, as late as planned; or the end of the watch in its place.
    async fn deliver(&mut self, event: Result<WatchEvent>) -> Option<Result<WatchEvent>> {
        let who = self.client.life.who.clone();
        let transit = self.client.injector.transit(&who);
        if !transit.is_zero() {
            tokio::time::sleep(transit).await;
        }
        while let Some(held) = self.client.injector.held_until(&who) {
            tokio::time::sleep_until(held).await;
        }
        let Some(object) = event.as_ref().ok().and_then(WatchEvent::object) else { return Some(event) };
        if let Some(pause) = self.client.injector.misses(&who) {
            self.client.note(format_args!("{who} does not see r{} of {}", object.revision, object.key));
            self.client.life.close_gate(pause);
            self.inner = None;
            self.first.clear();
            return Some(Err(expired()));
        }
        self.tell(object);
        Some(event)
    }

    fn tell(&self, object: &Stored) {
        if let Some(observer) = &self.client.observer {
            observer.tell(&self.client.life.who, &object.meta.uid, object.revision);
        }
    }
}

/// Checks the events of one watch of a whole resource.
struct Check {
    observer: Arc<Observer>,
    prefix: String,
    /// Everything up to here was delivered; `None` until the initial events have ended.
    last: Option<Revision>,
}

impl Check {
    fn new(observer: Arc<Observer>, resource: &Gvr, last: Option<Revision>) -> Self {
        let prefix = match (&*resource.group, &*resource.resource) {
            ("", resource) | ("events.k8s.io", resource @ "events") => format!("/registry/{resource}/"),
            (group, resource) => format!("/registry/{group}/{resource}/"),
        };
        Self { observer, prefix, last }
    }

    fn event(&mut self, event: &WatchEvent) {
        let (at, upto) = match event {
            WatchEvent::Bookmark { revision, initial_events_end: true } => {
                self.last = Some(*revision);
                return;
            }
            // A bookmark covers its own revision; an event is that of its own.
            WatchEvent::Bookmark { revision, .. } => (*revision, revision.next()),
            event => (event.revision(), event.revision()),
        };
        let Some(last) = self.last else { return };
        if at < last {
            self.observer.accuse("watches", format!("{} went back from r{last} to r{at}", self.prefix));
        }
        if let Some((missed, key)) = self.observer.missed(&self.prefix, last, upto) {
            self.observer.accuse("watches", format!("a watch at r{at} has not shown r{missed} of {key}"));
        }
        self.last = Some(last.max(at));
    }
}

fn expired() -> StatusError {
    StatusError::expired("injected: the history of the watch is gone")
}

/// Resolves at a cut, with whether it costs the history.
async fn until(cut: Option<(Instant, bool)>) -> bool {
    match cut {
        Some((at, expire)) => {
            tokio::time::sleep_until(at).await;
            expire
        }
        None => std::future::pending().await,
    }
}
