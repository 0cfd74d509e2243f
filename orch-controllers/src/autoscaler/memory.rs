//! What an autoscaler has to remember: what it recommended, how it scaled, what it selects. It is lost with the process,
//! as upstream's is, and then begins with the replicas that there are.

use super::{World, decide::Decision};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use orch_api::{Key, Object, label_selector::Selector};
use orch_runtime::Error;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// No window and no period of a policy is longer (validation allows an hour and half an hour).
const LONGEST: SignedDuration = SignedDuration::from_hours(1);

/// What all autoscalers remember.
#[derive(Default)]
pub(super) struct Memory(Mutex<BTreeMap<Key, Past>>);

/// What one autoscaler remembers.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    /// How many replicas the metrics asked for, before anything was stabilized.
    pub(super) recommendations: Vec<(i32, Timestamp)>,
    /// By how much it scaled up.
    pub(super) ups: Vec<(i32, Timestamp)>,
    /// By how much it scaled down.
    pub(super) downs: Vec<(i32, Timestamp)>,
    /// What became of a rescale that the status does not tell yet.
    pub(super) outcome: Option<Outcome>,
    selector: Option<Selector>,
}

/// What became of a rescale.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// The scale was written.
    Done {
        /// The replicas before.
        from: i32,
        /// The replicas after.
        to: i32,
        /// When.
        at: Timestamp,
    },
    /// It was refused.
    Refused {
        /// The replicas that were wanted.
        to: i32,
        /// Why they were wanted.
        reason: String,
        /// The words of the refusal.
        error: String,
    },
}

impl Memory {
    pub(super) fn of(&self, key: &Key) -> Past {
        self.0.lock().get(key).cloned().unwrap_or_default()
    }

    pub(super) fn forget(&self, key: &Key) {
        self.0.lock().remove(key);
    }

    /// What the autoscalers of a namespace select.
    pub(super) fn selectors(&self, namespace: &str) -> Vec<(Key, Selector)> {
        let all = self.0.lock();
        let known = all.iter().filter(|(key, _)| &*key.namespace == namespace);
        known.filter_map(|(key, past)| Some((key.clone(), past.selector.clone()?))).collect()
    }

    /// Takes in what was decided and whether it was done.
    pub(super) fn learn(
        &self,
        about: &Arc<HorizontalPodAutoscaler>,
        world: &World,
        decision: &Decision,
        now: Timestamp,
        error: Option<&Error>,
    ) {
        let mut past = world.past.clone();
        past.selector = world.observed.as_ref().and_then(|o| o.selector.clone());
        if let Some(initial) = decision.initial.filter(|_| past.recommendations.is_empty()) {
            past.recommendations.push((initial, now));
        }
        past.recommendations.extend(decision.recommendation.map(|replicas| (replicas, now)));
        match (&decision.rescale, error) {
            // Somebody else wrote first: nothing was done and nothing is wrong.
            (_, Some(error)) if error.is_conflict() => {}
            (Some(rescale), None) => {
                past.outcome = Some(Outcome::Done { from: rescale.from, to: rescale.to, at: now });
                if about.spec.behavior.is_some() {
                    let change = rescale.to - rescale.from;
                    if change > 0 { past.ups.push((change, now)) } else { past.downs.push((-change, now)) }
                }
            }
            (Some(rescale), Some(error)) => {
                let (reason, error) = (rescale.reason.clone(), error.to_string());
                past.outcome = Some(Outcome::Refused { to: rescale.to, reason, error });
            }
            (None, Some(_)) => {}
            (None, None) => past.outcome = None,
        }
        let old = now.saturating_sub(LONGEST).unwrap_or(Timestamp::MIN);
        for list in [&mut past.recommendations, &mut past.ups, &mut past.downs] {
            list.retain(|(_, at)| *at >= old);
        }
        self.0.lock().insert(about.key(), past);
    }
}
