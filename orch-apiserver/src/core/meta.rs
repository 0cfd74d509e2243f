//! What the server alone writes into an object's metadata (`registry/rest/meta.go`).

use super::json;
use jiff::Timestamp;
use orch_api::StatusError;
use orch_store::Chance;
use serde_json::Value;

/// RFC 3339 with seconds, as every `metav1.Time` is written.
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Takes away what a client may not say of a new object.
pub fn wipe(object: &mut Value) {
    let meta = json::meta_mut(object);
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        meta.remove(field);
    }
}

/// Gives a new object its identity.
pub fn fill(object: &mut Value, now: Timestamp, chance: &Chance) {
    let meta = json::meta_mut(object);
    meta.insert("uid".into(), chance.uid().into());
    meta.insert("creationTimestamp".into(), time(now).into());
}

/// Whether the object has no name but a `generateName`.
pub fn wants_generated_name(object: &Value) -> bool {
    json::meta(object, "name").is_empty() && !json::meta(object, "generateName").is_empty()
}

/// Fills in the name from `generateName` where there is none. Says whether the name was generated.
pub fn generate_name(object: &mut Value, chance: &Chance) -> bool {
    if !wants_generated_name(object) {
        return false;
    }
    let base = json::meta(object, "generateName").to_owned();
    let kept: String = base.chars().take(58).collect();
    json::meta_mut(object).insert("name".into(), format!("{kept}{}", chance.suffix(5)).into());
    true
}

/// Takes a generated name away again.
pub fn forget_name(object: &mut Value) {
    json::meta_mut(object).remove("name");
}

/// Puts the object into the namespace of the request, or refuses a different one.
pub fn ensure_namespace(object: &mut Value, namespace: &str) -> Result<(), StatusError> {
    let own = json::meta(object, "namespace");
    if own == namespace {
        return Ok(());
    }
    if !own.is_empty() {
        let words = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(StatusError::bad_request(words));
    }
    json::meta_mut(object).insert("namespace".into(), namespace.into());
    Ok(())
}

/// Drops repeated owner references and says whose they were (`dedupOwnerReferences`).
pub fn dedup_owners(object: &mut Value) -> Vec<String> {
    let Some(Value::Array(owners)) = json::meta_mut(object).get_mut("ownerReferences") else { return Vec::new() };
    let mut seen: Vec<Value> = Vec::new();
    let mut repeated = Vec::new();
    owners.retain(|owner| {
        let fresh = !seen.contains(owner);
        if fresh {
            seen.push(owner.clone());
        } else {
            repeated.push(json::text(owner, &["uid"]).to_owned());
        }
        fresh
    });
    repeated
}

/// Who a write counts for when the client does not say: the first word of its user agent.
pub fn manager(field_manager: &str, user_agent: &str) -> String {
    if !field_manager.is_empty() {
        return field_manager.to_owned();
    }
    let word = user_agent.split('/').next().unwrap_or_default();
    let mut out = String::new();
    for c in word.chars().filter(|c| !c.is_control()) {
        if out.len() + c.len_utf8() > 128 {
            break;
        }
        out.push(c);
    }
    if out.is_empty() { "unknown".into() } else { out }
}
