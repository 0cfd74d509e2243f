//! Tokens that are given at start.

use super::{Authenticator, Credentials, User};
use async_trait::async_trait;
use ring::digest::{SHA256, digest};
use std::{collections::HashMap, fmt, sync::Arc};

/// Knows the users of fixed tokens. Only hashes of the tokens are kept, and looking one up compares
/// hashes, so that neither memory nor timing tells a token.
#[derive(Default)]
pub struct StaticTokens(HashMap<[u8; 32], Arc<User>>);

impl StaticTokens {
    /// No tokens.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a token of the user.
    #[must_use]
    pub fn with(mut self, token: &str, user: User) -> Self {
        self.0.insert(hash(token), Arc::new(user));
        self
    }
}

#[async_trait]
impl Authenticator for StaticTokens {
    async fn authenticate(&self, credentials: &Credentials<'_>) -> Result<Option<Arc<User>>, String> {
        Ok(credentials.token.and_then(|token| self.0.get(&hash(token)).cloned()))
    }
}

impl fmt::Debug for StaticTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaticTokens({} tokens)", self.0.len())
    }
}

/// The hash of a token.
pub(super) fn hash(token: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    out
}
