//! [`Spread`]: how evenly pods are to be spread, compiled from `spec.topologySpreadConstraints`
//! (`plugins/podtopologyspread/common.go`).

use super::{
    neighbours::selector,
    node::NodeInfo,
    pod::PodInfo,
    taints::{Effect, untolerated},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use orch_api::label_selector::{Labels as _, Selector};
use orch_store::stored::Labels;
use serde::Deserialize;
use std::sync::Arc;

/// How evenly the pods that a selector matches are to be spread over the values of a label.
#[derive(Clone, Debug)]
pub struct Spread {
    /// By how many pods a value may have more than the one that has fewest.
    pub max_skew: i64,
    /// The label.
    pub topology: Arc<str>,
    /// Of the pods that count.
    pub selector: Selector,
    /// Whether it must hold, or is preferred.
    pub is_required: bool,
    /// With fewer values than this, the fewest pods count as none.
    pub min_domains: usize,
    /// Whether only nodes count that the pod's node selector and affinity match.
    pub honors_affinity: bool,
    /// Whether only nodes count whose taints the pod tolerates.
    pub honors_taints: bool,
}

impl Spread {
    /// Whether a node counts when it is asked how the pods are spread (`matchNodeInclusionPolicies`).
    pub fn counts(&self, pod: &PodInfo, node: &NodeInfo) -> bool {
        let is_hard = |effect| matches!(effect, Effect::NoSchedule | Effect::NoExecute);
        (!self.honors_affinity || pod.affinity.matches(node))
            && (!self.honors_taints || untolerated(&node.taints, &pod.tolerations, is_hard).is_none())
    }

    /// How many of the node's pods count: those of the namespace that are not going (`countPodsMatchSelector`).
    pub fn count(&self, node: &NodeInfo, namespace: &str) -> i64 {
        if self.selector.is_everything() || self.selector.is_nothing() {
            return 0;
        }
        let counts = |pod: &&Arc<PodInfo>| {
            *pod.key.namespace == *namespace && !pod.deleting && self.selector.matches(&pod.labels)
        };
        i64::try_from(node.pods.values().filter(counts).count()).unwrap_or(i64::MAX)
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SpreadJson {
    max_skew: i64,
    topology_key: Arc<str>,
    when_unsatisfiable: Arc<str>,
    label_selector: Option<LabelSelector>,
    min_domains: Option<usize>,
    node_affinity_policy: Option<Arc<str>>,
    node_taints_policy: Option<Arc<str>>,
    match_label_keys: Vec<String>,
}

impl SpreadJson {
    /// Of a pod with these labels.
    pub(super) fn compiled(self, labels: &Labels) -> Spread {
        let honors = |policy: &Option<Arc<str>>, unless_said: bool| match policy.as_deref() {
            Some(policy) => policy == "Honor",
            None => unless_said,
        };
        let (honors_affinity, honors_taints) =
            (honors(&self.node_affinity_policy, true), honors(&self.node_taints_policy, false));
        Spread {
            max_skew: self.max_skew,
            topology: self.topology_key.clone(),
            is_required: &*self.when_unsatisfiable == "DoNotSchedule",
            min_domains: self.min_domains.unwrap_or(1),
            honors_affinity,
            honors_taints,
            selector: self.selector(labels),
        }
    }

    /// The selector, with the pod's own values of the labels that are to match as well.
    fn selector(self, labels: &Labels) -> Selector {
        let Some(mut typed) = self.label_selector else { return Selector::nothing() };
        let own = self.match_label_keys.into_iter().filter_map(|key| {
            let value = labels.label(&key)?.to_owned();
            Some((key, value))
        });
        typed.match_labels.get_or_insert_default().extend(own);
        selector(Some(&typed))
    }
}
