//! configMap, secret, downwardAPI and projected volumes.

use super::{
    Context, Prepared, Source, VolumePlugin,
    atomic::{self, File, Payload},
    content::{self, TokenRequest},
};
use crate::env::fields::Facts;
use async_trait::async_trait;
use base64::Engine;
use jiff::Timestamp;
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Time};
use orch_api::{Gvr, Key};
use orch_store::client::WriteOptions;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    io,
    path::{Path, PathBuf},
};

const ACCOUNTS: Gvr = Gvr::of("", "v1", "serviceaccounts");

/// Volumes whose content is files that the API server knows.
pub(super) struct Files;

#[async_trait]
impl VolumePlugin for Files {
    fn supports(&self, source: &Source<'_>) -> bool {
        let volume = source.volume;
        volume.config_map.is_some()
            || volume.secret.is_some()
            || volume.downward_api.is_some()
            || volume.projected.is_some()
    }

    async fn prepare(&self, context: &Context<'_>, source: &Source<'_>, dir: &Path) -> Result<Prepared, String> {
        let (node, pod, volume) = (context.node, context.pod, source.volume);
        let facts =
            Facts { pod_ips: Vec::new(), host_ips: node.host_ips.clone(), allocatable: node.allocatable.clone() };
        let mut payload = content::payload(pod, volume, &facts, context.objects).map_err(|e| e.0)?;
        let mut refresh_at: Option<Timestamp> = None;
        for request in content::tokens(volume) {
            let token = token(context, &request, &state_path(dir, &request)).await?;
            refresh_at = Some(refresh_at.map_or(token.refresh_at, |at| at.min(token.refresh_at)));
            payload
                .insert(request.path.clone(), File { data: token.token.into_bytes(), mode: token_mode(pod, &request) });
        }
        let stamp =
            node.ambient.clock.now().strftime("%Y_%m_%d_%H_%M_%S.").to_string() + &node.ambient.chance.suffix(8);
        let (dir, group) = (dir.to_owned(), fs_group(pod));
        write(dir.clone(), payload, stamp, group).await.map_err(|e| format!("{}: {e}", dir.display()))?;
        Ok(Prepared { path: dir, refresh_at })
    }

    async fn tear_down(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

async fn write(dir: PathBuf, payload: Payload, stamp: String, group: Option<u32>) -> io::Result<bool> {
    tokio::task::spawn_blocking(move || atomic::write(&dir, &payload, &stamp, group)).await.map_err(io::Error::other)?
}

pub(super) fn fs_group(pod: &Pod) -> Option<u32> {
    pod.spec.as_ref()?.security_context.as_ref()?.fs_group.and_then(|g| u32::try_from(g).ok())
}

/// Tokens are the owner's alone unless a group or another user must read them (`projected.go`).
fn token_mode(pod: &Pod, request: &TokenRequest) -> u32 {
    let context = pod.spec.as_ref().and_then(|s| s.security_context.as_ref());
    match context {
        Some(c) if c.fs_group.is_some() => 0o600,
        _ if request.mode != 0o644 => request.mode,
        _ => 0o644,
    }
}

/// A token with the time at which to ask for the next one: at 80 % of its life, or after a day.
#[derive(Serialize, Deserialize)]
struct Token {
    token: String,
    refresh_at: Timestamp,
}

async fn token(context: &Context<'_>, request: &TokenRequest, state: &Path) -> Result<Token, String> {
    let (node, pod) = (context.node, context.pod);
    let now = node.ambient.clock.now();
    let known = tokio::fs::read(state).await.ok().and_then(|bytes| serde_json::from_slice::<Token>(&bytes).ok());
    match known {
        Some(known) if known.refresh_at > now => return Ok(known),
        _ => {}
    }
    let meta = &pod.metadata;
    let account = pod.spec.as_ref().and_then(|s| s.service_account_name.as_deref()).unwrap_or("default");
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {
            "audiences": request.audience.iter().collect::<Vec<_>>(),
            "expirationSeconds": request.expiration_seconds,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": meta.name, "uid": meta.uid},
        },
    });
    let key = Key::new(meta.namespace.as_deref().unwrap_or_default(), account);
    let failed = |e: orch_api::StatusError| format!("failed to fetch token: {e}");
    let answer =
        node.client.create(&ACCOUNTS, &key, Some("token"), body, &WriteOptions::default()).await.map_err(failed)?;
    #[derive(Deserialize)]
    struct Answer {
        status: Status,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Status {
        token: String,
        expiration_timestamp: Time,
    }
    let Answer { status } = answer.parse().map_err(failed)?;
    let life = status.expiration_timestamp.0.duration_since(now);
    let wait = (life * 4 / 5).min(jiff::SignedDuration::from_hours(24));
    let refresh_at = now.checked_add(wait).unwrap_or(now);
    let token = Token { token: status.token, refresh_at };
    keep(state, &token).await.map_err(|e| format!("{}: {e}", state.display()))?;
    Ok(token)
}

/// Keeps the token beside the volume, so that a restarted agent need not ask again.
async fn keep(state: &Path, token: &Token) -> io::Result<()> {
    if let Some(parent) = state.parent() {
        tokio::fs::create_dir_all(parent).await?;
    }
    tokio::fs::write(state, b"").await?;
    crate::files::set_mode(state, 0o600).await?;
    tokio::fs::write(state, serde_json::to_vec(token)?).await
}

fn state_path(dir: &Path, request: &TokenRequest) -> PathBuf {
    let name = dir.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("{name}/{}", request.path));
    dir.parent().and_then(Path::parent).unwrap_or(dir).join("tokens").join(encoded)
}
