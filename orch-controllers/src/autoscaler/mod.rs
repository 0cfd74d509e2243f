//! `horizontal-pod-autoscaler-controller`: as many replicas as the metrics ask for (`pkg/controller/podautoscaler`).
//!
//! ```text
//! observe ─► gather: scale, pods, metrics ─► decide(World, now) ─► plan: status, scale, events
//!    ▲                                                └─► remember ─► Memory ──┐
//!    └──────────────── recommendations and scalings of the past ◄──────────────┘
//! ```
//!
//! A rescale is two plans: the first writes the scale, the second says in the status what came of it.

mod behavior;
mod calculator;
mod decide;
mod gather;
mod memory;
mod metric;
#[cfg(test)]
mod tests;

use decide::{Decision, decide};
use futures::future::BoxFuture;
use gather::Observed;
use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use memory::{Memory, Past};
use orch_api::{Key, Object, label_selector::Selector};
use orch_runtime::{
    Action, Controller, Discovery, Error, Plan, Target, View, Watches, autoscaling::MetricsProvider, plan::Notice,
    queue::Backoff, watches::spec_changed,
};
use orch_store::Client;
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// How often metrics are looked at (`--horizontal-pod-autoscaler-sync-period`).
const PERIOD: Duration = Duration::from_secs(15);

/// Scales workloads by metrics.
pub struct Autoscaler {
    discovery: Arc<dyn Discovery>,
    metrics: Arc<dyn MetricsProvider>,
    memory: Memory,
}

impl Autoscaler {
    /// One that has decided nothing yet.
    pub fn new(discovery: Arc<dyn Discovery>, metrics: Arc<dyn MetricsProvider>) -> Self {
        Self { discovery, metrics, memory: Memory::default() }
    }
}

/// An autoscaler, what was decided about it before, and what it was told by others.
pub struct World {
    autoscaler: Arc<HorizontalPodAutoscaler>,
    past: Past,
    /// The other autoscalers of the namespace, with what they select as far as that is known.
    others: Vec<(Key, Selector)>,
    /// What the API says; absent until it was asked.
    observed: Option<Observed>,
}

impl Controller for Autoscaler {
    const NAME: &'static str = "horizontal-pod-autoscaler-controller";
    const ABOUT: &'static str = "Scales workloads by the metrics of their Pods and by those of others.";
    const COMPONENT: &'static str = "horizontal-pod-autoscaler";
    // Metrics that are missing, and scales that are refused, are asked for again in the same rhythm.
    const BACKOFF: Option<Backoff> = Some(Backoff { base: PERIOD, max: PERIOD, hold: Duration::from_secs(1) });
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<HorizontalPodAutoscaler>().only(spec_changed)
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let found: Option<Arc<HorizontalPodAutoscaler>> = view.get(key);
        let Some(autoscaler) = found.filter(|a| !a.is_deleting()) else {
            self.memory.forget(key);
            return None;
        };
        let gvr = HorizontalPodAutoscaler::gvr();
        let others = self.memory.selectors(&key.namespace);
        let others = others.into_iter().filter(|(other, _)| other != key && view.stored(&gvr, other).is_some());
        Some(World { past: self.memory.of(key), others: others.collect(), autoscaler, observed: None })
    }

    fn gather<'a>(&'a self, mut world: World, client: &'a dyn Client) -> BoxFuture<'a, Result<World, Error>> {
        Box::pin(async move {
            let sources = gather::Sources { discovery: &*self.discovery, metrics: &*self.metrics, client };
            world.observed = Some(gather::gather(&world.autoscaler, &sources).await);
            Ok(world)
        })
    }

    fn plan(&self, world: &World, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let Some(observed) = &world.observed else { return plan };
        let decision = decide(world, observed, now);
        plan.requeue_within(PERIOD);
        // Of a rescale the status tells when it is done, not before.
        if decision.rescale.is_none() || world.past.outcome.is_some() {
            report(world, &decision, &mut plan);
        }
        if let (Some(rescale), Ok(scale)) = (&decision.rescale, &observed.scale) {
            let mut body = scale.body.clone();
            body["spec"]["replicas"] = json!(rescale.to);
            plan.actions.push(Action::Update {
                target: scale.target.clone(),
                subresource: Some("scale"),
                before: scale.body.clone(),
                body,
            });
            let message = format!("New size: {}; reason: {}", rescale.to, rescale.reason);
            plan.event(Notice::normal(&*world.autoscaler, "SuccessfulRescale", message));
            plan.requeue_within(Duration::ZERO);
        }
        plan
    }

    fn remember(&self, world: &World, now: Timestamp, error: Option<&Error>) {
        if let Some(observed) = &world.observed {
            let decision = decide(world, observed, now);
            self.memory.learn(&world.autoscaler, world, &decision, now, error);
        }
    }
}

/// Writes the status. What goes wrong is told when it begins to or when it is something else.
fn report(world: &World, decision: &Decision, plan: &mut Plan) {
    let mut new = (*world.autoscaler).clone();
    new.status = Some(decision.status.clone());
    plan.update_status(&*world.autoscaler, &new);
    let told = |autoscaler: &HorizontalPodAutoscaler| -> Vec<_> {
        let conditions = autoscaler.status.iter().flat_map(|s| s.conditions.iter().flatten());
        conditions.map(|c| (c.type_.clone(), c.status.clone(), c.reason.clone(), c.message.clone())).collect()
    };
    if told(&new) != told(&world.autoscaler) {
        for (reason, message) in &decision.warnings {
            plan.event(Notice::warning(&*world.autoscaler, reason, message.clone()));
        }
    }
}

/// The scale of a workload, and where it is written.
pub(crate) struct Scale {
    target: Target,
    body: serde_json::Value,
    /// `spec.replicas`
    wanted: i32,
    /// `status.replicas`
    there: i32,
    /// `status.selector`
    selector: String,
}
