//! The decision of an autoscaler (`reconcileAutoscaler`): a function of what was observed, of what it remembers and of the
//! time.

use super::{
    Scale, World,
    behavior::{Limits, normalize},
    calculator::{Setting, Tolerances},
    gather::Observed,
    memory::Outcome,
    metric::propose,
};
use jiff::Timestamp;
use k8s_openapi::{
    api::autoscaling::v2::{
        HPAScalingRules, HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerSpec,
        HorizontalPodAutoscalerStatus, MetricStatus,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use orch_api::{Object, conditions, quantity::Quantity};

/// `--horizontal-pod-autoscaler-tolerance`
const TOLERANCE: f64 = 0.1;

/// What to do, what to say, what to remember.
pub(super) struct Decision {
    pub(super) status: HorizontalPodAutoscalerStatus,
    pub(super) rescale: Option<Rescale>,
    /// Reasons and messages of warning events.
    pub(super) warnings: Vec<(&'static str, String)>,
    /// What the metrics ask for.
    pub(super) recommendation: Option<i32>,
    /// The replicas that there are, as the first recommendation of an autoscaler that remembers none.
    pub(super) initial: Option<i32>,
}

/// Another number of replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rescale {
    pub(super) from: i32,
    pub(super) to: i32,
    pub(super) reason: String,
}

/// Whether metrics say anything about a target of so many replicas.
pub(super) fn needs_metrics(autoscaler: &HorizontalPodAutoscaler, current: i32) -> bool {
    let spec = autoscaler.spec.clone();
    let min = spec.min_replicas.unwrap_or(1);
    match current {
        // Who scaled it to zero decides whether it comes back by itself.
        0 => is_scaled_to_zero(autoscaler) && (min != 0 || measures_others(&spec)),
        n => n <= spec.max_replicas && n >= min,
    }
}

pub(super) fn decide(world: &World, observed: &Observed, now: Timestamp) -> Decision {
    let mut draft = Draft::new(&world.autoscaler, now);
    let scale = match &observed.scale {
        Ok(scale) => scale,
        Err(why) => {
            draft.warn("FailedGetScale", why.clone());
            let words = format!("the HPA controller was unable to get the target's current scale: {why}");
            draft.set("AbleToScale", false, "FailedGetScale", words);
            return draft.done();
        }
    };
    draft.decision.initial = Some(scale.wanted);
    let words = "the HPA controller was able to get the target's current scale";
    draft.set("AbleToScale", true, "SucceededGetScale", words);
    let spec = world.autoscaler.spec.clone();
    let min = spec.min_replicas.unwrap_or(1);
    let current = scale.wanted;
    let (mut desired, mut reason, mut metrics) = (current, String::new(), None);
    if needs_metrics(&world.autoscaler, current) {
        match by_metrics(world, observed, scale, &spec, &mut draft) {
            Some((replicas, why, statuses)) => (desired, reason, metrics) = (replicas, why, statuses),
            None => return draft.failed(scale),
        }
    } else if current == 0 {
        let words = "scaling is disabled since the replica count of the target is zero";
        draft.set("ScalingActive", false, "ScalingDisabled", words);
    } else if current > spec.max_replicas {
        (desired, reason) = (spec.max_replicas, "Current number of replicas above Spec.MaxReplicas".into());
    } else {
        (desired, reason) = (min, "Current number of replicas below Spec.MinReplicas".into());
    }
    let outcome = world.past.outcome.as_ref();
    draft.tell_outcome(outcome, min, measures_others(&spec));
    // The metrics do not know yet what a rescale has brought: the next look decides, by those that do.
    let decided = if let Some(Outcome::Done { to, .. }) = outcome { Some(*to) } else { None };
    if let Some(to) = decided {
        draft.decision.recommendation = None;
        desired = to;
    }
    let status = &mut draft.decision.status;
    status.current_replicas = Some(current);
    status.desired_replicas = desired;
    status.current_metrics = metrics;
    draft.decision.rescale =
        (desired != current && decided.is_none()).then_some(Rescale { from: current, to: desired, reason });
    draft.done()
}

/// What the metrics ask for within the limits: the number, why, and the status of each metric. `None` if they say nothing.
fn by_metrics(
    world: &World,
    observed: &Observed,
    scale: &Scale,
    spec: &HorizontalPodAutoscalerSpec,
    draft: &mut Draft,
) -> Option<(i32, String, Option<Vec<MetricStatus>>)> {
    let current = scale.wanted;
    let (asked, name) = of_all(world, observed, scale, spec, draft)?;
    let mut reason = match asked {
        n if n > current => format!("{name} above target"),
        n if n < current => "All metrics below target".into(),
        _ => String::new(),
    };
    let (min, behavior) = (spec.min_replicas.unwrap_or(1), spec.behavior.as_ref());
    let limits = Limits { behavior, min, max: spec.max_replicas, current, now: draft.now };
    let mut past = world.past.clone();
    if past.recommendations.is_empty() {
        past.recommendations.push((current, draft.now));
    }
    let normal = normalize(&limits, &past, asked);
    draft.decision.recommendation = Some(asked);
    draft.set("AbleToScale", true, normal.able.0, normal.able.1);
    draft.set("ScalingLimited", normal.limited, normal.limit.0, normal.limit.1);
    let mut desired = normal.replicas;
    if current == 0 && desired < min {
        desired = min;
        if reason.is_empty() {
            reason = "Current number of replicas below Spec.MinReplicas".into();
        }
    }
    Some((desired, reason, Some(draft.metrics.clone()).filter(|all| !all.is_empty())))
}

/// The most that any metric asks for. When some are not to be had, the others may still ask for more replicas, not for less.
fn of_all(
    world: &World,
    observed: &Observed,
    scale: &Scale,
    spec: &HorizontalPodAutoscalerSpec,
    draft: &mut Draft,
) -> Option<(i32, String)> {
    if let Some((event, condition, error)) = selector_fault(world, observed, scale) {
        draft.warn(event, error.clone());
        let reason = if event == "AmbiguousSelector" { event } else { "InvalidSelector" };
        draft.set("ScalingActive", false, reason, condition);
        draft.warn("FailedComputeMetricsReplicas", error);
        return None;
    }
    let setting = Setting {
        pods: &observed.pods,
        wanted: scale.wanted,
        there: scale.there,
        tolerances: tolerances(spec),
        now: draft.now,
    };
    let specs = spec.metrics.as_deref().unwrap_or_default();
    let (mut replicas, mut name, mut failures) = (0, String::new(), Vec::new());
    for (metric, reading) in specs.iter().zip(&observed.readings) {
        match propose(metric, reading, &setting) {
            Ok(proposal) => {
                draft.metrics.push(proposal.status);
                if replicas == 0 || proposal.replicas > replicas {
                    (replicas, name) = (proposal.replicas, proposal.name);
                }
            }
            Err(refused) => {
                draft.metrics.push(MetricStatus::default());
                draft.warn(refused.reason, refused.words.clone());
                failures.push(refused);
            }
        }
    }
    if let Some(first) = failures.first()
        && (failures.len() >= specs.len() || replicas < scale.wanted)
    {
        let words = format!("the HPA was unable to compute the replica count: {}", first.words);
        draft.set("ScalingActive", false, first.reason, words);
        let error = &first.error;
        let error =
            format!("invalid metrics ({} invalid out of {}), first error is: {error}", failures.len(), specs.len());
        draft.warn("FailedComputeMetricsReplicas", error);
        return None;
    }
    let words = format!("the HPA was able to successfully calculate a replica count from {name}");
    draft.set("ScalingActive", true, "ValidMetricFound", words);
    Some((replicas, name))
}

/// What is wrong with the selector of the scale: reason of the event, words of the condition, words of the event.
fn selector_fault(world: &World, observed: &Observed, scale: &Scale) -> Option<(&'static str, String, String)> {
    if scale.selector.is_empty() {
        let condition = "the HPA target's scale is missing a selector".to_owned();
        return Some(("SelectorRequired", condition, "selector is required".into()));
    }
    if let Some(why) = &observed.bad_selector {
        let words = format!("couldn't convert selector into a corresponding internal selector object: {why}");
        return Some(("InvalidSelector", words.clone(), words));
    }
    let pods = observed.pods.as_deref().unwrap_or_default();
    let mut rivals: Vec<String> = Vec::new();
    for (key, selector) in &world.others {
        if pods.iter().any(|pod| selector.matches(&pod.metadata.labels)) {
            rivals.push(format!("{{{} {}}}", key.name, key.namespace));
        }
    }
    if rivals.is_empty() || pods.is_empty() {
        return None;
    }
    let own = world.autoscaler.key();
    rivals.push(format!("{{{} {}}}", own.name, own.namespace));
    rivals.sort();
    let words = format!("pods by selector {} are controlled by multiple HPAs: [{}]", scale.selector, rivals.join(" "));
    Some(("AmbiguousSelector", words.clone(), words))
}

fn tolerances(spec: &HorizontalPodAutoscalerSpec) -> Tolerances {
    let of = |rules: Option<&HPAScalingRules>| {
        let own = rules.and_then(|r| r.tolerance.as_ref()).and_then(|text| Quantity::parse(&text.0).ok());
        own.map_or(TOLERANCE, Quantity::as_f64)
    };
    let behavior = spec.behavior.as_ref();
    let side =
        |pick: fn(&k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerBehavior) -> Option<&HPAScalingRules>| {
            of(behavior.and_then(pick))
        };
    Tolerances { down: side(|b| b.scale_down.as_ref()), up: side(|b| b.scale_up.as_ref()) }
}

/// Whether there are metrics that go on while there are no pods.
fn measures_others(spec: &HorizontalPodAutoscalerSpec) -> bool {
    spec.metrics.iter().flatten().any(|metric| matches!(&*metric.type_, "Object" | "External"))
}

fn is_scaled_to_zero(autoscaler: &HorizontalPodAutoscaler) -> bool {
    let all = autoscaler.status.iter().flat_map(|s| s.conditions.iter().flatten());
    conditions::is_true(all, "ScaledToZero")
}

/// A decision in the making.
struct Draft {
    decision: Decision,
    metrics: Vec<MetricStatus>,
    now: Timestamp,
}

impl Draft {
    fn new(autoscaler: &HorizontalPodAutoscaler, now: Timestamp) -> Self {
        let status = autoscaler.status.clone().unwrap_or_default();
        let decision = Decision { status, rescale: None, warnings: Vec::new(), recommendation: None, initial: None };
        Self { decision, metrics: Vec::new(), now }
    }

    fn set(&mut self, kind: &str, holds: bool, reason: &str, message: impl Into<String>) {
        let condition = HorizontalPodAutoscalerCondition {
            type_: kind.into(),
            status: if holds { "True" } else { "False" }.into(),
            reason: Some(reason.into()),
            message: Some(message.into()),
            ..HorizontalPodAutoscalerCondition::default()
        };
        conditions::set(self.decision.status.conditions.get_or_insert_default(), condition, self.now);
    }

    fn has(&self, kind: &str) -> bool {
        self.decision.status.conditions.iter().flatten().any(|condition| condition.type_ == kind)
    }

    fn warn(&mut self, reason: &'static str, message: String) {
        self.decision.warnings.push((reason, message));
    }

    /// What came of the rescale that was tried last.
    fn tell_outcome(&mut self, outcome: Option<&Outcome>, min: i32, measures_others: bool) {
        match outcome {
            None => {}
            Some(Outcome::Done { from, to, at }) => {
                let words = format!("the HPA controller was able to update the target scale to {to}");
                self.set("AbleToScale", true, "SucceededRescale", words);
                self.decision.status.last_scale_time = Some(Time(*at));
                if *from > 0 && *to == 0 && min == 0 && measures_others {
                    let words = "the HPA controller scaled the workload to zero";
                    self.set("ScaledToZero", true, "ScaledToZero", words);
                } else if min == 0 || self.has("ScaledToZero") {
                    let words = "the HPA controller did not scale the workload to zero";
                    self.set("ScaledToZero", false, "NotScaledToZero", words);
                }
            }
            Some(Outcome::Refused { to, reason, error }) => {
                self.warn("FailedRescale", format!("New size: {to}; reason: {reason}; error: {error}"));
                let words = format!("the HPA controller was unable to update the target scale: {error}");
                self.set("AbleToScale", false, "FailedUpdateScale", words);
            }
        }
    }

    /// The metrics say nothing: what is known is told, and nothing is scaled.
    fn failed(mut self, scale: &Scale) -> Decision {
        self.decision.status.current_replicas = Some(scale.wanted);
        self.decision.status.current_metrics = Some(std::mem::take(&mut self.metrics)).filter(|all| !all.is_empty());
        self.decision
    }

    fn done(self) -> Decision {
        self.decision
    }
}
