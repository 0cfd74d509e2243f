//! Shared informers: one watch and one cache per resource and process, however many look.
//!
//! ```text
//! Client ──list and watch──► reflect (async) ──► State (pure) ──► readers: get, list, indexes, projections
//!                                                      └────────► subscribers: deltas, in order
//! ```
//!
//! # Laws
//!
//! - Readers see whole states: a re-list is swapped in at once and emits exactly the deltas between
//!   what was and what is, so a lost watch loses nothing but time.
//! - A key never goes back in time while the server's revisions grow; late or repeated events are ignored.
//! - Deltas of one informer come in the order in which its state changed. Who subscribes gets the state
//!   first, and then every change.
//! - [`Informer::revision`] moves with events and bookmarks. A quiet resource is asked: when someone
//!   waits in [`Informer::caught_up`] and nothing arrives, the informer opens a second watch from where
//!   it is, with bookmarks and no patience. What that delivers, and the bookmark with which it ends,
//!   close the gap; nothing is polled while nobody waits.
//! - Revisions are compared as numbers, as Kubernetes promises since 1.35 (KEP-5504).

mod handle;
mod projection;
mod reflect;
mod state;
mod transform;

pub use handle::Informer;
pub use projection::Projection;
pub use state::Delta;
pub use transform::Transform;

use crate::{Ambient, Client};
use orch_api::{Gvr, Object};
use parking_lot::Mutex;
use serde_json::Value;
use std::{collections::HashMap, sync::Arc};
use tokio_util::sync::CancellationToken;

/// All informers of a process over one client. Cheap to clone.
#[derive(Clone)]
pub struct Informers {
    client: Arc<dyn Client>,
    ambient: Ambient,
    scope: Arc<Scope>,
    started: Arc<Mutex<HashMap<(Gvr, Depth), Started>>>,
    transforms: Arc<Mutex<HashMap<Gvr, Transform>>>,
}

/// An informer whose watch runs.
struct Started {
    informer: Informer,
    stop: CancellationToken,
}

/// What all informers of a set have in common: the part of each resource that they follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only this namespace; empty for all.
    pub namespace: Arc<str>,
    /// A label selector, empty for everything.
    pub labels: String,
    /// A field selector, empty for everything.
    pub fields: String,
}

/// How much of each object is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Depth {
    Whole,
    Metadata,
}

impl Informers {
    /// Informers over a client; the watches are tasks of the ambience.
    pub fn new(client: Arc<dyn Client>, ambient: Ambient) -> Self {
        let ambient = ambient.child("informers");
        Self { client, ambient, scope: Arc::default(), started: Arc::default(), transforms: Arc::default() }
    }

    /// The same informers, whose users write through another client: one that is fenced or watched. It must lead to the
    /// same server.
    #[must_use]
    pub fn with_client(&self, client: Arc<dyn Client>) -> Self {
        Self { client, ..self.clone() }
    }

    /// Whether all that was asked for until now has its first state.
    pub fn all_synced(&self) -> bool {
        self.started.lock().values().all(|started| started.informer.has_synced())
    }

    /// Informers of their own over the same client that follow only a part of each resource. What is
    /// outside of the scope does not exist for them.
    #[must_use]
    pub fn scoped(&self, scope: Scope) -> Self {
        Self { scope: Arc::new(scope), started: Arc::default(), ..self.clone() }
    }

    /// Informers of their own that follow only one namespace.
    #[must_use]
    pub fn with_namespace(&self, namespace: impl Into<Arc<str>>) -> Self {
        self.scoped(Scope { namespace: namespace.into(), ..(*self.scope).clone() })
    }

    /// Keeps the objects of a resource without what the function takes out of them, such as `metadata.managedFields` or a
    /// Pod's environment. For whoever builds the program to say, before anybody looks: it holds for all who share these
    /// informers. Worth it where the objects come over a network; in the process of the server their bytes are shared, and a
    /// smaller copy is one more. Whether it was said in time; a resource that is followed already stays whole.
    pub fn transform(&self, resource: &Gvr, take_out: impl Fn(&mut Value) + Send + Sync + 'static) -> bool {
        let in_time = !self.holds(resource);
        if in_time {
            self.transforms.lock().insert(resource.clone(), Arc::new(take_out));
        }
        in_time
    }

    /// The shared informer of a resource; its watch begins with the first call, which must be made
    /// inside a tokio runtime.
    pub fn get(&self, resource: &Gvr) -> Informer {
        self.start(resource, Depth::Whole)
    }

    /// The shared informer of a typed resource.
    pub fn of<K: Object>(&self) -> Informer {
        self.get(&K::gvr())
    }

    /// A shared informer whose objects need only have their metadata: for the garbage collector and
    /// its like. Where the whole objects are here already, those are shared. Once asked, the answer stays the same: who
    /// took the metadata keeps reading what wakes it, also when somebody asks for whole objects later.
    pub fn metadata(&self, resource: &Gvr) -> Informer {
        let held = {
            let started = self.started.lock();
            let at = |depth| started.get(&(resource.clone(), depth)).map(|s| s.informer.clone());
            at(Depth::Metadata).or_else(|| at(Depth::Whole))
        };
        held.unwrap_or_else(|| self.start(resource, Depth::Metadata))
    }

    /// The informer that is here already, of whole objects or of metadata; that of whole objects where none is.
    pub fn held(&self, resource: &Gvr) -> Informer {
        let held = {
            let started = self.started.lock();
            let at = |depth| started.get(&(resource.clone(), depth)).map(|s| s.informer.clone());
            at(Depth::Whole).or_else(|| at(Depth::Metadata))
        };
        held.unwrap_or_else(|| self.get(resource))
    }

    /// Whether the resource is followed, in whole or by its metadata.
    pub fn holds(&self, resource: &Gvr) -> bool {
        let started = self.started.lock();
        [Depth::Whole, Depth::Metadata].into_iter().any(|depth| started.contains_key(&(resource.clone(), depth)))
    }

    /// Stops following a resource that is no longer served. Handles keep the last state.
    pub fn forget(&self, resource: &Gvr) {
        let mut started = self.started.lock();
        for depth in [Depth::Whole, Depth::Metadata] {
            if let Some(started) = started.remove(&(resource.clone(), depth)) {
                started.stop.cancel();
            }
        }
    }

    /// The client that all informers share.
    pub fn client(&self) -> &Arc<dyn Client> {
        &self.client
    }

    fn start(&self, resource: &Gvr, depth: Depth) -> Informer {
        let mut started = self.started.lock();
        let started = started.entry((resource.clone(), depth)).or_insert_with(|| {
            let informer = Informer::new(resource.clone());
            let source = reflect::Source {
                client: self.client.clone(),
                resource: resource.clone(),
                scope: self.scope.clone(),
                metadata_only: depth == Depth::Metadata,
                transform: self.transforms.lock().get(resource).cloned(),
            };
            let stop = CancellationToken::new();
            let work = reflect::run(informer.clone(), source, self.ambient.child(&resource.group_resource()));
            let stopped = stop.clone();
            self.ambient.tasks.spawn(async move {
                stopped.run_until_cancelled(work).await;
            });
            Started { informer, stop }
        });
        started.informer.clone()
    }
}
