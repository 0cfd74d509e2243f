//! `endpoints-controller`: the addresses of the pods behind a service, in one object (`pkg/controller/endpoint`). Clients
//! of today read slices; the object is kept for those that do not.
//!
//! When a service goes, the endpoints of its name go, also those that somebody has made by hand. Endpoints that were there
//! before their service stay until it has come and gone; upstream takes those, too, when it starts.

mod repack;
mod subsets;
#[cfg(test)]
mod tests;

pub(crate) use repack::repack;

use crate::{
    common::{
        facts::PodFacts,
        labels::{BY_LABEL, label_index, label_value},
        selector::contains_all,
        trigger_time::{TriggerTimes, tell},
    },
    endpoint_slice::{HEADLESS, first_of_selector, has_address, services_of_pod},
};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Endpoints, Pod, Service},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use orch_api::{Key, Object};
use orch_runtime::{Announce, Controller, Deletes, Error, Plan, View, Watches, plan::reference, view::Known};
use orch_store::informer::Delta;
use std::sync::Arc;

/// Keeps the Endpoints of every service that selects pods.
#[derive(Default)]
pub struct EndpointsController {
    times: TriggerTimes,
}

/// A service and the endpoints of its name.
pub struct World {
    key: Key,
    /// `None` when it is gone.
    service: Option<Arc<Service>>,
    /// What it selects; `None` where it selects nothing, or names somebody outside: then others say the addresses.
    pods: Option<Vec<Known<PodFacts>>>,
    endpoints: Option<Arc<Endpoints>>,
    /// When that happened of which the endpoints do not tell yet.
    trigger: Option<Timestamp>,
}

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";
/// Of endpoints by which programs of old elect a leader.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";

impl Controller for EndpointsController {
    const NAME: &'static str = "endpoints-controller";
    const ABOUT: &'static str = "Keeps the addresses of the pods behind a Service in Endpoints of its name.";
    const COMPONENT: &'static str = "endpoint-controller";
    const DELETES: Deletes = Deletes::Others("Endpoints of Services that are gone");
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Service>()
            .index(BY_LABEL, first_of_selector)
            .maps::<Endpoints>(same_name)
            .maps::<Pod>(services_of_pod)
            .index(BY_LABEL, label_index)
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let service: Option<Arc<Service>> = view.get(key).filter(|s: &Arc<Service>| !s.is_deleting());
        let endpoints: Option<Arc<Endpoints>> = view.get(key);
        let Some(of) = &service else {
            let goes = endpoints.filter(|e| is_ours(e) || (self.times.knows(key) && !elects(e)));
            if goes.is_none() {
                self.times.forget(key);
            }
            let world = World { key: key.clone(), service: None, pods: None, endpoints: goes, trigger: None };
            return world.endpoints.is_some().then_some(world);
        };
        let pods = selected(of, key, view);
        let trigger = self.times.of(of, pods.as_deref().unwrap_or_default());
        Some(World { key: key.clone(), service, pods, endpoints, trigger })
    }

    fn plan(&self, world: &World, _now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let Some(service) = &world.service else {
            world.endpoints.iter().for_each(|endpoints| plan.delete(&**endpoints));
            return plan;
        };
        let Some(pods) = &world.pods else { return plan };
        let mut wanted = wanted(service, pods, world.endpoints.as_deref());
        match &world.endpoints {
            Some(old) if **old == wanted => {}
            Some(old) => {
                tell(&mut wanted.metadata, world.trigger);
                plan.update(&**old, &wanted);
            }
            None => {
                tell(&mut wanted.metadata, world.trigger);
                plan.create_announced(&wanted, refused(service, &wanted));
            }
        }
        plan
    }

    fn remember(&self, world: &World, _: Timestamp, error: Option<&Error>) {
        match &world.service {
            Some(service) => self.times.remember(service, world.pods.as_deref().unwrap_or_default()),
            None if error.is_none() => self.times.forget(&world.key),
            None => {}
        }
    }
}

/// The pods that a service selects; `None` for one whose addresses others say.
fn selected(service: &Service, key: &Key, view: &View<'_>) -> Option<Vec<Known<PodFacts>>> {
    let spec = service.spec.as_ref()?;
    let selector = spec.selector.as_ref().filter(|_| spec.type_.as_deref() != Some("ExternalName"))?;
    // An empty selector is none.
    let (name, value) = selector.iter().next()?;
    let mut pods = view.known_by_index::<PodFacts>(BY_LABEL, &label_value(&key.namespace, name, value));
    pods.retain(|pod| contains_all(&pod.stored.meta.labels, selector));
    Some(pods)
}

fn is_ours(endpoints: &Endpoints) -> bool {
    endpoints.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(MANAGED_BY))
}

fn elects(endpoints: &Endpoints) -> bool {
    endpoints.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(LEADER))
}

fn wanted(service: &Service, pods: &[Known<PodFacts>], old: Option<&Endpoints>) -> Endpoints {
    let (mut subsets, truncated) = subsets::of(service, pods);
    if old.is_some_and(|old| subsets::same(old.subsets.as_deref().unwrap_or_default(), &subsets)) {
        subsets = old.and_then(|old| old.subsets.clone()).unwrap_or_default();
    }
    let mut metadata = old.map(|old| old.metadata.clone()).unwrap_or_else(|| ObjectMeta {
        name: service.metadata.name.clone(),
        namespace: service.metadata.namespace.clone(),
        ..ObjectMeta::default()
    });
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS);
    if !has_address(service.spec.as_ref()) {
        labels.insert(HEADLESS.into(), String::new());
    }
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    metadata.labels = Some(labels);
    let mut annotations = metadata.annotations.take().unwrap_or_default();
    annotations.remove(OVER_CAPACITY);
    if truncated {
        annotations.insert(OVER_CAPACITY.into(), "truncated".into());
    }
    metadata.annotations = Some(annotations).filter(|a| !a.is_empty());
    let keeps_empty = old.is_some_and(|old| old.subsets.is_some());
    Endpoints { metadata, subsets: (!subsets.is_empty() || keeps_empty).then_some(subsets) }
}

fn refused(service: &Service, endpoints: &Endpoints) -> Announce {
    let Key { namespace, name } = service.key();
    let words = format!("Failed to create endpoint for service {namespace}/{name}: {{}}");
    Announce { regarding: reference(endpoints), success: None, failure: ("FailedToCreateEndpoint", words) }
}

/// The service that has the name of the endpoints.
fn same_name(delta: &Delta, _view: &View<'_>) -> Vec<Key> {
    delta.new.as_ref().or(delta.old.as_ref()).map(|stored| stored.key.clone()).into_iter().collect()
}
