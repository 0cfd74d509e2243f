//! [`ConversionRequest`] and [`ConversionResponse`] (`apiextensions.k8s.io/v1`).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is sent to a conversion webhook, with the request, and what it answers, with the response.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConversionReview {
    /// `apiextensions.k8s.io/v1`
    pub api_version: String,
    /// `ConversionReview`
    pub kind: String,
    /// What is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<ConversionRequest>,
    /// What is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<ConversionResponse>,
}

impl ConversionReview {
    /// The version of reviews that handlers see.
    pub const API_VERSION: &str = "apiextensions.k8s.io/v1";
    /// The kind of every review.
    pub const KIND: &str = "ConversionReview";

    /// A review that asks.
    pub fn of_request(request: ConversionRequest) -> Self {
        let (api_version, kind) = (Self::API_VERSION.into(), Self::KIND.into());
        Self { api_version, kind, request: Some(request), response: None }
    }

    /// A review that answers the request of that UID.
    pub fn of_response(uid: &str, response: ConversionResponse) -> Self {
        let (api_version, kind) = (Self::API_VERSION.into(), Self::KIND.into());
        let response = ConversionResponse { uid: uid.into(), ..response };
        Self { api_version, kind, request: None, response: Some(response) }
    }
}

/// Objects that shall be converted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConversionRequest {
    /// Identifies this call; the response repeats it.
    pub uid: String,
    /// The version that every object shall have, such as `example.com/v2`.
    #[serde(rename = "desiredAPIVersion")]
    pub desired_api_version: String,
    /// The objects.
    pub objects: Vec<Value>,
}

/// Converted objects, in the order of the request, or why there are none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConversionResponse {
    /// The UID of the request. Whoever calls or serves a handler fills it in.
    pub uid: String,
    /// As many objects as were sent.
    pub converted_objects: Vec<Value>,
    /// `status: Success`, or what went wrong.
    pub result: Status,
}

impl ConversionResponse {
    /// The converted objects.
    pub fn success(converted_objects: Vec<Value>) -> Self {
        let result = Status { status: Some("Success".into()), ..Status::default() };
        Self { uid: String::new(), converted_objects, result }
    }

    /// No objects, and why.
    pub fn failure(message: impl Into<String>) -> Self {
        let result = Status { status: Some("Failure".into()), message: Some(message.into()), ..Status::default() };
        Self { uid: String::new(), converted_objects: Vec::new(), result }
    }
}
