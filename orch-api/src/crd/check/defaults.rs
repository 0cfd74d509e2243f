//! Defaults must fulfil the schema that they stand in and have no unknown fields (`apiserver/schema/defaulting/validation.go`).

use crate::{
    FieldError, FieldErrors, Path,
    cel::RUNTIME_BUDGET,
    crd::{embedded, node::Node, prune, rules::Rules, value},
};
use serde_json::Value;
use std::sync::Arc;

/// Judges every default of a schema.
pub(super) fn check(path: &Path, schema: &Arc<Node>, out: &mut FieldErrors) {
    let mut budget = i64::try_from(RUNTIME_BUDGET).unwrap_or(i64::MAX);
    walk(path, schema, true, false, &mut budget, out);
}

fn walk(path: &Path, schema: &Arc<Node>, resource: bool, in_meta: bool, budget: &mut i64, out: &mut FieldErrors) {
    let in_meta = in_meta && !schema.embedded;
    if let Some(default) = &schema.default {
        one(&path.child("default"), schema, default, in_meta, budget, out);
    }
    if let Some(items) = &schema.items {
        walk(&path.child("items"), items, false, in_meta, budget, out);
    }
    for (name, inner) in &schema.properties {
        let meta = (resource || schema.embedded) && prune::META.contains(&name.as_str());
        walk(&path.child("properties").key(name), inner, false, in_meta || meta, budget, out);
    }
}

fn one(path: &Path, schema: &Arc<Node>, default: &Value, in_meta: bool, budget: &mut i64, out: &mut FieldErrors) {
    if !in_meta {
        let mut pruned = default.clone();
        prune::prune_value(&mut pruned, schema);
        if pruned != *default {
            out.push(FieldError::invalid(path, default.clone(), "must not have unknown fields"));
        }
    }
    let mut embedded_faults = Vec::new();
    embedded::check(path, default, schema, schema.embedded, &mut embedded_faults);
    if !embedded_faults.is_empty() {
        out.append(&mut embedded_faults);
        return;
    }
    let faults = value::check(path, schema, default, None);
    if !faults.is_empty() {
        out.extend(faults);
        return;
    }
    if let Some(rules) = Rules::of(schema, schema.embedded) {
        let mut warnings = Vec::new();
        let before = out.len();
        rules.check(path, default, Some(default), budget, out, &mut warnings);
        if out.len() == before && warnings.is_empty() {
            rules.check(path, default, None, budget, out, &mut warnings);
        }
    }
}
