//! [`Neighbours`]: what a pod asks of the pods around it: pod affinity and anti-affinity, compiled
//! (`kube-scheduler/framework/types.go`, `AffinityTerm`).

use super::pod::PodInfo;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use orch_api::label_selector::Selector;
use orch_store::stored::Labels;
use serde::Deserialize;
use std::sync::Arc;

/// The pod affinity and the pod anti-affinity of a pod.
#[derive(Clone, Debug, Default)]
pub struct Neighbours {
    /// Required: in each topology there must be a pod that all of these match.
    pub wanted: Vec<PodTerm>,
    /// Required: in none of the topologies may there be a pod that one of these matches.
    pub unwanted: Vec<PodTerm>,
    /// Preferred, with their weights; those of anti-affinity are negative.
    pub preferred: Vec<(i64, PodTerm)>,
}

/// Which pods, and how near.
#[derive(Clone, Debug)]
pub struct PodTerm {
    /// The label that nodes share when they are near each other.
    pub topology: Arc<str>,
    selector: Selector,
    namespaces: Vec<Arc<str>>,
    namespace_selector: Selector,
}

impl PodTerm {
    /// Whether a pod is meant, whose namespace has these labels.
    pub fn matches(&self, pod: &PodInfo, of_namespace: Option<&Labels>) -> bool {
        let selected = || match of_namespace {
            Some(labels) => self.namespace_selector.matches(labels),
            None => self.namespace_selector.is_everything(),
        };
        self.selector.matches(&pod.labels) && (self.namespaces.contains(&pod.key.namespace) || selected())
    }

    /// Whether a pod may be meant, as far as can be told without the labels of its namespace.
    pub fn may_match(&self, pod: &PodInfo) -> bool {
        self.selector.matches(&pod.labels)
            && (self.namespaces.contains(&pod.key.namespace) || !self.namespace_selector.is_nothing())
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct NeighboursJson {
    required_during_scheduling_ignored_during_execution: Vec<TermJson>,
    preferred_during_scheduling_ignored_during_execution: Vec<WeightedJson>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WeightedJson {
    weight: i64,
    pod_affinity_term: TermJson,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct TermJson {
    label_selector: Option<LabelSelector>,
    namespaces: Vec<Arc<str>>,
    namespace_selector: Option<LabelSelector>,
    topology_key: Arc<str>,
}

impl Neighbours {
    /// Of a pod in a namespace; `None` when it asks for nothing.
    pub(super) fn read(
        affinity: Option<NeighboursJson>,
        anti_affinity: Option<NeighboursJson>,
        namespace: &Arc<str>,
    ) -> Option<Arc<Self>> {
        if affinity.is_none() && anti_affinity.is_none() {
            return None;
        }
        let (affinity, anti_affinity) = (affinity.unwrap_or_default(), anti_affinity.unwrap_or_default());
        let terms = |all: Vec<TermJson>| all.into_iter().map(|term| term.compiled(namespace)).collect::<Vec<_>>();
        let weighted = |all: Vec<WeightedJson>, sign: i64| {
            all.into_iter().map(move |each| (sign * each.weight, each.pod_affinity_term.compiled(namespace)))
        };
        let found = Self {
            wanted: terms(affinity.required_during_scheduling_ignored_during_execution),
            unwanted: terms(anti_affinity.required_during_scheduling_ignored_during_execution),
            preferred: weighted(affinity.preferred_during_scheduling_ignored_during_execution, 1)
                .chain(weighted(anti_affinity.preferred_during_scheduling_ignored_during_execution, -1))
                .collect(),
        };
        let is_empty = found.wanted.is_empty() && found.unwanted.is_empty() && found.preferred.is_empty();
        (!is_empty).then(|| Arc::new(found))
    }
}

impl TermJson {
    /// A selector that cannot be read matches nothing: the API server refuses it.
    fn compiled(self, namespace: &Arc<str>) -> PodTerm {
        let own = self.namespaces.is_empty() && self.namespace_selector.is_none();
        PodTerm {
            topology: self.topology_key,
            selector: selector(self.label_selector.as_ref()),
            namespaces: if own { vec![namespace.clone()] } else { self.namespaces },
            namespace_selector: selector(self.namespace_selector.as_ref()),
        }
    }
}

/// An absent selector, and one that cannot be read, matches nothing.
pub(super) fn selector(typed: Option<&LabelSelector>) -> Selector {
    Selector::from_typed(typed).unwrap_or_else(|_| Selector::nothing())
}
