//! What a secret says of a bootstrap token (`cluster-bootstrap/util/secrets`).

use super::TOKEN;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

/// Whether a secret holds a bootstrap token.
pub(super) fn is_token(secret: &Secret) -> bool {
    secret.type_.as_deref() == Some(TOKEN)
}

/// An entry of a secret as text.
pub(super) fn entry(secret: &Secret, name: &str) -> Option<String> {
    let bytes = &secret.data.as_ref()?.get(name)?.0;
    String::from_utf8(bytes.clone()).ok().filter(|text| !text.is_empty())
}

/// When the token ends: never when nothing is said, long ago when what is said is no time.
pub(super) fn expires(secret: &Secret) -> Option<Timestamp> {
    entry(secret, "expiration").map(|text| text.parse().unwrap_or(Timestamp::MIN))
}

/// The id and the secret of a token that may sign and has not ended.
pub(super) fn for_signing(secret: &Secret, now: Timestamp) -> Option<(String, String)> {
    let id = entry(secret, "token-id")?;
    let named = secret.metadata.name.as_deref()?.strip_prefix("bootstrap-token-")? == id;
    let lasts = expires(secret).is_none_or(|end| end > now);
    let signs = entry(secret, "usage-bootstrap-signing").as_deref() == Some("true");
    (is_token(secret) && named && lasts && signs).then_some((id, entry(secret, "token-secret")?))
}
