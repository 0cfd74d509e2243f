//! [`HookError`]: what may go wrong with a webhook (`apiserver/pkg/util/webhook/error.go`, `plugin/webhook/errors`).

use orch_api::{StatusError, k8s_openapi::apimachinery::pkg::apis::meta::v1::Status};

/// Why a webhook did not let a request pass.
#[derive(Debug)]
pub(super) enum HookError {
    /// It refused the request.
    Rejected(StatusError),
    /// It could not be asked or gave no proper answer. The failure policy decides.
    Failed(String),
    /// Something that no failure policy covers.
    Fatal(StatusError),
}

impl HookError {
    /// What the client is told by the failure policy `Fail`.
    pub(super) fn refuse(self, hook: &str) -> StatusError {
        match self {
            Self::Rejected(status) | Self::Fatal(status) => status,
            Self::Failed(why) => StatusError::internal(format_args!("failed calling webhook {hook:?}: {why}")),
        }
    }
}

/// The refusal of a webhook in the words of kube-apiserver. A refusal is never a success, whatever the webhook says.
pub(super) fn rejection(hook: &str, status: Option<Status>) -> StatusError {
    let mut status = status.unwrap_or_default();
    let filled = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
    let denied = format!("admission webhook {hook:?} denied the request");
    status.message = Some(match (filled(&status.message), filled(&status.reason)) {
        (Some(message), _) => format!("{denied}: {message}"),
        (None, Some(reason)) => format!("{denied}: {reason}"),
        (None, None) => format!("{denied} without explanation"),
    });
    if status.code.unwrap_or_default() < 400 {
        status.code = Some(400);
    }
    StatusError::from(status)
}

/// A webhook with side effects is not asked about dry runs, and so the request cannot be admitted.
pub(super) fn dry_run_unsupported(hook: &str) -> StatusError {
    StatusError::bad_request(format!("admission webhook {hook:?} does not support dry run"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: Option<Status>, expected: (u16, &str)) {
        let error = rejection("h.example.com", status);
        assert_eq!((error.code(), error.message()), expected);
    }

    #[test]
    fn a_refusal_names_the_webhook_and_says_what_it_knows() {
        let denied = "admission webhook \"h.example.com\" denied the request";
        check(None, (400, &format!("{denied} without explanation")));
        let reason = Status { reason: Some("just so".into()), ..Status::default() };
        check(Some(reason.clone()), (400, &format!("{denied}: just so")));
        assert_eq!(Status::from(&rejection("h", Some(reason))).reason.as_deref(), Some("just so"));
        let message = Status { message: Some("no".into()), code: Some(403), ..Status::default() };
        check(Some(message), (403, &format!("{denied}: no")));
        let success = Status { code: Some(200), status: Some("Success".into()), ..Status::default() };
        check(Some(success), (400, &format!("{denied} without explanation")));
    }
}
