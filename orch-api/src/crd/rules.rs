//! `x-kubernetes-validations`: rules compiled once per schema, and evaluated along an object within a budget
//! (`apiserver/schema/cel/validation.go`).

use super::{
    decl, field_path,
    node::{Additional, Node, Type, Validation},
    old,
};
use crate::{
    FieldError, FieldErrors, Path,
    cel::{Bindings, Decl, Environment, EvalError, PER_CALL_LIMIT, Program, Value},
};
use serde_json::Value as Json;
use std::{collections::BTreeMap, sync::Arc};

/// The longest text that a message expression may make.
const MESSAGE_MAX: usize = 5 * 1024;

/// The rules of a schema and of what is below it.
#[derive(Debug)]
pub(super) struct Rules {
    node: Arc<Node>,
    decl: Option<Arc<Decl>>,
    own: Vec<Rule>,
    properties: BTreeMap<String, Rules>,
    additional: Option<Box<Rules>>,
    items: Option<Box<Rules>>,
}

#[derive(Debug)]
struct Rule {
    source: Validation,
    compiled: Result<Compiled, String>,
}

/// A compiled rule.
#[derive(Debug)]
pub(super) struct Compiled {
    /// The rule.
    pub(super) program: Program,
    /// Its message expression.
    pub(super) message: Option<Result<Program, String>>,
    /// Whether it compares with the old value.
    pub(super) uses_old: bool,
}

/// Compiles a rule over a declaration; the error is the detail that a definition's author sees.
pub(super) fn compile(decl: &Arc<Decl>, rule: &Validation) -> Result<Compiled, String> {
    let old = match rule.optional_old_self {
        Some(true) => Arc::new(Decl::of(crate::cel::Type::Optional(Arc::new(decl.ty.clone())))),
        _ => decl.clone(),
    };
    let environment = Environment::new().variable("self", decl.clone()).variable("oldSelf", old);
    let program = environment.compile(&rule.rule).map_err(|e| format!("compilation failed: {e}"))?;
    if !matches!(program.output(), crate::cel::Type::Bool) {
        return Err("cel expression must evaluate to a bool".into());
    }
    let message = (!rule.message_expression.is_empty()).then(|| {
        let program = environment
            .compile(&rule.message_expression)
            .map_err(|e| format!("messageExpression compilation failed: {e}"))?;
        match program.output() {
            crate::cel::Type::String => Ok(program),
            _ => Err("messageExpression must evaluate to a string".to_owned()),
        }
    });
    let uses_old = program.uses("oldSelf");
    Ok(Compiled { program, message, uses_old })
}

impl Rules {
    /// The rules of a schema; `None` where there are none, here or below.
    pub(super) fn of(node: &Arc<Node>, resource: bool) -> Option<Self> {
        let properties: BTreeMap<String, Rules> = node
            .properties
            .iter()
            .filter_map(|(name, inner)| Some((name.clone(), Self::of(inner, inner.embedded)?)))
            .collect();
        let additional = match &node.additional {
            Additional::Schema(inner) => Self::of(inner, inner.embedded).map(Box::new),
            _ => None,
        };
        let items = node.items.as_ref().and_then(|inner| Self::of(inner, inner.embedded)).map(Box::new);
        if node.validations.is_empty() && properties.is_empty() && additional.is_none() && items.is_none() {
            return None;
        }
        let decl = if node.validations.is_empty() { None } else { decl::of(node, resource).map(Arc::new) };
        let own = node.validations.iter().filter(|rule| !rule.rule.trim().is_empty()).map(|rule| Rule {
            source: rule.clone(),
            compiled: match &decl {
                Some(decl) => compile(decl, rule),
                None => Err("failed to convert to declType for CEL validation rules".into()),
            },
        });
        Some(Self { node: node.clone(), own: own.collect(), decl, properties, additional, items })
    }

    /// Judges a value. `budget` is what all rules together may still cost; it is negative afterwards when it ran out, and
    /// then the rest was not looked at. Faults of values that have not changed become `warnings`.
    pub(super) fn check(
        &self,
        path: &Path,
        value: &Json,
        old: Option<&Json>,
        budget: &mut i64,
        out: &mut FieldErrors,
        warnings: &mut Vec<String>,
    ) {
        let unchanged = old == Some(value);
        self.walk(path, value, old, unchanged, &mut Run { budget, out, warnings });
    }

    fn walk(&self, path: &Path, value: &Json, old: Option<&Json>, unchanged: bool, run: &mut Run<'_>) {
        if value.is_null() || *run.budget < 0 {
            return;
        }
        let unchanged = unchanged || old == Some(value);
        if let (Some(decl), false) = (&self.decl, self.own.is_empty()) {
            self.evaluate(decl, path, value, old, unchanged, run);
        }
        match value {
            Json::Object(map) => {
                for (name, value) in map {
                    let old = old.and_then(|old| old.get(name));
                    match (self.properties.get(name), &self.additional) {
                        (Some(inner), _) => inner.walk(&path.child(name), value, old, unchanged, run),
                        (None, Some(inner)) if !self.node.properties.contains_key(name) => {
                            inner.walk(&path.key(name), value, old, unchanged, run);
                        }
                        _ => {}
                    }
                }
            }
            Json::Array(items) => {
                let Some(inner) = &self.items else { return };
                for (i, item) in items.iter().enumerate() {
                    let old = old::item(&self.node, item, old);
                    inner.walk(&path.index(i), item, old, unchanged, run);
                }
            }
            _ => {}
        }
    }

