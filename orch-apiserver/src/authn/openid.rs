//! The documents by which others verify service account tokens (`pkg/serviceaccount/openidmetadata.go`).

use bytes::Bytes;
use serde_json::{Value, json};

/// The OpenID discovery documents.
#[derive(Clone, Debug)]
pub struct OpenId {
    /// `/.well-known/openid-configuration`, served as `application/json`.
    pub configuration: Bytes,
    /// `/openid/v1/jwks`, served as `application/jwk-set+json`.
    pub keys: Bytes,
}

impl OpenId {
    pub(super) fn new(issuer: &str, base: &str, key: &Value) -> Self {
        let configuration = json!({
            "issuer": issuer,
            "jwks_uri": format!("{}/openid/v1/jwks", base.trim_end_matches('/')),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [key.get("alg")],
        });
        Self { configuration: configuration.to_string().into(), keys: json!({"keys": [key]}).to_string().into() }
    }
}
