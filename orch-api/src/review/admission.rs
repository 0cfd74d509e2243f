//! [`AdmissionRequest`] and [`AdmissionResponse`] (`k8s.io/api/admission/v1`).

use super::diff;
use crate::{Gvk, Gvr};
use k8s_openapi::{ByteString, api::authentication::v1::UserInfo, apimachinery::pkg::apis::meta::v1::Status};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is sent to a webhook, with the request, and what it answers, with the response.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AdmissionReview {
    /// `admission.k8s.io/v1`
    pub api_version: String,
    /// `AdmissionReview`
    pub kind: String,
    /// What is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<AdmissionRequest>,
    /// What is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<AdmissionResponse>,
}

impl AdmissionReview {
    /// The version of reviews that handlers see.
    pub const API_VERSION: &str = "admission.k8s.io/v1";
    /// The kind of every review.
    pub const KIND: &str = "AdmissionReview";

    /// A review that asks.
    pub fn of_request(request: AdmissionRequest) -> Self {
        let (api_version, kind) = (Self::API_VERSION.into(), Self::KIND.into());
        Self { api_version, kind, request: Some(request), response: None }
    }

    /// A review that answers the request of that UID.
    pub fn of_response(uid: &str, response: AdmissionResponse) -> Self {
        let (api_version, kind) = (Self::API_VERSION.into(), Self::KIND.into());
        let response = AdmissionResponse { uid: uid.into(), ..response };
        Self { api_version, kind, request: None, response: Some(response) }
    }
}

/// A kind as reviews spell it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupVersionKind {
    /// API group; empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// CamelCase kind.
    pub kind: String,
}

impl From<&Gvk> for GroupVersionKind {
    fn from(gvk: &Gvk) -> Self {
        Self { group: gvk.group.to_string(), version: gvk.version.to_string(), kind: gvk.kind.to_string() }
    }
}

/// A resource as reviews spell it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupVersionResource {
    /// API group; empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Lower-case plural.
    pub resource: String,
}

impl From<&Gvr> for GroupVersionResource {
    fn from(gvr: &Gvr) -> Self {
        Self { group: gvr.group.to_string(), version: gvr.version.to_string(), resource: gvr.resource.to_string() }
    }
}

/// A write that a handler is asked to admit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AdmissionRequest {
    /// Identifies this call; the response repeats it.
    pub uid: String,
    /// The kind of `object`, as the webhook's rule names it.
    pub kind: GroupVersionKind,
    /// The resource, as the webhook's rule names it.
    pub resource: GroupVersionResource,
    /// `status`, `scale`, `exec`, …; empty for the object itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sub_resource: String,
    /// The kind of the client's request. Differs from `kind` where a rule matched an equivalent resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_kind: Option<GroupVersionKind>,
    /// The resource of the client's request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_resource: Option<GroupVersionResource>,
    /// The subresource of the client's request.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request_sub_resource: String,
    /// Name of the object; empty where the server has yet to generate it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Namespace of the object, if it has one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: String,
    /// Who asks.
    pub user_info: UserInfo,
    /// The object as it will be; null on deletions. On connects the options of the connection.
    pub object: Value,
    /// The object as it is; null on creates and connects.
    pub old_object: Value,
    /// Whether nothing will be stored: a handler must not change anything outside then.
    pub dry_run: bool,
    /// `CreateOptions`, `UpdateOptions` or `DeleteOptions` of the operation.
    pub options: Value,
}

impl AdmissionRequest {
    /// The object as a type; `None` on deletions.
    pub fn object_as<K: DeserializeOwned>(&self) -> Result<Option<K>, serde_json::Error> {
        decoded(&self.object)
    }

    /// The object before the operation as a type; `None` on creates.
    pub fn old_object_as<K: DeserializeOwned>(&self) -> Result<Option<K>, serde_json::Error> {
        decoded(&self.old_object)
    }
}

