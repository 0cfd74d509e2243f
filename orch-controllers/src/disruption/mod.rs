//! `disruption-controller`: how many pods of a PodDisruptionBudget may be evicted now
//! (`pkg/controller/disruption/disruption.go`).
//!
//! The eviction subresource takes from `status.disruptionsAllowed` and writes whom it evicted into
//! `status.disruptedPods`; this loop counts anew and forgets those whose deletion it has seen, or has waited for too long.

mod scale;
pub mod stale;
mod status;
#[cfg(test)]
mod tests;

use crate::common::{
    facts::PodFacts,
    labels::{BY_LABEL, label_index, selected},
    selector::{go_text, selects},
    time::until,
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet, StatefulSet},
    core::v1::{Pod, ReplicationController},
    policy::v1::PodDisruptionBudget,
};
use orch_api::{Key, Object};
use orch_runtime::{Controller, Discovery, Error, Plan, View, Watches, plan::Notice, view::Known};
use orch_store::{
    Client, Stored,
    informer::Delta,
    stored::{Labels, Parts},
};
use scale::Scales;
use serde::{Deserialize, de::IgnoredAny};
use std::{collections::BTreeMap, sync::Arc};

/// Counts what budgets allow.
pub struct DisruptionController {
    /// Which resources there are, for controllers of custom kinds.
    pub discovery: Arc<dyn Discovery>,
}

/// A budget, the pods that it selects, and the scale of whatever controls them.
pub struct World {
    budget: Arc<PodDisruptionBudget>,
    pods: Vec<Known<PodFacts>>,
    scales: Scales,
}

impl Controller for DisruptionController {
    const NAME: &'static str = "disruption-controller";
    const ABOUT: &'static str = "Counts how many Pods of a PodDisruptionBudget may be evicted.";
    const COMPONENT: &'static str = "controllermanager";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<PodDisruptionBudget>()
            .maps::<Pod>(budgets_of_pod)
            .index(BY_LABEL, label_index)
            .maps::<ReplicaSet>(budgets_of_workload)
            .maps::<Deployment>(budgets_of_workload)
            .maps::<StatefulSet>(budgets_of_workload)
            .maps::<ReplicationController>(budgets_of_workload)
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let budget: Arc<PodDisruptionBudget> = view.get(key)?;
        let selector = budget.spec.as_ref().and_then(|s| s.selector.as_ref());
        let pods = selector.map(|s| selected::<PodFacts>(view, &key.namespace, s)).unwrap_or_default();
        let scales = if status::needs_scale(&budget) { Scales::of(&pods, view) } else { Scales::default() };
        Some(World { budget, pods, scales })
    }

    fn gather<'a>(&'a self, mut world: World, client: &'a dyn Client) -> BoxFuture<'a, Result<World, Error>> {
        Box::pin(async move {
            world.scales.ask(&world.budget.key().namespace, &*self.discovery, client).await;
            Ok(world)
        })
    }

    fn plan(&self, world: &World, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let budget = &*world.budget;
        let counted = status::count(world, now);
        let mut new = budget.clone();
        match &counted {
            Ok(counted) => status::write(&mut new, counted, now),
            Err(why) => status::fail_safe(&mut new, why, now),
        }
        // What upstream says at every look is said when something is new, or the plan would never be empty.
        if plan.update_status(budget, &new) {
            match &counted {
                Ok(counted) => report(world, counted, &mut plan),
                Err(why) => {
                    let message = format!("Failed to calculate the number of expected pods: {why}");
                    plan.event(Notice::warning(budget, "CalculateExpectedPodCountFailed", message));
                }
            }
        }
        if let Ok(status::Counted { recheck: Some(at), .. }) = counted {
            plan.requeue_within(until(at, now));
        }
        plan
    }
}

fn report(world: &World, counted: &status::Counted, plan: &mut Plan) {
    let budget = &*world.budget;
    if world.pods.is_empty() {
        plan.event(Notice::normal(budget, "NoPods", "No matching pods found"));
    }
    if counted.unmanaged {
        let message = format!(
            "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a result, the status of the \
             PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set \
             \".spec.minAvailable\" field of the PDB to an integer value.",
            go_text(budget.spec.as_ref().and_then(|s| s.selector.as_ref()))
        );
        plan.event(Notice::warning(budget, "UnmanagedPods", message));
    }
    for pod in &counted.not_deleted {
        let Ok(pod) = pod.stored.decode::<Pod>() else { continue };
        // The name of the namespace stands for that of the budget in upstream's message.
        let namespace = budget.key().namespace;
        let message = format!("Pod was expected by PDB {namespace}/{namespace} to be deleted but it wasn't");
        plan.event(Notice::warning(&*pod, "NotDeleted", message));
    }
}

/// The budgets of the namespace that select these labels.
fn budgets(namespace: &str, labels: &Labels, view: &View<'_>) -> Vec<Key> {
    let all = view.list::<PodDisruptionBudget>(namespace);
    let selects = |b: &PodDisruptionBudget| {
        b.spec.as_ref().and_then(|s| s.selector.as_ref()).is_some_and(|selector| selects(selector, labels))
    };
    all.iter().filter(|b| selects(b)).map(|b| b.key()).collect()
}

/// The budgets that selected the pod before or select it now, if anything changed that they count.
fn budgets_of_pod(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let counted = |pod: &Arc<Stored>| {
        let owner = pod.controller().map(|owner| owner.uid.clone());
        (pod.meta.labels.clone(), pod.meta.is_deleting(), pod.meta.uid.clone(), owner, PodFacts::of_ready(pod))
    };
    if delta.old.as_ref().map(counted) == delta.new.as_ref().map(counted) {
        return Vec::new();
    }
    let both = delta.old.iter().chain(&delta.new);
    let mut keys: Vec<Key> = both.flat_map(|pod| budgets(&pod.key.namespace, &pod.meta.labels, view)).collect();
    keys.sort();
    keys.dedup();
    keys
}

/// The budgets that select the pods of a workload whose number is another one now.
fn budgets_of_workload(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    #[derive(Deserialize, Default, PartialEq)]
    #[serde(default)]
    struct LiteSpec {
        replicas: Option<i32>,
        template: Parts<IgnoredAny, IgnoredAny, LiteMeta>,
    }
    #[derive(Deserialize, Default, PartialEq)]
    #[serde(default)]
    struct LiteMeta {
        labels: BTreeMap<String, String>,
    }
    let read =
        |stored: &Option<Arc<Stored>>| stored.as_ref().map(|s| Parts::<LiteSpec>::of(s).spec).unwrap_or_default();
    let (old, new) = (read(&delta.old), read(&delta.new));
    let Some(stored) = delta.new.as_ref().or(delta.old.as_ref()).filter(|_| old != new) else { return Vec::new() };
    let labels = if delta.new.is_some() { new } else { old }.template.metadata.labels;
    let labels: Labels = labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    budgets(&stored.key.namespace, &labels, view)
}