    fn evaluate(&self, decl: &Decl, path: &Path, value: &Json, old: Option<&Json>, unchanged: bool, run: &mut Run<'_>) {
        let old = old.filter(|old| !old.is_null());
        let shown = Json::from(self.node.ty.word());
        for rule in &self.own {
            if *run.budget <= 0 {
                run.out.push(FieldError::invalid(path, shown, OUT_OF_BUDGET));
                *run.budget = -1;
                return;
            }
            let compiled = match &rule.compiled {
                Ok(compiled) => compiled,
                Err(why) => {
                    run.out.push(FieldError::invalid(path, shown.clone(), format!("rule compile error: {why}")));
                    continue;
                }
            };
            let optional = rule.source.optional_old_self == Some(true);
            if compiled.uses_old && old.is_none() && !optional {
                continue;
            }
            let mut bindings = Bindings::from([("self", Value::from_json(value, Some(decl)))]);
            let before = old.map(|old| Value::from_json(old, Some(decl)));
            match (optional, before) {
                (true, before) => drop(bindings.insert("oldSelf", Value::Optional(before.map(Box::new)))),
                (false, Some(before)) => drop(bindings.insert("oldSelf", before)),
                (false, None) => {}
            }
            let (result, cost) = match compiled.program.evaluate(&bindings, PER_CALL_LIMIT) {
                Ok(outcome) => (Ok(outcome.value.as_bool() == Some(true)), outcome.cost),
                Err(failed) => (Err(failed.error), failed.cost),
            };
            if !run.pay(cost) {
                run.out.push(FieldError::invalid(path, shown, OUT_OF_BUDGET));
                return;
            }
            match result {
                Ok(true) => {}
                Ok(false) => {
                    let fault = self.fault(path, value, rule, compiled, &bindings, run);
                    if !compiled.uses_old && unchanged {
                        run.warnings.push(fault.to_string());
                    } else {
                        run.out.push(fault);
                    }
                }
                Err(error) => {
                    let stop = error == EvalError::OverBudget;
                    run.out.push(FieldError::invalid(path, shown.clone(), words(&error, &rule.source)));
                    if stop {
                        *run.budget = -1;
                        return;
                    }
                }
            }
        }
    }

    /// What is said of a value that breaks a rule.
    fn fault<'a>(
        &self,
        path: &Path,
        value: &Json,
        rule: &Rule,
        compiled: &Compiled,
        bindings: &'a Bindings<'a>,
        run: &mut Run<'_>,
    ) -> FieldError {
        let source = &rule.source;
        let path = match field_path::normal(&source.field_path, &self.node) {
            Some(below) => path.child(below.as_str()),
            None => path.clone(),
        };
        let detail = match &compiled.message {
            Some(Ok(program)) => message(program, bindings, run),
            _ => None,
        };
        let detail = detail.unwrap_or_else(|| match source.message.trim() {
            "" => format!("failed rule: {}", source.rule.trim()),
            message => message.to_owned(),
        });
        let bare = matches!(self.node.ty, Type::Object | Type::Array);
        match &*source.reason {
            "FieldValueForbidden" => FieldError::forbidden(&path, detail),
            "FieldValueRequired" => FieldError::required(&path, detail),
            "FieldValueDuplicate" if bare => FieldError::duplicate_bare(&path),
            "FieldValueDuplicate" => FieldError::duplicate(&path, value.clone()),
            _ if bare => FieldError::invalid_bare(&path, detail),
            _ => FieldError::invalid(&path, value.clone(), detail),
        }
    }
}

const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

struct Run<'a> {
    budget: &'a mut i64,
    out: &'a mut FieldErrors,
    warnings: &'a mut Vec<String>,
}

impl Run<'_> {
    /// Takes a cost off the budget; false when it is not enough.
    fn pay(&mut self, cost: u64) -> bool {
        let cost = i64::try_from(cost).unwrap_or(i64::MAX);
        let enough = cost <= *self.budget;
        *self.budget = if enough { *self.budget - cost } else { -1 };
        enough
    }
}

/// The text of a message expression; `None` where it makes none that may be shown.
fn message<'a>(program: &Program, bindings: &'a Bindings<'a>, run: &mut Run<'_>) -> Option<String> {
    let outcome = match program.evaluate(bindings, PER_CALL_LIMIT) {
        Ok(outcome) => outcome,
        Err(failed) => {
            run.pay(failed.cost);
            return None;
        }
    };
    run.pay(outcome.cost);
    let text = outcome.value.as_str()?.trim();
    (!text.is_empty() && text.len() <= MESSAGE_MAX && !text.contains('\n')).then(|| text.to_owned())
}

fn words(error: &EvalError, rule: &Validation) -> String {
    let named = if rule.message.is_empty() { rule.rule.trim() } else { rule.message.trim() };
    match error {
        EvalError::OverBudget => {
            format!(
                "'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {named}"
            )
        }
        EvalError::Message(text) if text.starts_with("no such overload") => format!(
            "'{text}': call arguments did not match a supported operator, function or macro signature for rule: {named}"
        ),
        EvalError::Message(text) => format!("{text} evaluating rule: {named}"),
    }
}
