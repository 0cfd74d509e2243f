//! [`Round`]: whether the plugins run for the second time, and who then runs again
//! (`apiserver/pkg/admission/reinvocation.go`).
//!
//! When a webhook or a policy changed the object after another had seen it, all built-in plugins run once more, and of the
//! dynamic ones those that asked for it (`reinvocationPolicy: IfNeeded`).

use parking_lot::Mutex;
use serde_json::Value;
use std::collections::HashSet;

/// The state of one request's mutating admission.
#[derive(Default)]
pub(crate) struct Round {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    wanted: bool,
    second: bool,
    hooks: Tracker,
    policies: Tracker,
}

/// Which of the webhooks or policies have run and which shall run again.
#[derive(Default)]
pub(crate) struct Tracker {
    ran: HashSet<String>,
    again: HashSet<String>,
    last_output: Option<Value>,
}

impl Round {
    /// Whether this is the second time.
    pub(crate) fn is_second(&self) -> bool {
        self.state.lock().second
    }

    /// Begins the second time, if anybody asked for it.
    pub(crate) fn begin_second(&self) -> bool {
        let mut state = self.state.lock();
        state.second = state.wanted;
        state.second
    }

    /// Asks for a second time.
    pub(crate) fn want(&self) {
        self.state.lock().wanted = true;
    }

    /// Works on what is known of the webhooks.
    pub(crate) fn hooks<T>(&self, work: impl FnOnce(&mut Tracker) -> T) -> T {
        work(&mut self.state.lock().hooks)
    }

    /// Works on what is known of the policies.
    pub(crate) fn policies<T>(&self, work: impl FnOnce(&mut Tracker) -> T) -> T {
        work(&mut self.state.lock().policies)
    }
}

impl Tracker {
    /// Notes that one ran that wants to run again if the object changes.
    pub(crate) fn ran(&mut self, id: &str) {
        self.ran.insert(id.to_owned());
    }

    /// Notes that the object changed: whoever ran before shall run again.
    pub(crate) fn changed(&mut self) {
        self.again.extend(self.ran.drain());
    }

    /// Whether it shall run again.
    pub(crate) fn runs_again(&self, id: &str) -> bool {
        self.again.contains(id)
    }

    /// Notes what the object is like after all ran.
    pub(crate) fn leave(&mut self, object: &Value) {
        self.last_output = Some(object.clone());
    }

    /// Notices what others did to the object since.
    pub(crate) fn enter(&mut self, object: &Value) {
        if self.last_output.as_ref().is_some_and(|last| last != object) {
            self.changed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_those_run_again_whose_output_was_changed_after_them() {
        let mut tracker = Tracker::default();
        tracker.ran("first");
        tracker.changed();
        tracker.ran("last");
        assert!(tracker.runs_again("first") && !tracker.runs_again("last"));
    }

    #[test]
    fn a_change_by_others_between_the_rounds_counts_for_all() {
        let mut tracker = Tracker::default();
        tracker.ran("hook");
        tracker.leave(&json!({"a": 1}));
        tracker.enter(&json!({"a": 1}));
        assert!(!tracker.runs_again("hook"));
        tracker.enter(&json!({"a": 2}));
        assert!(tracker.runs_again("hook"));
    }

    #[test]
    fn there_is_no_second_round_unless_it_is_asked_for() {
        let round = Round::default();
        assert!(!round.begin_second());
        round.want();
        assert!(round.begin_second() && round.is_second());
    }
}
