//! What clients hear when the store fails.

use orch_api::{Reason, StatusError};
use orch_store::{Revision, backend::BackendError};

/// A failure of the store as clients hear of it.
pub fn refuse(error: &BackendError) -> StatusError {
    match error {
        BackendError::Compacted { requested, oldest } => {
            StatusError::expired(format!("too old resource version: {requested} ({oldest})"))
        }
        BackendError::Future { requested, current } => too_large(*requested, *current),
        BackendError::Unavailable(_) | BackendError::Closed => {
            StatusError::new(Reason::ServiceUnavailable, error.to_string()).retry_after(1)
        }
        error => StatusError::internal(error),
    }
}

fn too_large(requested: Revision, current: Revision) -> StatusError {
    use orch_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::{StatusCause, StatusDetails};
    let cause = StatusCause {
        reason: Some("ResourceVersionTooLarge".into()),
        message: Some("Too large resource version".into()),
        field: None,
    };
    let message = format!("Timeout: Too large resource version: {requested}, current: {current}");
    StatusError::new(Reason::Timeout, message).with_details(StatusDetails {
        causes: Some(vec![cause]),
        retry_after_seconds: Some(1),
        ..StatusDetails::default()
    })
}
