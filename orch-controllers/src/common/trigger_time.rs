//! [`TriggerTimes`]: when that happened for which the endpoints of a service changed, for who measures how long that takes
//! (`endpointslice/util/trigger_time_tracker.go`).

use super::facts::PodFacts;
use jiff::Timestamp;
use k8s_openapi::{api::core::v1::Service, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use orch_api::{Key, Object};
use orch_runtime::view::Known;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// The annotation of Endpoints and EndpointSlices.
pub(crate) const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// What each service and its pods were when they were last looked at. It is lost with the process.
#[derive(Default)]
pub(crate) struct TriggerTimes(Mutex<BTreeMap<Key, Seen>>);

/// A service that was looked at.
#[derive(Default)]
struct Seen {
    created: Option<Timestamp>,
    /// When each pod became ready, or ceased to be.
    pods: BTreeMap<Arc<str>, Timestamp>,
}

impl Seen {
    fn of(service: &Service, pods: &[Known<PodFacts>]) -> Self {
        let at = |pod: &Known<PodFacts>| Some((pod.stored.key.name.clone(), pod.facts.ready_changed?));
        Self { created: created(service), pods: pods.iter().filter_map(at).collect() }
    }
}

impl TriggerTimes {
    /// The first of the changes since the service was last looked at; its creation where it never was.
    pub(crate) fn of(&self, service: &Service, pods: &[Known<PodFacts>]) -> Option<Timestamp> {
        let all = self.0.lock();
        let Some(seen) = all.get(&service.key()) else { return created(service) };
        let changed = pods.iter().filter_map(|pod| {
            let at = pod.facts.ready_changed?;
            let before = seen.pods.get(&pod.stored.key.name);
            before.is_none_or(|before| at > *before).then_some(at)
        });
        changed.chain(created(service).filter(|at| seen.created.is_none_or(|before| *at > before))).min()
    }

    /// The service was looked at.
    pub(crate) fn remember(&self, service: &Service, pods: &[Known<PodFacts>]) {
        self.0.lock().insert(service.key(), Seen::of(service, pods));
    }

    /// Whether a service of that name was ever looked at.
    pub(crate) fn knows(&self, service: &Key) -> bool {
        self.0.lock().contains_key(service)
    }

    /// The service is gone.
    pub(crate) fn forget(&self, service: &Key) {
        self.0.lock().remove(service);
    }
}

fn created(service: &Service) -> Option<Timestamp> {
    service.metadata.creation_timestamp.as_ref().map(|at| at.0)
}

/// Notes on what has changed why it has; nothing, where that is not known.
pub(crate) fn tell(metadata: &mut ObjectMeta, at: Option<Timestamp>) {
    let annotations = metadata.annotations.get_or_insert_default();
    match at {
        Some(at) => drop(annotations.insert(TRIGGER_TIME.into(), at.to_string())),
        None => drop(annotations.remove(TRIGGER_TIME)),
    }
    if annotations.is_empty() {
        metadata.annotations = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, minutes_ago};
    use k8s_openapi::api::core::v1::Pod;
    use orch_runtime::{View, testing::Objects};

    fn service(minutes: i64) -> Service {
        let mut service = Service { metadata: fixtures::meta("default", "web", "s"), ..Service::default() };
        service.metadata.creation_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(minutes_ago(minutes)));
        service
    }

    /// Pods that became ready, or ceased to be, so many minutes ago.
    fn pods(all: &[(&str, i64)]) -> Vec<Known<PodFacts>> {
        let mut objects = Objects::default();
        for (name, minutes) in all {
            let mut pod: Pod = fixtures::pod(name, "web");
            let condition =
                serde_json::json!({"type": "Ready", "status": "False", "lastTransitionTime": minutes_ago(*minutes)});
            pod.status.get_or_insert_default().conditions =
                serde_json::from_value(serde_json::json!([condition])).unwrap();
            objects.insert(&pod);
        }
        View::fixed(&objects).list_known::<PodFacts>("default")
    }

    #[test]
    fn a_service_that_is_new_counts_from_its_creation() {
        let times = TriggerTimes::default();
        assert_eq!(times.of(&service(9), &pods(&[("a", 5)])), Some(minutes_ago(9)));
        assert!(!times.knows(&service(9).key()));
    }

    #[test]
    fn the_first_of_the_changes_since_then_counts_and_none_where_there_is_none() {
        let times = TriggerTimes::default();
        times.remember(&service(9), &pods(&[("a", 5), ("b", 5), ("gone", 1)]));
        assert_eq!(times.of(&service(9), &pods(&[("a", 5), ("b", 5)])), None);
        assert_eq!(times.of(&service(9), &pods(&[("a", 3), ("b", 4), ("c", 2)])), Some(minutes_ago(4)));
        // Another service of that name.
        assert_eq!(times.of(&service(1), &pods(&[("a", 5), ("b", 5)])), Some(minutes_ago(1)));
        times.forget(&service(9).key());
        assert_eq!(times.of(&service(9), &[]), Some(minutes_ago(9)));
    }
}
