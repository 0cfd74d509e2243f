//! Evaluation: the variables of a policy are computed when an expression first mentions them, and everything together must
//! stay within a budget.

use super::input::Input;
use orch_api::{
    cel::{EvalError, Fields, Lazy, PER_CALL_LIMIT, Program, Value as Cel},
    expressions::{Compiled, Variable},
};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::HashMap;

const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// What is left of the cost that expressions may have together.
pub(in crate::admission) struct Budget(u64);

impl Budget {
    /// So much.
    pub(in crate::admission) fn new(cost: u64) -> Self {
        Self(cost)
    }

    /// Evaluates an expression; the outer error says that there is no budget left.
    pub(in crate::admission) fn evaluate(
        &mut self,
        expression: &Compiled,
        input: &Input,
        variables: &Values<'_>,
    ) -> Result<Result<Value, String>, String> {
        let program = match &expression.program {
            Ok(program) => program,
            Err(why) => return Ok(Err(format!("compilation error: {why}"))),
        };
        let mut bindings = input.bindings();
        bindings.insert("variables", Cel::Lazy(Lazy(variables)));
        let limit = self.0.min(PER_CALL_LIMIT);
        let (result, cost) = match program.evaluate(&bindings, limit) {
            Ok(outcome) => (Ok(outcome.value.to_json()), outcome.cost),
            Err(failed) => {
                if failed.error == EvalError::OverBudget && self.0 <= PER_CALL_LIMIT {
                    return Err(OUT_OF_BUDGET.into());
                }
                (Err(format!("expression '{}' resulted in error: {}", expression.text, failed.error)), failed.cost)
            }
        };
        match self.0.checked_sub(cost) {
            Some(rest) => self.0 = rest,
            None => return Err(OUT_OF_BUDGET.into()),
        }
        Ok(result)
    }
}

/// The variables of a policy for one write.
pub(in crate::admission) struct Values<'a> {
    input: &'a Input,
    declared: &'a [Variable],
    known: Mutex<HashMap<&'a str, Result<Value, EvalError>>>,
}

impl<'a> Values<'a> {
    /// Nothing is computed yet.
    pub(in crate::admission) fn new(input: &'a Input, declared: &'a [Variable]) -> Self {
        Self { input, declared, known: Mutex::default() }
    }

    fn compute(&self, variable: &Variable) -> Result<(Value, u64), EvalError> {
        let program: &Program = match &variable.compiled.program {
            Ok(program) => program,
            Err(why) => {
                return Err(EvalError::Message(format!(
                    "composited variable {:?} fails to compile: {why}",
                    variable.name
                )));
            }
        };
        let mut bindings = self.input.bindings();
        bindings.insert("variables", Cel::Lazy(Lazy(self)));
        match program.evaluate(&bindings, PER_CALL_LIMIT) {
            Ok(outcome) => Ok((outcome.value.to_json(), outcome.cost)),
            Err(failed) => {
                let why = format!("composited variable {:?} fails to evaluate: {}", variable.name, failed.error);
                Err(EvalError::Message(why))
            }
        }
    }
}

impl Fields for Values<'_> {
    /// A variable costs once, where it is first mentioned.
    fn field(&self, name: &str) -> Option<Result<(Value, u64), EvalError>> {
        if let Some(known) = self.known.lock().get(name) {
            return Some(known.clone().map(|value| (value, 0)));
        }
        let variable = self.declared.iter().find(|variable| variable.name == name)?;
        let computed = self.compute(variable);
        let kept = computed.as_ref().map(|(value, _)| value.clone()).map_err(EvalError::clone);
        self.known.lock().insert(&variable.name, kept);
        Some(computed)
    }
}
