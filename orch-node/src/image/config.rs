use super::ImageError;
use serde::{Deserialize, Serialize};

/// What an image says about the containers made from it (`application/vnd.oci.image.config.v1+json`,
/// of which Docker's is a superset).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// `amd64`, `arm64`, …
    #[serde(default)]
    pub architecture: String,
    /// `linux`.
    #[serde(default)]
    pub os: String,
    /// Defaults for containers.
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: Defaults,
    /// The layers.
    pub rootfs: RootFs,
}

/// Defaults for containers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Defaults {
    /// `user`, `uid`, `user:group` or `uid:gid`.
    pub user: String,
    /// `NAME=value`.
    #[serde(deserialize_with = "null_is_default")]
    pub env: Vec<String>,
    /// Entry point.
    #[serde(deserialize_with = "null_is_default")]
    pub entrypoint: Vec<String>,
    /// Arguments.
    #[serde(deserialize_with = "null_is_default")]
    pub cmd: Vec<String>,
    /// Working directory.
    pub working_dir: String,
    /// Signal to stop with.
    pub stop_signal: String,
}

/// The layers, lowest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Digests of the uncompressed layers.
    #[serde(deserialize_with = "null_is_default")]
    pub diff_ids: Vec<String>,
}

impl ImageConfig {
    /// Parses and checks that the image can run here.
    pub fn parse(json: &[u8]) -> Result<Self, ImageError> {
        let config: Self = serde_json::from_slice(json)
            .map_err(|error| ImageError::Malformed(format!("image configuration: {error}")))?;
        match config.rootfs.diff_ids.iter().find(|id| !super::reference::is_digest(id)) {
            Some(id) => Err(ImageError::Malformed(format!("image configuration: {id:?} is not a digest"))),
            None => Ok(config),
        }
    }
}

/// The name that image configurations have for this machine's processor.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn null_is_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(d: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_default())
}
