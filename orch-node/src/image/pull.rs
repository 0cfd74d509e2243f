use super::{
    ImageConfig, ImageError, ImageRecord, ImageStore, NewImage, config, reference,
    store::{Ingest, digest},
};
use futures::{StreamExt, TryStreamExt, stream};
use oci_client::{
    Client, Reference, RegistryOperation,
    client::{ClientConfig, ClientProtocol},
    errors::{OciDistributionError, OciErrorCode},
    manifest::{ImageIndexEntry, OciDescriptor, OciImageManifest},
    secrets::RegistryAuth as Secret,
};
use orch_runtime::node::container::RegistryAuth;
use std::{sync::Arc, time::Duration};

/// How many layers are fetched at a time, as containerd does.
const CONCURRENT_LAYERS: usize = 3;

/// Which registries to speak plain HTTP to, besides those on loopback.
#[derive(Clone, Debug, Default)]
pub struct Registries {
    /// Hosts, with their port if they have one.
    pub insecure: Vec<String>,
}

/// Pulls images from registries into a store.
#[derive(Clone, Debug)]
pub struct Puller {
    store: Arc<ImageStore>,
    registries: Registries,
}

impl Puller {
    /// A puller into that store.
    pub fn new(store: Arc<ImageStore>, registries: Registries) -> Self {
        // The TLS library wants to be told which cryptography to use; a second telling is refused and harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { store, registries }
    }

    /// Fetches an image for this machine's platform. `progress` hears (layers done, layers in all).
    ///
    /// Layers that the store has already are not fetched again; those of a pull that failed half-way
    /// stay for the next try.
    pub async fn pull(
        &self,
        name: &str,
        auth: Option<RegistryAuth>,
        progress: impl Fn(usize, usize) + Send + Sync,
    ) -> Result<ImageRecord, ImageError> {
        let reference = reference::parse(name)?;
        let client = self.client(&reference);
        let secret = auth.map_or(Secret::Anonymous, |auth| Secret::Basic(auth.username, auth.password));
        client.auth(&reference, &secret, RegistryOperation::Pull).await.map_err(|e| resolve_error(&reference, &e))?;
        let (manifest, manifest_digest, config, list_digest) = client
            .pull_manifest_and_config_and_list_digest(&reference, &secret)
            .await
            .map_err(|e| resolve_error(&reference, &e))?;
        let diff_ids = ImageConfig::parse(config.as_bytes())?.rootfs.diff_ids;
        check_config(&manifest, &config, &diff_ids)?;

        let store = self.store.clone();
        let ingest = blocking(move || store.ingest()).await.map(Arc::new)?;
        let (total, done) = (diff_ids.len(), std::sync::atomic::AtomicUsize::new(0));
        progress(0, total);
        stream::iter(manifest.layers.iter().cloned().zip(diff_ids))
            .map(|(layer, diff_id)| {
                let (ingest, client, reference) = (ingest.clone(), &client, &reference);
                let (done, progress) = (&done, &progress);
                async move {
                    self.layer(client, reference, layer, diff_id, ingest).await?;
                    progress(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1, total);
                    Ok::<_, ImageError>(())
                }
            })
            .buffer_unordered(CONCURRENT_LAYERS)
            .try_collect::<()>()
            .await?;

        let digests = [list_digest.as_deref(), Some(&manifest_digest)];
        let digests = digests.into_iter().flatten().map(|d| format!("{}@{d}", reference::repository(&reference)));
        let digests = digests.collect();
        let tags = if reference.digest().is_some() { Vec::new() } else { vec![reference::whole(&reference)] };
        let store = self.store.clone();
        blocking(move || store.commit(&ingest, NewImage { config: config.as_bytes(), manifest: None, tags, digests }))
            .await
    }

