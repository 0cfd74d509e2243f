//! From the bytes of a review to the bytes of its answer.

use crate::http::Answer;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use orch_api::review::{AdmissionResponse, AdmissionReview, ConversionResponse, ConversionReview};
use orch_store::{
    panics::caught_async,
    review::{AdmissionHandler, ConversionHandler},
};
use serde::Serialize;

/// Answers an admission review, in the version in which it asks. A handler that panics refuses, with code 500.
pub(super) async fn admission(handler: &dyn AdmissionHandler, body: &[u8]) -> Answer {
    let review: AdmissionReview = match serde_json::from_slice(body) {
        Ok(review) => review,
        Err(error) => return Answer::text(400, format!("not an admission review: {error}\n")),
    };
    let Some(request) = review.request.filter(|_| review.kind == AdmissionReview::KIND) else {
        return Answer::text(400, "not an admission review with a request\n");
    };
    let uid = request.uid.clone();
    let response = caught_async(async { handler.admit(request).await }).await.unwrap_or_else(|why| {
        tracing::error!(uid, why, "an admission handler panicked");
        AdmissionResponse::deny_with(Status {
            code: Some(500),
            message: Some("the admission handler panicked".into()),
            ..Status::default()
        })
    });
    json(&AdmissionReview { api_version: review.api_version, ..AdmissionReview::of_response(&uid, response) })
}

/// Answers a conversion review. A handler that panics fails the conversion.
pub(super) async fn conversion(handler: &dyn ConversionHandler, body: &[u8]) -> Answer {
    let review: ConversionReview = match serde_json::from_slice(body) {
        Ok(review) => review,
        Err(error) => return Answer::text(400, format!("not a conversion review: {error}\n")),
    };
    let Some(request) = review.request.filter(|_| review.kind == ConversionReview::KIND) else {
        return Answer::text(400, "not a conversion review with a request\n");
    };
    let uid = request.uid.clone();
    let response = caught_async(async { handler.convert(request).await }).await.unwrap_or_else(|why| {
        tracing::error!(uid, why, "a conversion handler panicked");
        ConversionResponse::failure("the conversion handler panicked")
    });
    json(&ConversionReview { api_version: review.api_version, ..ConversionReview::of_response(&uid, response) })
}

fn json(review: &impl Serialize) -> Answer {
    match serde_json::to_vec(review) {
        Ok(body) => Answer { status: 200, content_type: "application/json", body: body.into() },
        Err(error) => Answer::text(500, format!("the answer has no JSON form: {error}\n")),
    }
}
