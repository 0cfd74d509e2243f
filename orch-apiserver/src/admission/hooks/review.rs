//! The review that is sent, and what a proper answer is
//! (`apiserver/pkg/admission/plugin/webhook/request/admissionreview.go`).

use crate::{admission::Review, sub::user_info};
use orch_api::{
    Gvk, Kind, decode,
    k8s_openapi::api::authentication::v1::UserInfo,
    review::{AdmissionRequest, AdmissionResponse, AdmissionReview},
};
use serde::Deserialize;
use serde_json::Value;

/// The versions of reviews that the server can send.
const KNOWN: [&str; 2] = ["v1", "v1beta1"];

/// The first version that the webhook accepts and the server can send.
pub(super) fn version(accepted: &[String]) -> Result<&'static str, String> {
    let known = accepted.iter().find_map(|version| KNOWN.into_iter().find(|known| known == version));
    known.ok_or_else(|| {
        "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)"
            .to_owned()
    })
}

/// The request of a review: the write, with its object as one of `kind`.
pub(super) fn request(
    uid: String,
    review: &Review<'_>,
    kind: &Kind,
    object: Value,
    old_object: Value,
) -> AdmissionRequest {
    let own = review.gvk();
    let shown = if kind.gvr() == review.call.kind.gvr() { own.clone() } else { shown(kind, review) };
    let name = match (&*review.key.name, object.pointer("/metadata/name").and_then(Value::as_str)) {
        ("", Some(name)) => name.to_owned(),
        (name, _) => name.to_owned(),
    };
    AdmissionRequest {
        uid,
        kind: (&shown).into(),
        resource: (&kind.gvr()).into(),
        sub_resource: review.subresource().to_owned(),
        request_kind: Some((&own).into()),
        request_resource: Some((&review.call.kind.gvr()).into()),
        request_sub_resource: review.subresource().to_owned(),
        name,
        namespace: review.namespace().to_owned(),
        operation: review.operation.as_str().to_owned(),
        user_info: UserInfo::deserialize(user_info(review.user())).unwrap_or_default(),
        object,
        old_object,
        dry_run: review.dry_run,
        options: review.options_value(),
    }
}

fn shown(kind: &Kind, review: &Review<'_>) -> Gvk {
    kind.subresource(review.subresource()).map_or_else(|| kind.gvk(), |subresource| subresource.kind.clone())
}

/// Reads a webhook's answer.
pub(super) fn read(body: &[u8]) -> Result<AdmissionReview, String> {
    let value = decode::parse(body)
        .map(|parsed| parsed.value)
        .map_err(|why| format!("couldn't get version/kind; json parse error: {why}"))?;
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    let version = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    if !matches!(kind, "" | AdmissionReview::KIND) {
        return Err(format!("no kind {kind:?} is registered for version {version:?} in scheme \"webhook\""));
    }
    AdmissionReview::deserialize(value).map_err(|why| format!("unable to decode the answer: {why}"))
}

/// The response of an answer to the request of that UID, if it is a proper one.
pub(super) fn verify(
    answer: AdmissionReview,
    version: &str,
    uid: &str,
    mutating: bool,
) -> Result<AdmissionResponse, String> {
    let Some(mut response) = answer.response else { return Err("webhook response was absent".into()) };
    let has_patch = response.patch.as_ref().is_some_and(|patch| !patch.0.is_empty());
    if version == "v1beta1" {
        // Its answers were never checked; a patch is a JSON patch.
        response.patch = response.patch.filter(|_| mutating);
        response.patch_type = (mutating && has_patch).then(|| AdmissionResponse::JSON_PATCH.to_owned());
        return Ok(response);
    }
    if response.uid != uid {
        return Err(format!("expected response.uid={uid:?}, got {:?}", response.uid));
    }
    if answer.api_version != AdmissionReview::API_VERSION || answer.kind != AdmissionReview::KIND {
        let expected = shown_gvk(AdmissionReview::API_VERSION, AdmissionReview::KIND);
        let got = shown_gvk(&answer.api_version, &answer.kind);
        return Err(format!("expected webhook response of {expected}, got {got}"));
    }
    match (mutating, has_patch, response.patch_type.as_deref()) {
        (true, true, None) => Err("webhook returned response.patch but not response.patchType".into()),
        (true, false, Some(_)) => Err("webhook returned response.patchType but not response.patch".into()),
        (true, _, Some("")) => Err("webhook returned invalid response.patchType of \"\"".into()),
        (false, true, _) => Err("validating webhook may not return response.patch".into()),
        (false, _, Some(_)) => Err("validating webhook may not return response.patchType".into()),
        _ => Ok(response),
    }
}

fn shown_gvk(api_version: &str, kind: &str) -> String {
    let gvk = Gvk::parse(api_version, kind);
    format!("{}/{}, Kind={}", gvk.group, gvk.version, gvk.kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(answer: Value, mutating: bool, expected: Result<(), &str>) {
        let read = read(answer.to_string().as_bytes()).and_then(|answer| verify(answer, "v1", "u", mutating));
        assert_eq!(read.map(drop), expected.map_err(str::to_owned), "{answer}");
    }

    fn answer(response: Value) -> Value {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
    }

    #[test]
    fn a_proper_answer_repeats_the_uid_and_says_what_it_is() {
        check(answer(json!({"uid": "u", "allowed": true})), false, Ok(()));
        check(json!({}), false, Err("webhook response was absent"));
        check(answer(json!({"allowed": true})), false, Err("expected response.uid=\"u\", got \"\""));
        let bare = json!({"response": {"uid": "u", "allowed": true}});
        let words = "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /, Kind=";
        check(bare, false, Err(words));
        let words = "no kind \"Pod\" is registered for version \"v1\" in scheme \"webhook\"";
        check(json!({"kind": "Pod", "apiVersion": "v1"}), false, Err(words));
    }

    #[test]
    fn a_patch_comes_with_its_type_and_from_mutating_webhooks_alone() {
        let with = |patch: &str, kind: Option<&str>| {
            let mut response = json!({"uid": "u", "allowed": true, "patch": patch});
            if let Some(kind) = kind {
                response["patchType"] = kind.into();
            }
            answer(response)
        };
        check(with("W10=", Some("JSONPatch")), true, Ok(()));
        check(with("W10=", None), true, Err("webhook returned response.patch but not response.patchType"));
        check(with("", Some("JSONPatch")), true, Err("webhook returned response.patchType but not response.patch"));
        check(with("W10=", Some("")), true, Err("webhook returned invalid response.patchType of \"\""));
        check(with("W10=", None), false, Err("validating webhook may not return response.patch"));
        check(with("", Some("JSONPatch")), false, Err("validating webhook may not return response.patchType"));
    }

    #[test]
    fn nonsense_is_said_to_be_nonsense() {
        let error = read(b"hello").unwrap_err();
        let words = "couldn't get version/kind; json parse error: invalid character 'h' looking for beginning of value";
        assert_eq!(error, words);
    }

    #[test]
    fn the_first_known_version_is_spoken() {
        let list = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(version(&list(&["v9", "v1beta1", "v1"])), Ok("v1beta1"));
        assert!(version(&list(&["v9"])).is_err());
    }
}
