//! Rules: their texts, whether they compile, and their estimated cost.

use super::{Here, Walk};
use crate::{
    FieldError, Path,
    crd::{
        check::tree::{get, items, text},
        decl, field_path,
        node::Node,
        rules::{self, Compiled},
    },
};
use serde_json::Value;
use std::sync::Arc;

/// The most that one rule may be estimated to cost.
pub(in crate::crd::check) const RULE_LIMIT: u64 = 10_000_000;
/// The most that all rules of a schema may be estimated to cost.
pub(super) const SCHEMA_LIMIT: u64 = 100_000_000;

impl Walk {
    pub(super) fn rule_texts(&mut self, path: &Path, schema: &Value, node: &Arc<Node>) {
        const REASONS: [&str; 4] =
            ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
        for (i, rule) in items(schema, "x-kubernetes-validations") {
            let path = path.child("x-kubernetes-validations").index(i);
            let (words, message) = (text(rule, "rule").trim(), text(rule, "message"));
            let breaks = |text: &str| text.contains(['\n', '\r']);
            if words.is_empty() {
                self.out.push(FieldError::required(&path.child("rule"), "rule is not specified"));
            } else if !message.is_empty() && message.trim().is_empty() {
                let why = "must be non-empty if specified";
                self.out.push(FieldError::invalid(&path.child("message"), message, why));
            } else if breaks(message.trim()) {
                self.out.push(FieldError::invalid(&path.child("message"), message, "must not contain line breaks"));
            } else if breaks(words) && message.is_empty() {
                let why = "message must be specified if rule contains line breaks";
                self.out.push(FieldError::required(&path.child("message"), why));
            }
            let expression = text(rule, "messageExpression");
            if !expression.is_empty() && expression.trim().is_empty() {
                let why = "messageExpression must be non-empty if specified";
                self.out.push(FieldError::required(&path.child("messageExpression"), why));
            }
            let reason = text(rule, "reason");
            if !reason.is_empty() && !REASONS.contains(&reason) {
                self.out.push(FieldError::not_supported(&path.child("reason"), reason, &REASONS));
            }
            let field = text(rule, "fieldPath");
            if field.is_empty() {
                continue;
            }
            let path = path.child("fieldPath");
            if field.trim().is_empty() {
                self.out.push(FieldError::invalid(&path, field, "must be non-empty if specified"));
            }
            if breaks(field) {
                self.out.push(FieldError::invalid(&path, field, "must not contain line breaks"));
            }
            if field_path::resolve(field, node, true).is_err() {
                self.out.push(FieldError::invalid(&path, field, "must be a valid path"));
            }
        }
    }

    pub(super) fn compile(&mut self, path: &Path, schema: &Value, node: &Arc<Node>, here: &Here) {
        let Some(cardinality) = here.cardinality else { return };
        let path = path.child("x-kubernetes-validations");
        let resource = here.root || node.embedded;
        let Some(decl) = decl::of(node, resource).map(Arc::new) else {
            let words = "internal error: failed to construct type information for x-kubernetes-validations rules: unable \
                 to convert structural schema to CEL declarations";
            self.rules.push(FieldError::internal(&path, words));
            return;
        };
        let unbounded = decl::REQUEST / (decl.min_size + 1);
        let times = cardinality.unwrap_or(unbounded);
        for ((i, source), rule) in items(schema, "x-kubernetes-validations").zip(&node.validations) {
            let path = path.index(i);
            match rules::compile(&decl, rule) {
                Err(why) => self.rules.push(FieldError::invalid(&path.child("rule"), source.clone(), why)),
                Ok(compiled) => self.compiled(&path, source, &compiled, times, here),
            }
        }
    }

    fn compiled(&mut self, path: &Path, source: &Value, compiled: &Compiled, times: u64, here: &Here) {
        let cost = compiled.program.cost().max.saturating_mul(times);
        self.observe(path.child("rule"), "estimated rule cost", cost);
        match &compiled.message {
            Some(Err(why)) => {
                self.rules.push(FieldError::invalid(&path.child("messageExpression"), source.clone(), why.clone()));
            }
            Some(Ok(message)) => {
                let cost = message.cost().max;
                self.observe(path.child("messageExpression"), "estimated messageExpression cost", cost);
            }
            None => {}
        }
        let optional = get(source, "optionalOldSelf").and_then(Value::as_bool);
        if compiled.uses_old {
            if let Some(above) = &here.no_old {
                let words =
                    format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {above}");
                self.rules.push(FieldError::invalid(&path.child("rule"), text(source, "rule"), words));
            }
        } else if let Some(optional) = optional {
            let words = "may not be set if oldSelf is not used in rule";
            self.rules.push(FieldError::invalid(&path.child("optionalOldSelf"), optional, words));
        }
    }

    fn observe(&mut self, path: Path, what: &str, cost: u64) {
        self.total = self.total.saturating_add(cost);
        if cost > RULE_LIMIT && !self.unchanged {
            self.rules.push(FieldError::forbidden(&path, too_expensive(what, cost, RULE_LIMIT)));
        }
        if cost >= SCHEMA_LIMIT / 100 {
            self.expensive.push((path, cost));
        }
    }
}

pub(super) fn too_expensive(what: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let factor = match factor {
        f if f > 100.0 => "more than 100x".to_owned(),
        f if f < 1.5 => format!("{f:.6}x"),
        f => format!("{f:.1}x"),
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and \
         maxLength where arrays, maps, and strings are declared)"
    )
}
