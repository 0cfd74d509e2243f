//! What volumes of files contain. Pure.

use super::atomic::{File, Payload};
use crate::env::{
    self, CONFIG_MAPS, ConfigError, Lookups, SECRETS,
    fields::{self, Facts},
};
use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Pod, Volume, VolumeProjection};
use orch_api::Gvr;

/// A service account token that a projected volume asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// Where it goes.
    pub path: String,
    /// For whom; the API server's own audience when unset.
    pub audience: Option<String>,
    /// How long it should live, in seconds.
    pub expiration_seconds: i64,
    /// Permission bits.
    pub mode: u32,
}

/// Everything that the volume contains but its tokens.
pub fn payload(pod: &Pod, volume: &Volume, facts: &Facts, objects: &dyn Lookups) -> Result<Payload, ConfigError> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let mut out = Payload::new();
    if let Some(map) = &volume.config_map {
        let mode = bits(map.default_mode);
        object(&mut out, objects, (&CONFIG_MAPS, namespace, &map.name), map.optional, map.items.as_deref(), mode)?;
    } else if let Some(secret) = &volume.secret {
        let (mode, name) = (bits(secret.default_mode), secret.secret_name.as_deref().unwrap_or_default());
        object(&mut out, objects, (&SECRETS, namespace, name), secret.optional, secret.items.as_deref(), mode)?;
    } else if let Some(downward) = &volume.downward_api {
        let files = downward.items.iter().flatten();
        downward_files(&mut out, pod, facts, files, bits(downward.default_mode))?;
    } else if let Some(projected) = &volume.projected {
        for source in projected.sources.iter().flatten() {
            projection(&mut out, pod, facts, objects, source, bits(projected.default_mode))?;
        }
    }
    Ok(out)
}

/// The tokens that the volume contains.
pub fn tokens(volume: &Volume) -> Vec<TokenRequest> {
    let Some(projected) = &volume.projected else { return Vec::new() };
    let sources = projected.sources.iter().flatten().filter_map(|s| s.service_account_token.as_ref());
    sources
        .map(|token| TokenRequest {
            path: token.path.clone(),
            audience: token.audience.clone().filter(|a| !a.is_empty()),
            expiration_seconds: token.expiration_seconds.unwrap_or(3600),
            mode: bits(projected.default_mode),
        })
        .collect()
}

fn projection(
    out: &mut Payload,
    pod: &Pod,
    facts: &Facts,
    objects: &dyn Lookups,
    source: &VolumeProjection,
    mode: u32,
) -> Result<(), ConfigError> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    if let Some(map) = &source.config_map {
        object(out, objects, (&CONFIG_MAPS, namespace, &map.name), map.optional, map.items.as_deref(), mode)?;
    }
    if let Some(secret) = &source.secret {
        object(out, objects, (&SECRETS, namespace, &secret.name), secret.optional, secret.items.as_deref(), mode)?;
    }
    if let Some(downward) = &source.downward_api {
        downward_files(out, pod, facts, downward.items.iter().flatten(), mode)?;
    }
    Ok(())
}

fn object(
    out: &mut Payload,
    objects: &dyn Lookups,
    (resource, namespace, name): (&Gvr, &str, &str),
    optional: Option<bool>,
    items: Option<&[KeyToPath]>,
    mode: u32,
) -> Result<(), ConfigError> {
    let optional = optional == Some(true);
    let Some(mut data) = env::data(objects, resource, namespace, name, optional)? else { return Ok(()) };
    let Some(items) = items.filter(|i| !i.is_empty()) else {
        out.extend(data.into_iter().map(|(key, data)| (key, File { data, mode })));
        return Ok(());
    };
    for item in items {
        match data.get_mut(&item.key) {
            Some(data) => {
                let mode = item.mode.map_or(mode, |m| bits(Some(m)));
                out.insert(item.path.clone(), File { data: data.clone(), mode });
            }
            None if optional => {}
            None => return Err(ConfigError(format!("references non-existent {} key: {}", kind(resource), item.key))),
        }
    }
    Ok(())
}

fn downward_files<'a>(
    out: &mut Payload,
    pod: &Pod,
    facts: &Facts,
    files: impl Iterator<Item = &'a DownwardAPIVolumeFile>,
    mode: u32,
) -> Result<(), ConfigError> {
    for file in files {
        let text = if let Some(field) = &file.field_ref {
            fields::field(pod, facts, &field.field_path)?
        } else if let Some(resource) = &file.resource_field_ref {
            let name = resource.container_name.as_deref().unwrap_or_default();
            let of = crate::pod::spec::container(pod, name)
                .ok_or_else(|| ConfigError(format!("container {name} not found")))?;
            fields::resource(of.container, facts, resource)?
        } else {
            continue;
        };
        let mode = file.mode.map_or(mode, |m| bits(Some(m)));
        out.insert(file.path.clone(), File { data: text.into_bytes(), mode });
    }
    Ok(())
}

fn bits(mode: Option<i32>) -> u32 {
    mode.and_then(|m| u32::try_from(m).ok()).unwrap_or(0o644)
}

fn kind(resource: &Gvr) -> &'static str {
    if *resource == SECRETS { "secret" } else { "config" }
}
