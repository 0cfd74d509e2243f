//! What an HTTP answer of a webhook means (`client-go/rest/request.go`, `apimachinery/pkg/api/errors`).

use super::client::WebhookError;
use bytes::Bytes;
use http::{Response, header};
use orch_api::{
    Reason, StatusError,
    k8s_openapi::apimachinery::pkg::apis::meta::v1::{Status, StatusCause, StatusDetails},
};

/// The body of a success, or why there is none.
pub(super) fn read(response: Response<Bytes>) -> Result<Bytes, WebhookError> {
    let (head, body) = response.into_parts();
    let code = head.status.as_u16();
    if !(200..=206).contains(&code) {
        return Err(WebhookError::Status(refusal(code, &body)));
    }
    if body.is_empty() {
        let kind = head.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("application/json");
        let words = format!("0-length response with status code: {code} and content type: {kind}");
        return Err(WebhookError::Failed(words));
    }
    match own_status(&body) {
        Some(status) => Err(WebhookError::Status(status)),
        None => Ok(body),
    }
}

/// A refusal that the server spelled out, or one made from the code alone.
fn refusal(code: u16, body: &[u8]) -> StatusError {
    own_status(body).unwrap_or_else(|| generic(code, String::from_utf8_lossy(body).trim()))
}

/// The failed `Status` that a body may be.
fn own_status(body: &[u8]) -> Option<StatusError> {
    let status: Status = serde_json::from_slice(body).ok()?;
    (status.status.as_deref() == Some("Failure")).then(|| StatusError::from(status))
}

fn generic(code: u16, words: &str) -> StatusError {
    let (reason, message) = match code {
        400 => (Reason::BadRequest, "the server rejected our request for an unknown reason".into()),
        401 => (Reason::Unauthorized, "the server has asked for the client to provide credentials".into()),
        403 => (Reason::Forbidden, words.to_owned()),
        404 => (Reason::NotFound, "the server could not find the requested resource".into()),
        405 => (Reason::MethodNotAllowed, "the server does not allow this method on the requested resource".into()),
        409 => (Reason::AlreadyExists, "the server reported a conflict".into()),
        415 => (Reason::UnsupportedMediaType, words.to_owned()),
        422 => (Reason::Invalid, "the server rejected our request due to an error in our request".into()),
        429 => (
            Reason::TooManyRequests,
            "the server has received too many requests and has asked us to try again later".into(),
        ),
        503 => (Reason::ServiceUnavailable, "the server is currently unable to handle the request".into()),
        504 => (
            Reason::Timeout,
            "the server was unable to return a response in the time allotted, but may still be processing the request"
                .into(),
        ),
        500.. => (
            Reason::InternalError,
            format!("an error on the server ({words:?}) has prevented the request from succeeding"),
        ),
        _ => (
            Reason::Unknown,
            format!("the server responded with the status code {code} but did not return more information"),
        ),
    };
    let cause =
        StatusCause { reason: Some("UnexpectedServerResponse".into()), message: Some(words.to_owned()), field: None };
    let details = StatusDetails { causes: Some(vec![cause]), ..StatusDetails::default() };
    StatusError::new(reason, message).with_code(code).with_details(details)
}