fn decoded<K: DeserializeOwned>(object: &Value) -> Result<Option<K>, serde_json::Error> {
    if object.is_null() { Ok(None) } else { K::deserialize(object).map(Some) }
}

/// What a handler says of a request.
///
/// ```
/// use orch_api::review::AdmissionResponse;
///
/// let refused = AdmissionResponse::deny("replicas must be odd").warn("this rule is new");
/// assert!(!refused.allowed);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AdmissionResponse {
    /// The UID of the request. Whoever calls or serves a handler fills it in.
    pub uid: String,
    /// Whether the request may go on.
    pub allowed: bool,
    /// Why not: code, reason and message for the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// A JSON patch (RFC 6902) on `object`; mutating handlers only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<ByteString>,
    /// `JSONPatch` with `patch`, absent without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch_type: Option<String>,
    /// Goes into the audit log, each key behind the webhook's name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub audit_annotations: BTreeMap<String, String>,
    /// What the client should be told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl AdmissionResponse {
    /// The only type of patch.
    pub const JSON_PATCH: &str = "JSONPatch";

    /// Lets the request go on.
    pub fn allow() -> Self {
        Self { allowed: true, ..Self::default() }
    }

    /// Refuses the request; the client sees the message behind the webhook's name, with code 400.
    pub fn deny(message: impl Into<String>) -> Self {
        Self::deny_with(Status { message: Some(message.into()), ..Status::default() })
    }

    /// Refuses the request with a code, a reason and a message.
    pub fn deny_with(status: Status) -> Self {
        Self { allowed: false, status: Some(status), ..Self::default() }
    }

    /// Lets the request go on with its object changed to `new`.
    pub fn mutate(request: &AdmissionRequest, new: &Value) -> Self {
        Self::allow().patch(diff::json_patch(&request.object, new))
    }

    /// Changes the object by the operations of a JSON patch.
    #[must_use]
    pub fn patch(mut self, operations: Vec<Value>) -> Self {
        if !operations.is_empty() {
            self.patch = Some(ByteString(json!(operations).to_string().into_bytes()));
            self.patch_type = Some(Self::JSON_PATCH.into());
        }
        self
    }

    /// Tells the client something, whether the request goes on or not.
    #[must_use]
    pub fn warn(mut self, text: impl Into<String>) -> Self {
        self.warnings.push(text.into());
        self
    }

    /// Notes something for the audit log.
    #[must_use]
    pub fn annotate(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.audit_annotations.insert(key.into(), value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_as_kube_apiserver_writes_it() {
        let sent = json!({"uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"}, "name": "a", "namespace": "b",
            "operation": "DELETE", "userInfo": {"username": "x", "groups": ["g"]}, "object": null,
            "oldObject": {"kind": "Pod"}, "dryRun": false, "options": {"kind": "DeleteOptions"}});
        let request: AdmissionRequest = serde_json::from_value(sent).unwrap();
        assert_eq!((&*request.operation, request.sub_resource.is_empty()), ("DELETE", true));
        assert_eq!(request.object_as::<Value>().unwrap(), None);
        assert_eq!(request.old_object["kind"], "Pod");
    }

    #[test]
    fn a_patch_travels_as_base64_and_only_with_its_type() {
        let request = AdmissionRequest { object: json!({"data": {"a": "b"}}), ..AdmissionRequest::default() };
        let response = AdmissionResponse::mutate(&request, &json!({"data": {"a": "b", "c": "d"}}));
        let written = serde_json::to_value(&response).unwrap();
        assert_eq!(written["patchType"], "JSONPatch");
        assert_eq!(written["patch"], "W3sib3AiOiJhZGQiLCJwYXRoIjoiL2RhdGEvYyIsInZhbHVlIjoiZCJ9XQ==");
        assert_eq!(
            serde_json::to_value(AdmissionResponse::mutate(&request, &request.object)).unwrap(),
            json!({"uid": "", "allowed": true})
        );
    }
}
