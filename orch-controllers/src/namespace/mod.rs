//! `namespace`: empties a namespace that is being deleted, pods first, and then lets it go
//! (`pkg/controller/namespace/deletion`, KEP-5080).

mod conditions;
#[cfg(test)]
mod tests;

use futures::future::{BoxFuture, FutureExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use orch_api::{Gvr, Key, Object};
use orch_runtime::{
    Controller, Deletes, Discovery, Error, Plan, View, Watches, discovery::Served, executor::Refusal, queue::Backoff,
};
use orch_store::{Client, client::ListOptions};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// The finalizer in `spec.finalizers` that stands for the contents.
const FINALIZER: &str = "kubernetes";

/// How long to wait for the finalizers of others before looking again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Empties namespaces that are being deleted.
pub struct NamespaceController {
    /// Which resources there are to delete.
    pub discovery: Arc<dyn Discovery>,
    /// What the last attempts could not delete, by namespace.
    refused: Mutex<BTreeMap<Key, Vec<Refusal>>>,
}

impl NamespaceController {
    /// Empties namespaces of these resources.
    pub fn new(discovery: Arc<dyn Discovery>) -> Self {
        Self { discovery, refused: Mutex::default() }
    }
}

/// A namespace that is being deleted.
pub struct World {
    namespace: Arc<Namespace>,
    /// What is left in it, by resource; read from the API itself, since a stale cache would lose objects.
    remaining: Option<BTreeMap<Gvr, Remaining>>,
    /// What could not be read.
    errors: Vec<String>,
    /// What the last attempt could not delete.
    refused: Vec<Refusal>,
}

/// What is left of a resource.
#[derive(Clone, Debug, Default, PartialEq)]
struct Remaining {
    /// How many objects.
    count: usize,
    /// How many of them nobody has deleted yet.
    undeleted: usize,
    /// How many wait for each finalizer.
    finalizers: BTreeMap<Arc<str>, usize>,
}

impl Controller for NamespaceController {
    const NAME: &'static str = "namespace";
    const ABOUT: &'static str = "Empties a Namespace that is being deleted, pods first, and then lets it go.";
    const DELETES: Deletes = Deletes::Contents;
    /// Who refuses deletions may cease to (`nsControllerRateLimiter`).
    const BACKOFF: Option<Backoff> =
        Some(Backoff { base: Duration::from_millis(5), max: Duration::from_secs(60), hold: Duration::from_secs(1) });
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Namespace>().maps::<Pod>(crate::service_account::namespace_of).only(|d| d.new.is_none())
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let namespace = view.get::<Namespace>(key).filter(|namespace| is_due(namespace));
        let mut all = self.refused.lock();
        let Some(namespace) = namespace else {
            all.remove(key);
            return None;
        };
        let refused = all.get(key).cloned().unwrap_or_default();
        Some(World { namespace, remaining: None, errors: Vec::new(), refused })
    }

    fn gather<'a>(&'a self, world: World, client: &'a dyn Client) -> BoxFuture<'a, Result<World, Error>> {
        async move {
            let namespace = world.namespace.key().name;
            let (mut remaining, mut errors) = (BTreeMap::new(), Vec::new());
            for Served { gvr, .. } in self.discovery.served().into_iter().filter(|s| s.namespaced) {
                let options = ListOptions { namespace: namespace.clone(), ..ListOptions::default() };
                match client.list(&gvr, &options).await {
                    Ok(page) if page.items.is_empty() => {}
                    Ok(page) => drop(remaining.insert(gvr, count(&page.items))),
                    Err(error) if error.is_not_found() => {}
                    Err(error) => errors.push(error.message().to_owned()),
                }
            }
            Ok(World { remaining: Some(remaining), errors, ..world })
        }
        .boxed()
    }

    fn plan(&self, world: &World, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let Some(remaining) = &world.remaining else { return plan };
        let mut new = (*world.namespace).clone();
        conditions::report(&mut new, remaining, errors(world, remaining), now);
        if remaining.is_empty() && world.errors.is_empty() {
            if !plan.update_status(&*world.namespace, &new) {
                let mut done = (*world.namespace).clone();
                done.spec.get_or_insert_default().finalizers.get_or_insert_default().retain(|f| f != FINALIZER);
                plan.update_subresource(&*world.namespace, &done, "finalize");
            }
            return plan;
        }
        // Each is deleted whatever becomes of the others, and the report comes in any case.
        let name: Arc<str> = world.namespace.key().name;
        for gvr in to_delete(remaining) {
            plan.branch();
            plan.delete_all(gvr.clone(), name.clone());
        }
        // Deleted pods announce their end; other kinds may be gone at once, or wait for finalizers.
        let deleted = plan
            .actions
            .iter()
            .any(|a| !matches!(a, orch_runtime::Action::DeleteAll { gvr, .. } if *gvr == Pod::gvr()));
        plan.requeue_within(if deleted { Duration::from_millis(20) } else { PATIENCE });
        plan.branch();
        plan.update_status(&*world.namespace, &new);
        plan
    }

    fn refused(&self, world: &World, refusals: &[Refusal]) {
        let deletions = refusals.iter().filter(|refusal| refusal.resource != Namespace::gvr()).cloned();
        self.refused.lock().insert(world.namespace.key(), deletions.collect());
    }
}

/// Whether a namespace is being deleted and waits for its contents to go.
fn is_due(namespace: &Namespace) -> bool {
    let mut waits = namespace.spec.iter().flat_map(|s| s.finalizers.iter().flatten());
    namespace.is_deleting() && waits.any(|name| name == FINALIZER)
}

/// What went wrong with what is left, in order of its words.
fn errors(world: &World, remaining: &BTreeMap<Gvr, Remaining>) -> Vec<String> {
    let refused = world.refused.iter().filter(|refusal| remaining.contains_key(&refusal.resource));
    let mut all: Vec<String> = refused.map(|refusal| refusal.words.clone()).collect();
    all.extend(world.errors.iter().cloned());
    all.sort();
    all
}

/// Pods go before everything else, so that nothing that runs loses what it depends on.
fn to_delete(remaining: &BTreeMap<Gvr, Remaining>) -> impl Iterator<Item = &Gvr> {
    let pods_first = remaining.contains_key(&Pod::gvr());
    let undeleted = remaining.iter().filter(|(_, left)| left.undeleted > 0).map(|(gvr, _)| gvr);
    undeleted.filter(move |gvr| !pods_first || **gvr == Pod::gvr())
}

fn count(items: &[Arc<orch_store::Stored>]) -> Remaining {
    let mut left = Remaining { count: items.len(), ..Remaining::default() };
    for item in items {
        left.undeleted += usize::from(!item.meta.is_deleting());
        for finalizer in &item.meta.finalizers {
            *left.finalizers.entry(finalizer.clone()).or_insert(0) += 1;
        }
    }
    left
}
