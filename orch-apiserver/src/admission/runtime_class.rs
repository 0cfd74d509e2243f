//! Pods get the overhead and the placement of their RuntimeClass (`plugin/pkg/admission/runtimeclass`).

use super::{Operation, Plugin, RUNTIME_CLASSES, Review, View};
use crate::core::json;
use async_trait::async_trait;
use orch_api::{Key, StatusError, quota::Amounts};
use serde_json::Value;

const UNLIKE: &str = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";

/// The plugin `RuntimeClass`.
pub struct RuntimeClass;

#[async_trait]
impl Plugin for RuntimeClass {
    fn name(&self) -> &'static str {
        "RuntimeClass"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        review.is("", "pods") && review.operation == Operation::Create
    }

    async fn mutate(&self, view: &View<'_>, review: &Review<'_>, pod: &mut Value) -> Result<bool, StatusError> {
        let Some(class) = class_of(view, review, pod).await? else { return Ok(false) };
        let before = pod.clone();
        if let Some(overhead) = json::at(&class, &["overhead", "podFixed"]) {
            let own = Amounts::read(json::at(pod, &["spec", "overhead"]));
            if !own.is_empty() && own != Amounts::read(Some(overhead)) {
                return Err(review.forbidden(pod, UNLIKE));
            }
            json::set(pod, &["spec", "overhead"], overhead.clone());
        }
        if let Some(scheduling) = json::at(&class, &["scheduling"]) {
            place(review, pod, scheduling)?;
        }
        Ok(*pod != before)
    }

    async fn validate(&self, view: &View<'_>, review: &Review<'_>, pod: &Value) -> Result<(), StatusError> {
        let class = class_of(view, review, pod).await?;
        let wanted = class.as_ref().and_then(|class| json::at(class, &["overhead"]));
        let own = json::at(pod, &["spec", "overhead"]);
        match wanted {
            Some(wanted) if Amounts::read(own) != Amounts::read(wanted.get("podFixed")) => {
                Err(review.forbidden(pod, UNLIKE))
            }
            None if own.is_some() => {
                let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
                Err(review.forbidden(pod, why))
            }
            _ => Ok(()),
        }
    }
}

async fn class_of(view: &View<'_>, review: &Review<'_>, pod: &Value) -> Result<Option<Value>, StatusError> {
    let Some(name) = json::at(pod, &["spec", "runtimeClassName"]).and_then(Value::as_str) else { return Ok(None) };
    match view.find(&RUNTIME_CLASSES, &Key::cluster(name)).await? {
        Some(found) => found.parse().map(Some),
        None => Err(review.forbidden(pod, format!("pod rejected: RuntimeClass {name:?} not found"))),
    }
}

fn place(review: &Review<'_>, pod: &mut Value, scheduling: &Value) -> Result<(), StatusError> {
    for (key, value) in json::at(scheduling, &["nodeSelector"]).and_then(Value::as_object).into_iter().flatten() {
        let wanted = value.as_str().unwrap_or_default();
        let own = json::at(pod, &["spec", "nodeSelector", key]).and_then(Value::as_str);
        if let Some(own) = own.filter(|own| *own != wanted) {
            let why = format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {wanted}; pod.spec.nodeSelector[{key}] = {own}"
            );
            return Err(review.forbidden(pod, why));
        }
        json::set(pod, &["spec", "nodeSelector", key], wanted);
    }
    let own = json::items(pod, &["spec", "tolerations"]);
    let merged = merge(own, json::items(scheduling, &["tolerations"]));
    if !merged.is_empty() {
        json::set(pod, &["spec", "tolerations"], merged);
    }
    Ok(())
}

/// Both lists in one. Of two tolerations of which one tolerates all that the other does, it alone is kept; of equal ones the
/// first (`pkg/util/tolerations`).
fn merge(first: &[Value], second: &[Value]) -> Vec<Value> {
    let all: Vec<&Value> = first.iter().chain(second).collect();
    let mut merged: Vec<Value> = Vec::new();
    for (i, toleration) in all.iter().enumerate() {
        let later = all.iter().skip(i + 1).any(|other| other != toleration && is_superset(other, toleration));
        if !later && !merged.iter().any(|known| is_superset(known, toleration)) {
            merged.push((*toleration).clone());
        }
    }
    merged
}

fn is_superset(wide: &Value, narrow: &Value) -> bool {
    let text = |toleration: &Value, field: &str| json::text(toleration, &[field]).to_owned();
    if wide == narrow {
        return true;
    }
    let (key, effect, operator) = (text(wide, "key"), text(wide, "effect"), text(wide, "operator"));
    if text(narrow, "key") != key && !(key.is_empty() && operator == "Exists") {
        return false;
    }
    if text(narrow, "effect") != effect && !effect.is_empty() {
        return false;
    }
    let seconds = |toleration: &Value| json::integer(toleration, &["tolerationSeconds"]);
    if effect == "NoExecute"
        && let Some(most) = seconds(wide)
        && seconds(narrow).is_none_or(|own| own > most)
    {
        return false;
    }
    match &*operator {
        "Equal" | "" => text(narrow, "operator") == "Equal" && text(narrow, "value") == text(wide, "value"),
        "Exists" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn of_two_tolerations_the_wider_one_is_kept() {
        let wide = json!({"key": "k", "operator": "Exists"});
        let narrow = json!({"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"});
        let other = json!({"key": "x", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5});
        let check = |first: &[&Value], second: &[&Value], expected: &[&Value]| {
            let owned = |list: &[&Value]| list.iter().map(|v| (*v).clone()).collect::<Vec<_>>();
            assert_eq!(merge(&owned(first), &owned(second)), owned(expected));
        };
        check(&[&narrow], &[&wide], &[&wide]);
        check(&[&wide], &[&narrow], &[&wide]);
        check(&[&wide], &[&wide], &[&wide]);
        check(&[&narrow], &[&other], &[&narrow, &other]);
    }
}
