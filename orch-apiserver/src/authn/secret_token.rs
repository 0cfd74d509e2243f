//! Tokens that secrets keep: who uses them is noted by the day, and those that nobody has used for long can be made invalid
//! (KEP-2799, `pkg/serviceaccount/legacy.go`).

use super::jwt;
use crate::{
    core::{json, storage::Storage},
    registry::Registry,
    sub::MOST_SECONDS,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use orch_api::{Gvr, Key, Kind};
use orch_store::Stored;
use serde_json::Value;
use std::sync::Arc;

/// The ConfigMap in `kube-system` that says since when uses are noted.
pub(crate) const TRACKING: &str = "kube-apiserver-legacy-service-account-token-tracking";
const TYPE: &str = "kubernetes.io/service-account-token";
const LAST_USED: &str = "kubernetes.io/legacy-token-last-used";
const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";

/// A day in UTC, as labels and the ConfigMap write it.
pub(crate) fn day(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).date().to_string()
}

/// Notes the use of a token, where the secret is the one that keeps it.
///
/// # Errors
///
/// Why the token is good no longer.
pub(crate) async fn used(
    registry: &Registry,
    storage: &Storage,
    key: &Key,
    token: &str,
    now: Timestamp,
) -> Result<(), String> {
    let Some(kind) = registry.find(&Gvr::of("", "v1", "secrets")) else { return Ok(()) };
    let Ok(Some(stored)) = storage.lookup(&kind, key).await else { return Ok(()) };
    let secret: Value = stored.parse().map_err(|why| why.to_string())?;
    if json::text(&secret, &["type"]) != TYPE {
        return Ok(());
    }
    let kept = json::text(&secret, &["data", "token"]);
    if BASE64_STANDARD.decode(kept).ok().as_deref() != Some(token.as_bytes()) {
        return match is_for_keeping(token) {
            true => Err("Token does not match server's copy".into()),
            false => Ok(()),
        };
    }
    let is_invalid = stored.meta.labels.get(INVALID_SINCE).is_some_and(|since| !since.is_empty());
    let account = json::text(&secret, &["metadata", "annotations", "kubernetes.io/service-account.name"]).to_owned();
    note(storage, &kind, &stored, secret, now).await;
    if is_invalid {
        let Key { namespace, name } = key;
        return Err(format!(
            "the token in secret {namespace}/{name} for service account {namespace}/{account} has been marked invalid. Use \
             tokens from the TokenRequest API or manually created secret-based tokens, or remove the '{INVALID_SINCE}' label \
             from the secret to temporarily allow use of this token"
        ));
    }
    Ok(())
}

/// Whether the token was made for a secret to keep: only such a one lives as long as can be. One that somebody has bound to
/// the secret for a shorter time is good without being kept.
fn is_for_keeping(token: &str) -> bool {
    let claims = jwt::peek(token).unwrap_or_default();
    let time = |name: &str| json::integer(&claims, &[name]);
    time("exp").zip(time("iat")).is_some_and(|(end, begin)| end.saturating_sub(begin) == MOST_SECONDS)
}

/// At most one write a day. Another server may have begun the next one.
async fn note(storage: &Storage, kind: &Arc<Kind>, stored: &Arc<Stored>, mut secret: Value, now: Timestamp) {
    let (today, tomorrow) = (day(now), now.to_zoned(TimeZone::UTC).date().saturating_add(1.day()).to_string());
    if stored.meta.labels.get(LAST_USED).is_some_and(|used| *used == today || *used == tomorrow) {
        return;
    }
    json::set(&mut secret, &["metadata", "labels", LAST_USED], today);
    let written = match storage.encode(kind, &secret).await {
        Ok(value) => storage.replace(kind, stored, value, false).await.map(|_| ()),
        Err(error) => Err(error),
    };
    // Who lost a race is used again, and noted then.
    if let Err(error) = written {
        tracing::warn!(%error, secret = %stored.key, "the use of a token was not noted");
    }
}
