//! A Deployment's rollout: never more Pods than maxSurge allows, never fewer than maxUnavailable does.

use super::{Judge, Oracle};
use crate::sim::state::{Seen, Verb, Write};
use serde_json::Value;
use std::sync::Arc;

/// Judged at what the controller writes to ReplicaSets, not when a node dies.
pub struct Rollout;

/// What a Deployment allows.
struct Bounds {
    most: i64,
    least: i64,
}

impl Oracle for Rollout {
    fn name(&self) -> &'static str {
        "rollout"
    }

    fn judge(&mut self, write: &Write, judge: &Judge<'_>) -> Result<(), String> {
        let Some(set) = write.new.as_ref().filter(|new| new.kind == "ReplicaSet") else { return Ok(()) };
        let Some((owner, "Deployment")) = set.controller() else { return Ok(()) };
        if *write.who == *"user" || write.verb == Verb::Delete {
            return Ok(());
        }
        let bounds: Vec<Bounds> =
            judge.believed(write, owner).iter().filter_map(|deployment| bounds(deployment)).collect();
        let (Some(most), Some(least)) = (bounds.iter().map(|b| b.most).max(), bounds.iter().map(|b| b.least).min())
        else {
            return Ok(());
        };
        let before = write.old.as_ref().map_or(0, |old| old.number("/spec/replicas"));
        let after = set.number("/spec/replicas");
        if after > before {
            let total: i64 = judge.state.owned_by(owner).map(|set| set.number("/spec/replicas")).sum();
            if total > most {
                return Err(format!(
                    "{set} was scaled from {before} to {after}: {total} Pods are wanted, {most} allowed"
                ));
            }
        }
        if after < before {
            let kept: i64 = judge
                .state
                .owned_by(owner)
                .map(|other| available(write, judge, other, other.number("/spec/replicas")))
                .sum();
            let had = kept - available(write, judge, set, after) + available(write, judge, set, before);
            if kept < had && kept < least {
                return Err(format!(
                    "{set} was scaled from {before} to {after}: {kept} Pods stay available, {least} must"
                ));
            }
        }
        Ok(())
    }
}

/// How many Pods of a set stay available with so many replicas, as well as the writer could hope for.
fn available(write: &Write, judge: &Judge<'_>, set: &Arc<Seen>, replicas: i64) -> i64 {
    let believed = judge.believed(write, &set.uid);
    let most = believed.iter().map(|set| set.number("/status/availableReplicas")).max();
    most.unwrap_or_else(|| set.number("/status/availableReplicas")).min(replicas)
}

fn bounds(deployment: &Seen) -> Option<Bounds> {
    let replicas = deployment.number("/spec/replicas");
    if deployment.text("/spec/strategy/type") == "Recreate" || deployment.is_deleting() {
        return Some(Bounds { most: replicas, least: 0 }).filter(|_| !deployment.is_deleting());
    }
    let part =
        |name: &str, up: bool| part(deployment.at(&format!("/spec/strategy/rollingUpdate/{name}")), replicas, up);
    let (surge, unavailable) = (part("maxSurge", true), part("maxUnavailable", false));
    // Both rounded to nothing would never move: one may be missing then (`ResolveFenceposts`).
    let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
    Some(Bounds { most: replicas + surge, least: (replicas - unavailable).max(0) })
}

/// A number, or a part of a whole.
pub(super) fn part(value: &Value, of: i64, up: bool) -> i64 {
    let percent = |text: &str| text.strip_suffix('%').and_then(|number| number.parse::<i64>().ok());
    match value {
        Value::Number(number) => number.as_i64().unwrap_or(0),
        Value::String(text) => {
            let hundredths = percent(text).unwrap_or(0) * of;
            if up { (hundredths + 99) / 100 } else { hundredths / 100 }
        }
        _ => 0,
    }
}
