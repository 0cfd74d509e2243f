//! Who is asking: [`User`] and the authenticators that find it in a request.
//!
//! ```text
//! Union ─► client certificate ─► static tokens ─► service account tokens ─► anonymous (few paths)
//!          then impersonation: the user may ask to act as another
//! ```

mod certificate;
mod impersonation;
mod jwt;
mod openid;
pub(crate) mod secret_token;
mod service_account;
mod signer;
mod static_tokens;
#[cfg(test)]
mod tests;
mod user;

pub use certificate::{ClientCertificates, user_of_certificate, user_of_certificate_pem};
pub use impersonation::{Impersonation, impersonate};
pub use openid::OpenId;
pub use service_account::{LiveObject, LiveObjects, ServiceAccountTokens};
pub use signer::{Bound, Reference, TokenRequest, TokenSigner};
pub use static_tokens::StaticTokens;
pub use user::User;

use crate::core::Notes;
use async_trait::async_trait;
use jiff::Timestamp;
use orch_api::{Reason, StatusError};
use std::sync::Arc;

/// What a request shows of its maker.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    /// The user of the verified client certificate; found once per connection.
    pub certificate: Option<&'a Arc<User>>,
    /// The token of `Authorization: Bearer …`. See [`bearer`].
    pub token: Option<&'a str>,
    /// The URL's path.
    pub path: &'a str,
    /// The time of the request.
    pub now: Timestamp,
    /// What an authenticator has to say beside the user.
    pub notes: &'a Notes,
}

/// Finds the user of a request.
///
/// # Laws
///
/// `Ok(None)` means: nothing here for me, ask the next. An error means: there was a credential of my
/// kind and it is not good; a later authenticator may still know it.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// Finds the user.
    ///
    /// # Errors
    ///
    /// Why the credential is refused, for the log alone.
    async fn authenticate(&self, credentials: &Credentials<'_>) -> Result<Option<Arc<User>>, String>;
}

/// Asks authenticators in order; the first that knows the user decides.
pub struct Union(Vec<Arc<dyn Authenticator>>);

impl Union {
    /// The authenticators in the order in which they are asked.
    pub fn new(authenticators: Vec<Arc<dyn Authenticator>>) -> Self {
        Self(authenticators)
    }

    /// The user of the request.
    ///
    /// # Errors
    ///
    /// 401 `Unauthorized` when nobody knows the user. The reasons are logged, never sent.
    pub async fn user(&self, credentials: &Credentials<'_>) -> Result<Arc<User>, StatusError> {
        for authenticator in &self.0 {
            match authenticator.authenticate(credentials).await {
                Ok(Some(user)) => return Ok(user),
                Ok(None) => {}
                Err(why) => tracing::debug!(%why, "a credential was refused"),
            }
        }
        Err(StatusError::new(Reason::Unauthorized, "Unauthorized"))
    }
}

/// Lets requests without credentials read health and version (KEP-4633).
pub struct Anonymous {
    user: Arc<User>,
    anywhere: bool,
}

impl Anonymous {
    /// Only for `/healthz`, `/livez`, `/readyz`, what lies below them, and `/version`.
    pub fn for_health() -> Self {
        Self { user: Arc::new(User::anonymous()), anywhere: false }
    }

    /// For every path; the authorizer decides.
    pub fn anywhere() -> Self {
        Self { user: Arc::new(User::anonymous()), anywhere: true }
    }
}

#[async_trait]
impl Authenticator for Anonymous {
    async fn authenticate(&self, credentials: &Credentials<'_>) -> Result<Option<Arc<User>>, String> {
        if credentials.token.is_some() || !(self.anywhere || is_open(credentials.path)) {
            return Ok(None);
        }
        Ok(Some(self.user.clone()))
    }
}

fn is_open(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    matches!(first, "healthz" | "livez" | "readyz") || path.trim_end_matches('/') == "/version"
}

/// The token of an `Authorization` header; `None` for other schemes.
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
