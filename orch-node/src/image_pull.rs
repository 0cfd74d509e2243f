//! Making a container's image present, by its pull policy, with the pod's credentials
//! (`images/image_manager.go`, `credentialprovider/keyring.go`).

use crate::{
    event::Severity,
    follow::{Followed, Lookup},
    pod::{StartFailure, backoff, spec::ContainerSpec},
};
use base64::Engine;
use k8s_openapi::api::core::v1::{Pod, Secret};
use orch_api::{Gvr, Key};
use orch_runtime::node::container::{Image, RegistryAuth, RuntimeError};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Makes the image present or says why the container cannot start.
pub(crate) async fn ensure(start: &crate::pod::Start, of: ContainerSpec<'_>) -> Result<Image, StartFailure> {
    let (runtime, image) = (&start.node.runtime, of.image());
    let policy = policy(of);
    if policy != "Always" {
        let present = runtime.image(image).await;
        if let Ok(Some(found)) = present {
            let words = format!("Container image {image:?} already present on machine and can be accessed by the pod");
            start.event(Severity::Normal, "Pulled", words);
            return Ok(found);
        }
        if policy == "Never" {
            let words = format!("Container image {image:?} is not present with pull policy of Never");
            start.event(Severity::Warning, "ErrImageNeverPull", words.clone());
            return Err(start.failed("ErrImageNeverPull", words, backoff::INITIAL));
        }
    }
    start.event(Severity::Normal, "Pulling", format!("Pulling image {image:?}"));
    let begun = tokio::time::Instant::now();
    let (auth, missing) = credentials(&start.pod, image, &start.references).await;
    if !missing.is_empty() {
        let words = format!(
            "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
            missing.join(", ")
        );
        start.node.event(&start.pod, None, Severity::Warning, "FailedToRetrieveImagePullSecret", words);
    }
    match runtime.pull_image(image, auth).await {
        Ok(found) => {
            let took = elapsed(begun.elapsed());
            let words = format!(
                "Successfully pulled image {image:?} in {took} ({took} including waiting). Image size: {} bytes.",
                found.size_bytes
            );
            start.event(Severity::Normal, "Pulled", words);
            Ok(found)
        }
        Err(error) => Err(refused(start, image, &error)),
    }
}

fn refused(start: &crate::pod::Start, image: &str, error: &RuntimeError) -> StartFailure {
    if let RuntimeError::InvalidImageName { .. } = error {
        let words = format!("Failed to apply default image tag {image:?}: {error}");
        start.event(Severity::Warning, "InspectFailed", words.clone());
        return start.failed("InvalidImageName", words, backoff::INITIAL);
    }
    start.event(Severity::Warning, "Failed", format!("Failed to pull image {image:?}: {error}"));
    start.event(Severity::Warning, "Failed", "Error: ErrImagePull".into());
    let mut failure = start.quiet("ErrImagePull", error.to_string(), backoff::INITIAL);
    let words = format!("Back-off pulling image {image:?}: ErrImagePull: {error}");
    failure.waiting = Some(("ImagePullBackOff".into(), words));
    failure
}

/// The policy, defaulted as the API does: Always for `:latest` and for no tag.
fn policy(of: ContainerSpec<'_>) -> &str {
    let image = of.image();
    let tagged = image.rsplit('/').next().unwrap_or(image);
    let latest = !tagged.contains('@') && (!tagged.contains(':') || tagged.ends_with(":latest"));
    of.container.image_pull_policy.as_deref().unwrap_or(if latest { "Always" } else { "IfNotPresent" })
}

#[derive(Deserialize)]
struct DockerConfig {
    auths: BTreeMap<String, DockerAuth>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct DockerAuth {
    username: String,
    password: String,
    auth: String,
}

/// The credentials of the first pull secret that knows the image's registry, and the secrets that are not there.
async fn credentials(
    pod: &Pod,
    image: &str,
    references: &BTreeMap<(Gvr, Key), Followed>,
) -> (Option<RegistryAuth>, Vec<String>) {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let registry = registry(image);
    let (mut found, mut missing) = (None, Vec::new());
    for named in pod.spec.iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten()) {
        let followed = references.get(&(crate::env::SECRETS, Key::new(namespace, named.name.as_str())));
        let Some(followed) = followed else { continue };
        match followed.loaded().await {
            Lookup::Present(object) => found = found.or_else(|| of_secret(&object.parse().ok()?, registry)),
            _ => missing.push(named.name.clone()),
        }
    }
    (found, missing)
}

/// What a pull secret says about a registry.
fn of_secret(secret: &Secret, registry: &str) -> Option<RegistryAuth> {
    let bytes = secret.data.as_ref()?.get(".dockerconfigjson")?;
    let config: DockerConfig = serde_json::from_slice(&bytes.0).ok()?;
    let known = config.auths.into_iter().find(|(server, _)| host_of(server) == registry);
    known.and_then(|(_, auth)| decode(auth))
}

fn decode(auth: DockerAuth) -> Option<RegistryAuth> {
    if !auth.username.is_empty() {
        return Some(RegistryAuth { username: auth.username, password: auth.password });
    }
    let text = base64::engine::general_purpose::STANDARD.decode(auth.auth).ok()?;
    let (username, password) = std::str::from_utf8(&text).ok()?.split_once(':')?;
    Some(RegistryAuth { username: username.to_owned(), password: password.to_owned() })
}

fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

fn host_of(server: &str) -> &str {
    let bare = server.trim_start_matches("https://").trim_start_matches("http://");
    let host = bare.split('/').next().unwrap_or(bare);
    if host == "index.docker.io" { "docker.io" } else { host }
}

/// A duration as Go prints it, to the millisecond.
fn elapsed(took: std::time::Duration) -> String {
    let millis = took.as_millis();
    if millis < 1000 { format!("{millis}ms") } else { format!("{}s", millis as f64 / 1000.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;
    use serde_json::json;

    #[test]
    fn credentials_are_those_of_the_images_registry() {
        let config = json!({"auths": {
            "https://index.docker.io/v1/": {"auth": "bWU6c2VjcmV0"},
            "registry.test:5000": {"username": "you", "password": "pass"},
        }});
        let data = [(".dockerconfigjson".to_owned(), ByteString(config.to_string().into_bytes()))].into();
        let secret = Secret { data: Some(data), ..Secret::default() };
        let user = |image: &str| of_secret(&secret, registry(image)).map(|auth| (auth.username, auth.password));
        assert_eq!(user("nginx"), Some(("me".into(), "secret".into())));
        assert_eq!(user("registry.test:5000/a/b:c"), Some(("you".into(), "pass".into())));
        assert_eq!(user("other.test/a"), None);
    }
}
