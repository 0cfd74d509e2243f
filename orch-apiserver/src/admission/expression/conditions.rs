//! `matchConditions`: expressions that must hold before somebody is asked
//! (`plugin/webhook/matchconditions/matcher.go`).

use super::{
    input::Input,
    variables::{Budget, Values},
};
use orch_api::{
    cel::MATCH_CONDITIONS_BUDGET,
    expressions::{Compiled, Scope},
    k8s_openapi::api::admissionregistration::v1::MatchCondition,
};
use serde_json::Value;

/// Expressions that must hold before somebody is asked.
pub(in crate::admission) struct Conditions {
    all: Vec<Compiled>,
    fails_open: bool,
}

/// What came of the conditions.
#[derive(Debug, PartialEq)]
pub(in crate::admission) enum Held {
    /// They hold: ask.
    Yes,
    /// One does not: do not ask.
    No,
    /// One cannot be computed, and the failure policy is to refuse.
    Failed(String),
}

impl Conditions {
    /// Compiles conditions over a scope.
    pub(in crate::admission) fn compile(scope: &Scope, conditions: &[MatchCondition], fails_open: bool) -> Self {
        let all = conditions.iter().map(|condition| scope.condition(&condition.expression)).collect();
        Self { all, fails_open }
    }

    /// Whether there are none.
    pub(in crate::admission) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether all hold. One that does not settles it, whatever became of the others.
    pub(in crate::admission) fn hold(&self, input: &Input) -> Held {
        let variables = Values::new(input, &[]);
        let mut budget = Budget::new(MATCH_CONDITIONS_BUDGET);
        let mut faults = Vec::new();
        for condition in &self.all {
            match budget.evaluate(condition, input, &variables) {
                Ok(Ok(Value::Bool(true))) => {}
                Ok(Ok(Value::Bool(false))) => return Held::No,
                Ok(Ok(_)) => faults.push("must evaluate to bool".to_owned()),
                Ok(Err(why)) => faults.push(why),
                Err(why) => {
                    faults = vec![why];
                    break;
                }
            }
        }
        match faults.as_slice() {
            [] => Held::Yes,
            _ if self.fails_open => Held::No,
            [one] => Held::Failed(one.clone()),
            many => Held::Failed(format!("[{}]", many.join(", "))),
        }
    }
}
