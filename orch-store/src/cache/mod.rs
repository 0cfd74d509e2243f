//! The watch cache: current state, recent history and fan-out, in memory, over any [`Backend`].
//!
//! ```text
//! Backend ──one watch of everything──► feed ──► ResourceCache per prefix
//!                                               ├─ objects: a persistent map; a snapshot is a pointer
//!                                               └─ window: the last events; watchers read it by position
//! ```
//!
//! # Laws
//!
//! - **One encoding.** A revision's JSON is parsed for metadata once; every reader shares the [`Stored`](crate::Stored).
//! - **Linearizable reads.** [`ReadAt::Latest`](crate::client::ReadAt::Latest) waits until the cache has
//!   seen the newest revision that the backend had committed when the read began.
//! - **Watches** deliver every event after their start once, in order, without gaps, or end with
//!   [`BackendError::Compacted`]. A bookmark is never ahead of an undelivered event.
//! - **Nobody waits for a watcher.** A commit costs one entry in the window and one wake; a watcher
//!   whose position fell out of the window is cut off.
//! - **Progress is global.** The feed sees every transaction of the store, so that a quiet resource
//!   still knows how far it is: its bookmarks advance while others are written.

mod cursor;
mod feed;
mod filter;
mod kept;
mod progress;
mod resource;
mod snapshot;
mod state;
mod watcher;
mod window;

pub use filter::Filter;
pub use resource::{FieldsOf, ResourceCache};
pub use snapshot::{Position, Slice, Snapshot};
pub use watcher::{WatchStart, Watcher};
pub use window::Limits;

use crate::{Ambient, Backend, Revision, backend::BackendError};
use feed::Feed;
use std::{sync::Arc, time::Duration};

/// The watch cache of a process: one [`ResourceCache`] per prefix. Cheap to clone.
#[derive(Clone)]
pub struct WatchCache {
    feed: Arc<Feed>,
}

/// What may be tuned. The defaults are right for most.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How much history each resource keeps.
    pub window: Limits,
    /// How often a watcher that asked for bookmarks gets one. Upstream's minute.
    pub bookmark_interval: Duration,
    /// How long a read waits for a revision that the store does not have. Upstream's three seconds; ten times as long for
    /// one that the store has and the cache has not seen yet.
    pub freshness_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            window: Limits::default(),
            bookmark_interval: Duration::from_secs(60),
            freshness_timeout: Duration::from_secs(3),
        }
    }
}

impl WatchCache {
    /// A cache over a backend. Nothing is read before the first [`WatchCache::resource`].
    pub fn new(backend: Arc<dyn Backend>, ambient: Ambient) -> Self {
        Self::with_options(backend, ambient, Options::default())
    }

    /// The same with other limits.
    pub fn with_options(backend: Arc<dyn Backend>, ambient: Ambient, options: Options) -> Self {
        Self { feed: Feed::new(backend, ambient.child("watch-cache"), options) }
    }

    /// The cache of all keys `PREFIX[NAMESPACE/]NAME`, such as those of `/registry/pods/`. The first
    /// call for a prefix starts loading, so it must be made inside a tokio runtime; reads wait until
    /// the state is there.
    pub fn resource(&self, prefix: &str) -> Arc<ResourceCache> {
        self.feed.resource(prefix)
    }

    /// Drops the cache of a prefix, for a kind that is no longer served. Its watchers end.
    pub fn forget(&self, prefix: &str) {
        self.feed.forget(prefix);
    }

    /// The backend, for writes.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        self.feed.backend()
    }

    /// Every transaction up to this revision is in the caches of all resources that have loaded.
    pub fn revision(&self) -> Revision {
        self.feed.progress().revision()
    }

    /// Resolves when [`WatchCache::revision`] has reached this one. Fails with
    /// [`BackendError::Future`] when that takes too long: see [`Options::freshness_timeout`].
    pub async fn caught_up(&self, revision: Revision) -> Result<(), BackendError> {
        self.feed.progress().reached(revision).await
    }
}
