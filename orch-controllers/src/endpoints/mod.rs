//! `endpoints-controller`: the addresses of the pods behind a service, in one object (`pkg/controller/endpoint`). Clients
//! of today read slices; the object is kept for those that do not.

mod subsets;
#[cfg(test)]
mod tests;

use crate::{
    common::{
        facts::PodFacts,
        labels::{BY_LABEL, label_index, label_value},
        selector::contains_all,
    },
    endpoint_slice::{HEADLESS, first_of_selector, has_address, services_of_pod},
};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Endpoints, Pod, Service},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use orch_api::{Key, Object};
use orch_runtime::{Announce, Controller, Deletes, Plan, View, Watches, plan::reference, view::Known};
use orch_store::informer::Delta;
use std::sync::Arc;

/// Keeps the Endpoints of every service that selects pods.
pub struct EndpointsController;

/// A service with its pods, and its endpoints. The service may be gone.
pub struct World {
    service: Option<Arc<Service>>,
    pods: Vec<Known<PodFacts>>,
    endpoints: Option<Arc<Endpoints>>,
}

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";

impl Controller for EndpointsController {
    const NAME: &'static str = "endpoints-controller";
    const ABOUT: &'static str = "Keeps the addresses of the pods behind a Service in Endpoints of its name.";
    const COMPONENT: &'static str = "endpoint-controller";
    const DELETES: Deletes = Deletes::Others("its Endpoints of Services that are gone");
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Service>()
            .index(BY_LABEL, first_of_selector)
            .maps::<Endpoints>(same_name)
            .maps::<Pod>(services_of_pod)
            .index(BY_LABEL, label_index)
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let service: Option<Arc<Service>> = view.get(key);
        let endpoints: Option<Arc<Endpoints>> = view.get(key);
        let Some(spec) = service.as_ref().filter(|s| !s.is_deleting()).and_then(|s| s.spec.as_ref()) else {
            let ours = endpoints.filter(|e| e.metadata.labels.as_ref().is_some_and(|l| l.get(MANAGED_BY).is_some()));
            return ours.map(|endpoints| World { service: None, pods: Vec::new(), endpoints: Some(endpoints) });
        };
        // Who selects nothing, or names somebody outside, says the addresses himself.
        let selector = spec.selector.as_ref().filter(|_| spec.type_.as_deref() != Some("ExternalName"))?;
        let pods = match selector.iter().next() {
            Some((name, value)) => view.known_by_index(BY_LABEL, &label_value(&key.namespace, name, value)),
            None => view.list_known::<PodFacts>(&key.namespace),
        };
        let mut pods: Vec<Known<PodFacts>> = pods;
        pods.retain(|pod| contains_all(&pod.stored.meta.labels, selector));
        Some(World { service, pods, endpoints })
    }

    fn plan(&self, world: &World, _now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let Some(service) = &world.service else {
            world.endpoints.iter().for_each(|endpoints| plan.delete(&**endpoints));
            return plan;
        };
        let wanted = wanted(service, &world.pods, world.endpoints.as_deref());
        match &world.endpoints {
            Some(old) => drop(plan.update(&**old, &wanted)),
            None => plan.create_announced(&wanted, refused(service, &wanted)),
        }
        plan
    }
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
