//! [`StatusError`]: every refusal, with the code, reason and words of kube-apiserver
//! (`apimachinery/pkg/api/errors`).

use crate::{field::FieldError, key::Gvr};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, Status, StatusCause, StatusDetails};
use std::fmt;

/// The machine-readable reason of a `Status`. Says what the caller should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The names are those of metav1.StatusReason.
pub enum Reason {
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Gone,
    Invalid,
    ServerTimeout,
    Timeout,
    TooManyRequests,
    BadRequest,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    InternalError,
    Expired,
    ServiceUnavailable,
    Unknown,
}

impl Reason {
    /// The reason as it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::Conflict => "Conflict",
            Self::Gone => "Gone",
            Self::Invalid => "Invalid",
            Self::ServerTimeout => "ServerTimeout",
            Self::Timeout => "Timeout",
            Self::TooManyRequests => "TooManyRequests",
            Self::BadRequest => "BadRequest",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::NotAcceptable => "NotAcceptable",
            Self::RequestEntityTooLarge => "RequestEntityTooLarge",
            Self::UnsupportedMediaType => "UnsupportedMediaType",
            Self::InternalError => "InternalError",
            Self::Expired => "Expired",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::Unknown => "",
        }
    }

    /// The HTTP status code that goes with the reason.
    pub fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::Gone | Self::Expired => 410,
            Self::RequestEntityTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid => 422,
            Self::TooManyRequests => 429,
            Self::InternalError | Self::ServerTimeout | Self::Unknown => 500,
            Self::ServiceUnavailable => 503,
            Self::Timeout => 504,
        }
    }

    /// The reason that a `Status` names; `Unknown` for words that are not Kubernetes'.
    pub fn parse(text: &str) -> Self {
        ALL.iter().copied().find(|r| r.as_str() == text).unwrap_or(Self::Unknown)
    }
}

const ALL: [Reason; 18] = [
    Reason::Unauthorized,
    Reason::Forbidden,
    Reason::NotFound,
    Reason::AlreadyExists,
    Reason::Conflict,
    Reason::Gone,
    Reason::Invalid,
    Reason::ServerTimeout,
    Reason::Timeout,
    Reason::TooManyRequests,
    Reason::BadRequest,
    Reason::MethodNotAllowed,
    Reason::NotAcceptable,
    Reason::RequestEntityTooLarge,
    Reason::UnsupportedMediaType,
    Reason::InternalError,
    Reason::Expired,
    Reason::ServiceUnavailable,
];

/// A refusal: a failed `Status`, boxed so that results stay small.
#[derive(Clone, PartialEq)]
pub struct StatusError(Box<Inner>);

#[derive(Clone, PartialEq)]
struct Inner {
    code: u16,
    reason: Reason,
    /// The reason as it was said, where it is not Kubernetes' own: webhooks make up theirs.
    foreign_reason: Option<String>,
    message: String,
    details: Option<StatusDetails>,
    /// Where a list may go on that cannot as it was.
    continue_token: Option<String>,
}