    async fn layer(
        &self,
        client: &Client,
        reference: &Reference,
        layer: OciDescriptor,
        diff_id: String,
        ingest: Arc<Ingest>,
    ) -> Result<(), ImageError> {
        let (store, wanted) = (self.store.clone(), diff_id.clone());
        if blocking(move || Ok(store.has_layer(&wanted))).await? {
            return Ok(());
        }
        let path = ingest.dir().join(digest(layer.digest.as_bytes()).trim_start_matches("sha256:"));
        let mut file = tokio::fs::File::create(&path).await.map_err(ImageError::io(&path))?;
        client.pull_blob(reference, &layer, &mut file).await.map_err(|error| {
            ImageError::Registry(format!("failed to copy layer {}: {}", layer.digest, chain(&error)))
        })?;
        drop(file);
        let store = self.store.clone();
        blocking(move || {
            let packed = std::fs::File::open(&path).map_err(ImageError::io(&path))?;
            store.add_layer(&ingest, &diff_id, packed)?;
            std::fs::remove_file(&path).map_err(ImageError::io(path))
        })
        .await
    }

    fn client(&self, reference: &Reference) -> Client {
        let registry = reference.resolve_registry().to_owned();
        let plain = is_loopback(&registry) || self.registries.insecure.contains(&registry);
        Client::new(ClientConfig {
            protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
            platform_resolver: Some(Box::new(choose_platform)),
            connect_timeout: Some(Duration::from_secs(30)),
            read_timeout: Some(Duration::from_secs(60)),
            user_agent: concat!("orch/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        })
    }
}

/// The manifest of an index that runs here.
fn choose_platform(manifests: &[ImageIndexEntry]) -> Option<String> {
    let runs_here = |entry: &&ImageIndexEntry| {
        entry.platform.as_ref().is_some_and(|platform| {
            platform.os.to_string() == "linux" && platform.architecture.to_string() == config::architecture()
        })
    };
    manifests.iter().find(runs_here).map(|entry| entry.digest.clone())
}

fn check_config(manifest: &OciImageManifest, config: &str, diff_ids: &[String]) -> Result<(), ImageError> {
    let actual = digest(config.as_bytes());
    if actual != manifest.config.digest {
        let expected = &manifest.config.digest;
        return Err(ImageError::Malformed(format!("image configuration {expected} has digest {actual}")));
    }
    if manifest.layers.len() != diff_ids.len() {
        return Err(ImageError::Malformed("manifest and configuration differ in their number of layers".into()));
    }
    Ok(())
}

/// Whether a registry is on this machine: plain HTTP is the default there, as in containerd.
fn is_loopback(registry: &str) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => registry.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// containerd's words for a reference that does not resolve.
fn resolve_error(reference: &Reference, error: &OciDistributionError) -> ImageError {
    let name = reference::whole(reference);
    let denied = "pull access denied, repository does not exist or may require authorization";
    let why = match error {
        OciDistributionError::ImageManifestNotFoundError(_) => format!("{name}: not found"),
        OciDistributionError::ServerError { code: 404, .. } => format!("{name}: not found"),
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
            format!("{denied}: authorization failed: no basic auth credentials")
        }
        OciDistributionError::RegistryError { envelope, .. } => match envelope.errors.first().map(|e| &e.code) {
            Some(OciErrorCode::ManifestUnknown | OciErrorCode::NameUnknown | OciErrorCode::NotFound) => {
                format!("{name}: not found")
            }
            Some(OciErrorCode::Denied | OciErrorCode::Unauthorized) => {
                format!("{denied}: server message: insufficient_scope: authorization failed")
            }
            _ => chain(error),
        },
        OciDistributionError::ImageIndexParsingNoPlatformResolverError => {
            format!("no match for platform in manifest: linux/{}", config::architecture())
        }
        other => format!("failed to do request: {}", chain(other)),
    };
    ImageError::Registry(format!("failed to resolve reference {name:?}: {why}"))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(ImageError::Registry("the pull was interrupted".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_spoken_to_this_machine_only() {
        for (registry, plain) in [
            ("localhost:5000", true),
            ("127.0.0.1:5077", true),
            ("[::1]:5000", true),
            ("docker.io", false),
            ("localhost.example.com", false),
            ("10.0.0.1:5000", false),
        ] {
            assert_eq!(is_loopback(registry), plain, "{registry}");
        }
    }
}
