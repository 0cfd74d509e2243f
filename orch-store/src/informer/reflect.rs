//! The asynchronous shell: keeps an informer's state up with the server.

use super::{
    Informer, Scope,
    state::Change,
    transform::{self, Transform},
};
use crate::{
    Ambient, Client, Revision, Stored,
    client::{ListOptions, Result, WatchEvent, WatchOptions, WatchStream},
};
use futures::{StreamExt, stream::ReadyChunks};
use orch_api::{Gvr, Reason, StatusError};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How many events are applied in one step.
const CHUNK: usize = 256;

/// How long someone waits for a revision before the server is asked how far it is.
const PATIENCE: Duration = Duration::from_millis(10);

/// Where an informer's objects come from.
pub(super) struct Source {
    pub(super) client: Arc<dyn Client>,
    pub(super) resource: Gvr,
    pub(super) scope: Arc<Scope>,
    pub(super) metadata_only: bool,
    pub(super) transform: Option<Transform>,
}

/// What is known of the server's state, and so how to go on.
#[derive(Clone, Copy, Debug)]
enum Standing {
    /// Nothing, or something too old to follow on from: read everything.
    Lost,
    /// Everything up to a revision: follow on from there.
    At(Revision),
}

/// Keeps the informer up until the task is stopped.
pub(super) async fn run(informer: Informer, source: Source, ambient: Ambient) {
    let mut standing = Standing::Lost;
    let mut failures = 0_u32;
    loop {
        let mut moved = false;
        if let Err(error) = round(&informer, &source, &mut standing, &mut moved).await {
            tracing::debug!(resource = %source.resource.group_resource(), %error, "a watch ended");
            if error.is_expired() {
                standing = Standing::Lost;
            }
        }
        // Only a watch that got on counts as a success, so that a server which refuses every watch
        // is not asked for whole lists in a hot loop.
        failures = if moved { 0 } else { failures + 1 };
        if failures > 0 {
            pause(&ambient, failures).await;
        }
    }
}

/// Reads the state if need be, then follows it until the watch ends.
async fn round(informer: &Informer, source: &Source, standing: &mut Standing, moved: &mut bool) -> Result<()> {
    let events = match *standing {
        Standing::Lost => read(informer, source).await?,
        Standing::At(revision) => Some(source.watch(Some(revision), false, None).await?),
    };
    let before = informer.revision();
    *standing = Standing::At(before);
    let Some(events) = events else {
        *moved = true; // The state was listed, and nothing is known yet of the watch that follows.
        return Ok(());
    };
    let result = follow(informer, source, events).await;
    *standing = Standing::At(informer.revision());
    *moved = informer.revision() > before;
    result
}

