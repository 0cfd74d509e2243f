//! [`TokenSigner`]: service account tokens for TokenRequest (`pkg/serviceaccount/claims.go`).

use super::{jwt, openid::OpenId};
use crate::pki::Secret;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt;

/// Name and UID of an object that a token is bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
}

/// What a token is bound to beside its service account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Bound {
    /// Nothing.
    #[default]
    Nothing,
    /// A pod, and the node that it runs on where that is known.
    Pod(Reference, Option<Reference>),
    /// A secret.
    Secret(Reference),
    /// A node.
    Node(Reference),
}

/// What a token shall say.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// Namespace of the service account.
    pub namespace: String,
    /// The service account.
    pub service_account: Reference,
    /// Who may accept the token; empty for the API server itself.
    pub audiences: Vec<String>,
    /// How long the token lasts.
    pub lifetime: SignedDuration,
    /// After how long its use is a sign that somebody does not read it again; it lasts nevertheless.
    pub warn_after: Option<SignedDuration>,
    /// What the token is bound to.
    pub bound: Bound,
    /// A unique id (a UUID), by which audit finds the token's use.
    pub id: String,
}

/// Signs tokens and gives out the public key.
pub struct TokenSigner {
    pub(super) key: jwt::Key,
    pub(super) issuer: String,
    pub(super) audiences: Vec<String>,
}

impl TokenSigner {
    /// A signer with a P-256 key. `audiences` are those of the API server; the issuer is one of them where
    /// the list is empty.
    ///
    /// # Errors
    ///
    /// What is wrong with the key.
    pub fn new(key: &Secret, issuer: &str, audiences: Vec<String>) -> Result<Self, String> {
        let audiences = if audiences.is_empty() { vec![issuer.to_owned()] } else { audiences };
        Ok(Self { key: jwt::Key::read(key)?, issuer: issuer.to_owned(), audiences })
    }

    /// The audiences of the API server.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// A signed token and when it expires.
    ///
    /// # Errors
    ///
    /// When the system has no randomness to sign with.
    pub fn sign(&self, request: &TokenRequest, now: Timestamp) -> Result<(Secret, Timestamp), String> {
        let expires = now.saturating_add(request.lifetime).unwrap_or(Timestamp::MAX);
        let audiences = if request.audiences.is_empty() { &self.audiences } else { &request.audiences };
        let account = &request.service_account;
        let mut kubernetes = json!({"namespace": request.namespace, "serviceaccount": account});
        match &request.bound {
            Bound::Nothing => {}
            Bound::Pod(pod, node) => {
                kubernetes["pod"] = json!(pod);
                if let Some(node) = node {
                    kubernetes["node"] = json!(node);
                }
            }
            Bound::Secret(secret) => kubernetes["secret"] = json!(secret),
            Bound::Node(node) => kubernetes["node"] = json!(node),
        }
        if let Some(after) = request.warn_after {
            kubernetes["warnafter"] = now.saturating_add(after).unwrap_or(Timestamp::MAX).as_second().into();
        }
        let token = self.key.sign(&json!({
            "iss": self.issuer,
            "sub": format!("system:serviceaccount:{}:{}", request.namespace, account.name),
            "aud": audiences,
            "exp": expires.as_second(),
            "iat": now.as_second(),
            "nbf": now.as_second(),
            "jti": request.id,
            "kubernetes.io": kubernetes,
        }))?;
        Ok((Secret::new(token), expires))
    }

    /// The OpenID documents by which others verify the tokens. `base` is the server's public URL.
    pub fn openid(&self, base: &str) -> OpenId {
        OpenId::new(&self.issuer, base, &self.key.public())
    }
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenSigner({})", self.issuer)
    }
}