impl StatusError {
    /// An error of the given reason with the code that goes with it and no details.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        let (code, message) = (reason.code(), message.into());
        Self(Box::new(Inner { code, reason, foreign_reason: None, message, details: None, continue_token: None }))
    }

    fn about(reason: Reason, gvr: &Gvr, name: &str, message: String) -> Self {
        Self::new(reason, message).with_details(StatusDetails {
            group: (!gvr.group.is_empty()).then(|| gvr.group.to_string()),
            kind: Some(gvr.resource.to_string()),
            name: (!name.is_empty()).then(|| name.to_owned()),
            ..StatusDetails::default()
        })
    }

    /// `pods "web" not found`
    pub fn not_found(gvr: &Gvr, name: &str) -> Self {
        Self::about(Reason::NotFound, gvr, name, format!("{} {name:?} not found", gvr.group_resource()))
    }

    /// `pods "web" already exists`
    pub fn already_exists(gvr: &Gvr, name: &str) -> Self {
        Self::about(Reason::AlreadyExists, gvr, name, format!("{} {name:?} already exists", gvr.group_resource()))
    }

    /// `Operation cannot be fulfilled on pods "web": …`. Retry from a fresh read.
    pub fn conflict(gvr: &Gvr, name: &str, why: impl fmt::Display) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", gvr.group_resource());
        Self::about(Reason::Conflict, gvr, name, message)
    }

    /// The conflict of an optimistic lock, in kube-apiserver's words.
    pub fn stale(gvr: &Gvr, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(gvr, name, why)
    }

    /// `pods "web" is forbidden: …`
    pub fn forbidden(gvr: &Gvr, name: &str, why: impl fmt::Display) -> Self {
        let message = match name {
            "" => format!("{} is forbidden: {why}", gvr.group_resource()),
            name => format!("{} {name:?} is forbidden: {why}", gvr.group_resource()),
        };
        Self::about(Reason::Forbidden, gvr, name, message)
    }

    /// `Pod "web" is invalid: …` with one cause per field. `kind` is the CamelCase kind.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let words = match errors {
            [] => String::new(),
            [one] => format!(": {one}"),
            many => {
                let mut seen = Vec::new();
                for text in many.iter().map(ToString::to_string) {
                    if !seen.contains(&text) {
                        seen.push(text);
                    }
                }
                if let [one] = &seen[..] { format!(": {one}") } else { format!(": [{}]", seen.join(", ")) }
            }
        };
        let kind_group = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let causes = errors
            .iter()
            .map(|e| StatusCause {
                reason: Some(e.fault.reason().into()),
                message: Some(e.message()),
                field: Some(e.path.to_string()),
            })
            .collect();
        Self::new(Reason::Invalid, format!("{kind_group} {name:?} is invalid{words}")).with_details(StatusDetails {
            group: (!group.is_empty()).then(|| group.to_owned()),
            kind: Some(kind.to_owned()),
            name: (!name.is_empty()).then(|| name.to_owned()),
            causes: Some(causes),
            ..StatusDetails::default()
        })
    }

    /// The request itself makes no sense. Fix the input.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Reason::BadRequest, message)
    }

    /// The revision or continue token is too old. List again.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(Reason::Expired, message)
    }

    /// Something broke on our side.
    pub fn internal(why: impl fmt::Display) -> Self {
        Self::new(Reason::InternalError, format!("Internal error occurred: {why}"))
    }

    /// Something broke on our side, said without the usual introduction: how Go's plain errors leave the server.
    pub fn internal_bare(why: impl Into<String>) -> Self {
        Self::new(Reason::Unknown, why)
    }

    /// Replaces the details.
    #[must_use]
    pub fn with_details(mut self, details: StatusDetails) -> Self {
        self.0.details = Some(details);
        self
    }

    /// Replaces the HTTP code, for the few refusals whose code is not their reason's.
    #[must_use]
    pub fn with_code(mut self, code: u16) -> Self {
        self.0.code = code;
        self
    }

    /// Asks the caller to wait this long before it tries again.
    #[must_use]
    pub fn retry_after(mut self, seconds: i32) -> Self {
        self.0.details.get_or_insert_default().retry_after_seconds = Some(seconds);
        self
    }

    /// With a token to go on with where the one of the request has expired (`metadata.continue`).
    #[must_use]
    pub fn with_continue(mut self, token: String) -> Self {
        self.0.continue_token = Some(token);
        self
    }

    /// Where a list may go on that has expired as it was, if it may.
    pub fn continue_token(&self) -> Option<&str> {
        self.0.continue_token.as_deref()
    }

    /// HTTP status code.
    pub fn code(&self) -> u16 {
        self.0.code
    }

    /// Machine-readable reason.
    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    /// What went wrong, for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Kind, name, causes and retry hint, where there are any.
    pub fn details(&self) -> Option<&StatusDetails> {
        self.0.details.as_ref()
    }

    /// Whether the object (or the resource) does not exist.
    pub fn is_not_found(&self) -> bool {
        self.reason() == Reason::NotFound
    }

    /// Whether an optimistic lock or an apply conflict refused the write.
    pub fn is_conflict(&self) -> bool {
        self.reason() == Reason::Conflict
    }

    /// Whether the name is taken.
    pub fn is_already_exists(&self) -> bool {
        self.reason() == Reason::AlreadyExists
    }

    /// Whether a watch or continue token fell out of the history.
    pub fn is_expired(&self) -> bool {
        matches!(self.reason(), Reason::Expired | Reason::Gone)
    }
}

impl From<&StatusError> for Status {
    fn from(error: &StatusError) -> Self {
        let known = (error.reason() != Reason::Unknown).then(|| error.reason().as_str().into());
        Status {
            status: Some("Failure".into()),
            code: Some(error.code().into()),
            reason: error.0.foreign_reason.clone().or(known),
            message: Some(error.message().into()),
            details: error.details().cloned(),
            metadata: ListMeta { continue_: error.continue_token().map(str::to_owned), ..ListMeta::default() },
        }
    }
}

impl From<Status> for StatusError {
    fn from(status: Status) -> Self {
        let reason = status.reason.as_deref().map_or(Reason::Unknown, Reason::parse);
        let code = status.code.and_then(|c| u16::try_from(c).ok()).unwrap_or_else(|| reason.code());
        let foreign_reason = status.reason.filter(|text| reason == Reason::Unknown && !text.is_empty());
        let message = status.message.unwrap_or_default();
        let continue_token = status.metadata.continue_;
        Self(Box::new(Inner { code, reason, foreign_reason, message, details: status.details, continue_token }))
    }
}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl fmt::Debug for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.code(), self.reason().as_str(), self.message())
    }
}

impl std::error::Error for StatusError {}