/// Reads the whole state, by a watch that begins with it or, where the server refuses that, by a list.
/// Returns the watch that goes on from there, if there is one.
async fn read(informer: &Informer, source: &Source) -> Result<Option<WatchStream>> {
    let mut events = match source.watch(None, true, None).await {
        Ok(events) => events,
        Err(error) if matches!(error.reason(), Reason::Invalid | Reason::BadRequest) => {
            let (objects, revision) = source.list().await?;
            informer.replace(objects, revision);
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut objects = Vec::new();
    while let Some(event) = events.next().await {
        match event? {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => objects.push(object),
            WatchEvent::Deleted(object) => objects.retain(|known: &Arc<Stored>| known.key != object.key),
            WatchEvent::Bookmark { revision, initial_events_end: true } => {
                informer.replace(newest(objects), revision);
                return Ok(Some(events));
            }
            WatchEvent::Bookmark { .. } => {}
        }
    }
    Err(StatusError::new(Reason::ServiceUnavailable, "the watch ended before the initial events did"))
}

/// One object per key, the last of each.
fn newest(mut objects: Vec<Arc<Stored>>) -> Vec<Arc<Stored>> {
    objects.sort_by(|a, b| a.key.cmp(&b.key).then(b.revision.cmp(&a.revision)));
    objects.dedup_by(|later, first| later.key == first.key);
    objects
}

/// Applies the events of a watch until it ends.
async fn follow(informer: &Informer, source: &Source, events: WatchStream) -> Result<()> {
    let mut chunks = events.ready_chunks(CHUNK);
    let mut wanted = informer.wanted();
    wanted.mark_changed();
    let mut patience = PATIENCE;
    let mut ask_at = None;
    loop {
        tokio::select! {
            biased;
            chunk = chunks.next() => match chunk {
                Some(chunk) => apply(informer, chunk)?,
                None => return Ok(()),
            },
            changed = wanted.changed() => if changed.is_err() { return Ok(()) },
            () = until(ask_at) => {
                ask(informer, source).await?;
                patience = (patience * 2).min(Duration::from_secs(1));
                ask_at = None;
            }
        }
        if wanted.borrow().revision <= informer.revision() {
            (ask_at, patience) = (None, PATIENCE);
        } else {
            ask_at = ask_at.or(Some(Instant::now() + patience));
        }
    }
}

/// Applies a chunk up to the first error.
fn apply(informer: &Informer, chunk: Vec<Result<WatchEvent>>) -> Result<()> {
    let mut changes = Vec::with_capacity(chunk.len());
    let mut result = Ok(());
    for event in chunk {
        match event {
            Ok(event) => changes.push(change(event)),
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    informer.apply(changes);
    result
}

fn change(event: WatchEvent) -> Change {
    match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => Change::Put(object),
        WatchEvent::Deleted(object) => Change::Gone(object),
        WatchEvent::Bookmark { revision, .. } => Change::Bookmark(revision),
    }
}

/// Asks how far a quiet resource is, by a watch from where the informer stands that ends at once.
async fn ask(informer: &Informer, source: &Source) -> Result<()> {
    let events = source.watch(Some(informer.revision()), false, Some(Duration::ZERO)).await?;
    let mut chunks: ReadyChunks<WatchStream> = events.ready_chunks(CHUNK);
    while let Some(chunk) = chunks.next().await {
        let told = chunk.iter().any(|event| matches!(event, Ok(WatchEvent::Bookmark { .. })));
        apply(informer, chunk)?;
        if told {
            break;
        }
    }
    Ok(())
}

impl Source {
    async fn watch(&self, after: Option<Revision>, initial: bool, timeout: Option<Duration>) -> Result<WatchStream> {
        let options = WatchOptions {
            namespace: self.scope.namespace.clone(),
            labels: self.scope.labels.clone(),
            fields: self.scope.fields.clone(),
            after,
            initial_events: initial,
            bookmarks: true,
            timeout,
            metadata_only: self.metadata_only,
        };
        let events = self.client.watch(&self.resource, &options).await?;
        Ok(transform::events(self.transform.as_ref(), events))
    }

    /// All pages of a list.
    async fn list(&self) -> Result<(Vec<Arc<Stored>>, Revision)> {
        let mut options = ListOptions {
            namespace: self.scope.namespace.clone(),
            labels: self.scope.labels.clone(),
            fields: self.scope.fields.clone(),
            metadata_only: self.metadata_only,
            limit: 500,
            ..ListOptions::default()
        };
        let mut objects = Vec::new();
        loop {
            let page = self.client.list(&self.resource, &options).await?;
            objects.extend(page.items.into_iter().map(|whole| match &self.transform {
                Some(transform) => transform::object(transform, whole),
                None => whole,
            }));
            if page.continue_token.is_empty() {
                return Ok((objects, page.revision));
            }
            options.continue_token = page.continue_token;
        }
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// A pause that grows with the number of failures up to half a minute, never the same twice.
async fn pause(ambient: &Ambient, failures: u32) {
    let ceiling = Duration::from_millis(100).saturating_mul(1 << failures.min(9)).min(Duration::from_secs(30));
    tokio::time::sleep(ceiling.mul_f64(0.5 + ambient.chance.fraction() / 2.0)).await;
}
