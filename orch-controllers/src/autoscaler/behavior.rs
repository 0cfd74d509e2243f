//! From what the metrics ask for to what may be done now: windows, policies and limits (`normalizeDesiredReplicas` and
//! `normalizeDesiredReplicasWithBehaviors`).

use super::memory::Past;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::{HPAScalingRules, HorizontalPodAutoscalerBehavior};

/// `--horizontal-pod-autoscaler-downscale-stabilization`
const DOWN_WINDOW_SECONDS: i32 = 300;

/// What limits a scaling.
#[derive(Clone, Copy)]
pub(super) struct Limits<'a> {
    pub(super) behavior: Option<&'a HorizontalPodAutoscalerBehavior>,
    pub(super) min: i32,
    pub(super) max: i32,
    pub(super) current: i32,
    pub(super) now: Timestamp,
}

/// What came of it: the number, and the reasons and messages of `AbleToScale` and `ScalingLimited`.
pub(super) struct Normal {
    pub(super) replicas: i32,
    pub(super) able: (&'static str, &'static str),
    pub(super) limited: bool,
    pub(super) limit: (&'static str, &'static str),
}

const READY: (&str, &str) = ("ReadyForNewScale", "recommended size matches current size");
const HELD_DOWN: (&str, &str) = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
);
const HELD_UP: (&str, &str) = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const WITHIN: (&str, &str) = ("DesiredWithinRange", "the desired count is within the acceptable range");
const TOO_MANY: (&str, &str) = ("TooManyReplicas", "the desired replica count is more than the maximum replica count");
const TOO_FEW: (&str, &str) = ("TooFewReplicas", "the desired replica count is less than the minimum replica count");
const TOO_FAST_UP: (&str, &str) =
    ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate");
const TOO_FAST_DOWN: (&str, &str) =
    ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate");

pub(super) fn normalize(limits: &Limits<'_>, past: &Past, asked: i32) -> Normal {
    let (stable, able) = match limits.behavior {
        None => stabilize(limits, past, asked),
        Some(behavior) => stabilize_both(limits, behavior, past, asked),
    };
    let (replicas, limit) = match limits.behavior {
        None => limit(limits, stable),
        Some(behavior) => limit_rate(limits, behavior, past, stable),
    };
    let able = if stable == asked { READY } else { able };
    Normal { replicas, able, limited: replicas != stable, limit }
}

/// The highest of the recommendations of five minutes.
fn stabilize(limits: &Limits<'_>, past: &Past, asked: i32) -> (i32, (&'static str, &'static str)) {
    let cutoff = ago(limits.now, DOWN_WINDOW_SECONDS);
    let recent = past.recommendations.iter().filter(|(_, at)| *at >= cutoff).map(|(replicas, _)| *replicas);
    (recent.fold(asked, i32::max), HELD_DOWN)
}

/// Not more than was asked for at any time of the window of going up, nor less than at any time of that of going down.
fn stabilize_both(
    limits: &Limits<'_>,
    behavior: &HorizontalPodAutoscalerBehavior,
    past: &Past,
    asked: i32,
) -> (i32, (&'static str, &'static str)) {
    let window = |rules: &Option<HPAScalingRules>, absent| {
        rules.as_ref().and_then(|r| r.stabilization_window_seconds).unwrap_or(absent)
    };
    let recent = |seconds| {
        let cutoff = ago(limits.now, seconds);
        past.recommendations.iter().filter(move |(_, at)| *at > cutoff).map(|(replicas, _)| *replicas)
    };
    let up = recent(window(&behavior.scale_up, 0)).fold(asked, i32::min);
    let down = recent(window(&behavior.scale_down, DOWN_WINDOW_SECONDS)).fold(asked, i32::max);
    let stable = limits.current.max(up).min(down);
    (stable, if asked >= limits.current { HELD_UP } else { HELD_DOWN })
}

/// Without policies of its own an autoscaler at most doubles, or goes to four.
fn limit(limits: &Limits<'_>, asked: i32) -> (i32, (&'static str, &'static str)) {
    let fastest = limits.current.saturating_mul(2).max(4);
    let (most, why) = if limits.max > fastest { (fastest, TOO_FAST_UP) } else { (limits.max, TOO_MANY) };
    match asked {
        n if n < limits.min => (limits.min, TOO_FEW),
        n if n > most => (most, why),
        n => (n, WITHIN),
    }
}

fn limit_rate(
    limits: &Limits<'_>,
    behavior: &HorizontalPodAutoscalerBehavior,
    past: &Past,
    asked: i32,
) -> (i32, (&'static str, &'static str)) {
    let current = limits.current;
    if asked > current {
        let fastest = behavior.scale_up.as_ref().map_or(current, |rules| up_limit(limits, rules, past)).max(current);
        let (most, why) = if limits.max > fastest { (fastest, TOO_FAST_UP) } else { (limits.max, TOO_MANY) };
        return if asked > most { (most, why) } else { (asked, WITHIN) };
    }
    if asked < current {
        let rules = behavior.scale_down.as_ref();
        let fastest = rules.map_or(current, |rules| down_limit(limits, rules, past)).min(current);
        let (least, why) = if limits.min < fastest { (fastest, TOO_FAST_DOWN) } else { (limits.min, TOO_FEW) };
        return if asked < least { (least, why) } else { (asked, WITHIN) };
    }
    (asked, WITHIN)
}

/// How many replicas there may be at most.
fn up_limit(limits: &Limits<'_>, rules: &HPAScalingRules, past: &Past) -> i32 {
    let proposals = rules.policies.iter().flatten().map(|policy| {
        let start = at_start(limits, past, policy.period_seconds);
        match &*policy.type_ {
            "Pods" => start.saturating_add(policy.value),
            // Rounded up, or a small workload would never grow.
            _ => (f64::from(start) * (1.0 + f64::from(policy.value) / 100.0)).ceil() as i32,
        }
    });
    match rules.select_policy.as_deref() {
        Some("Disabled") => limits.current,
        Some("Min") => proposals.min().unwrap_or(i32::MAX),
        _ => proposals.max().unwrap_or(i32::MIN),
    }
}

/// How many replicas there must be at least.
fn down_limit(limits: &Limits<'_>, rules: &HPAScalingRules, past: &Past) -> i32 {
    let proposals = rules.policies.iter().flatten().map(|policy| {
        let start = at_start(limits, past, policy.period_seconds);
        match &*policy.type_ {
            "Pods" => start.saturating_sub(policy.value),
            _ => (f64::from(start) * (1.0 - f64::from(policy.value) / 100.0)) as i32,
        }
    });
    match rules.select_policy.as_deref() {
        Some("Disabled") => limits.current,
        Some("Min") => proposals.max().unwrap_or(i32::MIN),
        _ => proposals.min().unwrap_or(i32::MAX),
    }
}

/// The replicas at the beginning of a period.
fn at_start(limits: &Limits<'_>, past: &Past, seconds: i32) -> i32 {
    let cutoff = ago(limits.now, seconds);
    let sum = |changes: &[(i32, Timestamp)]| -> i32 {
        changes.iter().filter(|(_, at)| *at > cutoff).map(|(change, _)| *change).sum()
    };
    limits.current - sum(&past.ups) + sum(&past.downs)
}

fn ago(now: Timestamp, seconds: i32) -> Timestamp {
    now.saturating_sub(SignedDuration::from_secs(seconds.into())).unwrap_or(Timestamp::MIN)
}
