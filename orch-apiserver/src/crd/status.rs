//! What the status of a definition should say: which names it got, whether it is served, whether its schema is structural.
//! A function of the definition and of the names that are taken.

use crate::core::{json, meta};
use jiff::Timestamp;
use orch_api::{
    access::{condition, text},
    crd::{
        names::{self, Taken},
        structural_faults,
    },
};
use serde_json::{Value, json};

/// The definition with the status that it should have.
pub(super) fn decided(definition: &Value, taken: &Taken, now: Timestamp) -> Value {
    let mut new = definition.clone();
    let decision = names::decide(definition, taken);
    json::set(&mut new, &["status", "acceptedNames"], decision.accepted.clone());
    let status = if decision.is_accepted() { "True" } else { "False" };
    set(&mut new, "NamesAccepted", status, decision.reason, &decision.message, now);
    if !is_true(&new, "Established") {
        let (status, reason, message) = match decision.is_accepted() {
            true => ("True", "InitialNamesAccepted", "the initial names have been accepted"),
            false => ("False", "NotAccepted", "not all names are accepted"),
        };
        set(&mut new, "Established", status, reason, message, now);
    }
    structure(&mut new, now);
    new
}

/// Whether a condition is true.
pub(super) fn is_true(definition: &Value, kind: &str) -> bool {
    condition(definition, kind).is_some_and(|c| text(c, "status") == "True")
}

fn structure(definition: &mut Value, now: Timestamp) {
    const KIND: &str = "NonStructuralSchema";
    let faults: Vec<String> = structural_faults(definition).iter().map(ToString::to_string).collect();
    let message = match &faults[..] {
        [] => {
            let conditions = json::list_mut(definition, &["status"], "conditions");
            conditions.retain(|c| text(c, "type") != KIND);
            return;
        }
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    };
    set(definition, KIND, "True", "Violations", &message, now);
}

/// Sets a condition; its time moves when its status does.
pub(super) fn set(definition: &mut Value, kind: &str, status: &str, reason: &str, message: &str, now: Timestamp) {
    let conditions = json::list_mut(definition, &["status"], "conditions");
    let new = |time: Value| json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": time});
    match conditions.iter_mut().find(|c| text(c, "type") == kind) {
        Some(old) => {
            let same = text(old, "status") == status;
            let time =
                if same { old.get("lastTransitionTime").cloned().unwrap_or_default() } else { meta::time(now).into() };
            *old = new(time);
        }
        None => conditions.push(new(meta::time(now).into())),
    }
}
