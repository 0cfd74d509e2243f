//! [`Budget`]: a PodDisruptionBudget, as preemption looks at it.

use super::pod::PodInfo;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use orch_api::{Key, label_selector::Selector};
use orch_store::{Stored, client::Result};
use std::{collections::BTreeSet, sync::Arc};

/// How many pods may be disrupted, and which.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Namespace and name.
    pub key: Key,
    /// Of its pods.
    pub selector: Selector,
    /// `status.disruptionsAllowed`
    pub allowed: i32,
    /// Names of pods whose disruption is counted already: `status.disruptedPods`.
    pub disrupted: BTreeSet<Arc<str>>,
}

impl Budget {
    /// Reads a stored PodDisruptionBudget. A selector that cannot be read selects nothing.
    ///
    /// # Errors
    /// If its JSON has another shape.
    pub fn read(stored: &Stored) -> Result<Self> {
        let budget: Arc<PodDisruptionBudget> = stored.decode()?;
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        let status = budget.status.as_ref();
        Ok(Self {
            key: stored.key.clone(),
            selector: Selector::from_typed(selector).unwrap_or_else(|_| Selector::nothing()),
            allowed: status.and_then(|status| status.disruptions_allowed).unwrap_or(0),
            disrupted: status
                .and_then(|status| status.disrupted_pods.as_ref())
                .into_iter()
                .flat_map(|pods| pods.keys().map(|name| name.as_str().into()))
                .collect(),
        })
    }

    /// Whether the pod's end would be counted. Unlike elsewhere, an empty selector selects nothing here.
    pub fn covers(&self, pod: &PodInfo) -> bool {
        self.key.namespace == pod.key.namespace
            && !self.selector.is_everything()
            && self.selector.matches(&pod.labels)
            && !self.disrupted.contains(&pod.key.name)
    }
}
