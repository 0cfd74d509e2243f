//! What the server itself writes into certificate signing requests: who asks, and when conditions came
//! (`pkg/registry/certificates/certificates/strategy.go`).

use super::json;
use crate::authn::User;
use orch_api::Kind;
use serde_json::{Value, json};

/// Whether objects of a kind are certificate signing requests.
pub(super) fn is_request(kind: &Kind) -> bool {
    kind.group == "certificates.k8s.io" && kind.kind == "CertificateSigningRequest"
}

/// Writes who asks into a new request, whatever he says of himself.
pub(super) fn requested(user: &User, request: &mut Value) {
    let spec = json::object_mut(request, &["spec"]);
    for field in ["username", "uid", "groups", "extra"] {
        spec.remove(field);
    }
    spec.insert("username".into(), user.name.as_str().into());
    if !user.uid.is_empty() {
        spec.insert("uid".into(), user.uid.as_str().into());
    }
    if !user.groups.is_empty() {
        spec.insert("groups".into(), json!(user.groups));
    }
    if !user.extra.is_empty() {
        spec.insert("extra".into(), json!(user.extra));
    }
}

/// Gives conditions their times, where they have none.
pub(super) fn stamp(old: &Value, new: &mut Value, now: &str) {
    let before = json::items(old, &["status", "conditions"]).to_vec();
    if json::items(new, &["status", "conditions"]).is_empty() {
        return;
    }
    for condition in json::list_mut(new, &["status"], "conditions") {
        if json::text(condition, &["lastUpdateTime"]).is_empty() {
            json::set(condition, &["lastUpdateTime"], now);
        }
        if json::text(condition, &["lastTransitionTime"]).is_empty() {
            let same =
                |c: &&Value| c.get("type") == condition.get("type") && c.get("status") == condition.get("status");
            let since = before.iter().find(same).map(|c| json::text(c, &["lastTransitionTime"]).to_owned());
            json::set(
                condition,
                &["lastTransitionTime"],
                since.filter(|s| !s.is_empty()).unwrap_or_else(|| now.into()),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_get_their_times_once() {
        let old = json!({"status": {"conditions": [
            {"type": "Approved", "status": "True", "lastUpdateTime": "1", "lastTransitionTime": "1"}]}});
        let mut new = json!({"status": {"conditions": [
            {"type": "Approved", "status": "True"}, {"type": "Failed", "status": "True"}]}});
        stamp(&old, &mut new, "2");
        assert_eq!(
            new,
            json!({"status": {"conditions": [
                {"type": "Approved", "status": "True", "lastUpdateTime": "2", "lastTransitionTime": "1"},
                {"type": "Failed", "status": "True", "lastUpdateTime": "2", "lastTransitionTime": "2"}]}})
        );
    }

    #[test]
    fn nobody_asks_in_the_name_of_another() {
        let mut request = json!({"spec": {"username": "admin", "groups": ["system:masters"]}});
        requested(&User { name: "jane".into(), ..User::default() }, &mut request);
        assert_eq!(request, json!({"spec": {"username": "jane"}}));
    }
}
