//! What the status of a definition should say: which names it got, whether it is served, whether its schema is structural.
//! A function of the definition and of the names that are taken.

use crate::core::{json, meta};
use jiff::Timestamp;
use orch_api::{
    access::{condition, text},
    crd::{
        bundle_fault,
        names::{self, Taken},
        structure,
    },
};
use serde_json::{Value, json};

/// The definition with the next status that it should have. It is installed before it is established, so that whoever
/// follows definitions sees both (`controller/status/naming_controller.go`, `controller/establish`).
pub(super) fn decided(definition: &Value, taken: &Taken, now: Timestamp) -> Value {
    let mut new = definition.clone();
    let decision = names::decide(definition, taken);
    let installed = is_true(definition, "NamesAccepted");
    json::set(&mut new, &["status", "acceptedNames"], decision.accepted.clone());
    let status = if decision.is_accepted() { "True" } else { "False" };
    set(&mut new, "NamesAccepted", status, decision.reason, &decision.message, now);
    if !is_true(&new, "Established") {
        let bundle = text(definition, "spec.conversion.webhook.clientConfig.caBundle");
        let (status, reason, message) = match (decision.is_accepted(), installed) {
            (false, _) => ("False", "NotAccepted", "not all names are accepted"),
            (true, false) => ("False", "Installing", ACCEPTED),
            (true, true) if bundle_fault(bundle).is_some() => {
                ("False", "InvalidCABundle", "The conversion webhook CABundle is invalid")
            }
            (true, true) => ("True", "InitialNamesAccepted", ACCEPTED),
        };
        set(&mut new, "Established", status, reason, message, now);
    }
    match structure(definition) {
        Some((status, reason, message)) => set(&mut new, NON_STRUCTURAL, status, reason, &message, now),
        None => json::list_mut(&mut new, &["status"], "conditions").retain(|c| text(c, "type") != NON_STRUCTURAL),
    }
    new
}

const ACCEPTED: &str = "the initial names have been accepted";
const NON_STRUCTURAL: &str = "NonStructuralSchema";

/// Whether a condition is true.
pub(super) fn is_true(definition: &Value, kind: &str) -> bool {
    condition(definition, kind).is_some_and(|c| text(c, "status") == "True")
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
