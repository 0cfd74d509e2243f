//! The environment and the command line of a container ([`environment`], [`command_line`]). Pure.
//! Behaviour: `kubelet_pods.go` (makeEnvironmentVariables), `envvars/envvars.go`.

pub mod expand;
pub mod fields;
pub mod services;
#[cfg(test)]
mod tests;

use crate::follow::Lookup;
use fields::Facts;
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, EnvVarSource, Pod, Secret};
use orch_api::{Gvr, Key};
use orch_store::Stored;
use std::{collections::BTreeMap, sync::Arc};

/// ConfigMaps.
pub const CONFIG_MAPS: Gvr = Gvr::of("", "v1", "configmaps");
/// PersistentVolumeClaims.
pub const CLAIMS: Gvr = Gvr::of("", "v1", "persistentvolumeclaims");
/// Secrets.
pub const SECRETS: Gvr = Gvr::of("", "v1", "secrets");

/// Why an environment cannot be made: the message of `CreateContainerConfigError`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// Looks up objects that pods name.
pub trait Lookups {
    /// What is known of an object.
    fn lookup(&self, resource: &Gvr, key: &Key) -> Lookup;
}

/// The environment in order; later definitions of a name have replaced earlier ones.
pub fn environment(
    pod: &Pod,
    container: &Container,
    facts: &Facts,
    services: &[(String, String)],
    objects: &dyn Lookups,
) -> Result<Vec<(String, String)>, ConfigError> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let mut result: BTreeMap<String, String> = BTreeMap::new();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let (name, optional, resource) = match (&source.config_map_ref, &source.secret_ref) {
            (Some(map), _) => (&map.name, map.optional, CONFIG_MAPS),
            (_, Some(secret)) => (&secret.name, secret.optional, SECRETS),
            _ => continue,
        };
        for (key, value) in data(objects, &resource, namespace, name, optional == Some(true))?.into_iter().flatten() {
            result.insert(format!("{prefix}{key}"), String::from_utf8_lossy(&value).into_owned());
        }
    }
    let known: BTreeMap<_, _> = services.iter().cloned().collect();
    let mut order: Vec<String> = result.keys().cloned().collect();
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (_, Some(source)) => from(pod, container, facts, objects, namespace, variable, source)?,
            (value, None) => {
                let lookup = |name: &str| result.get(name).or_else(|| known.get(name)).cloned();
                Some(expand::expand(value.as_deref().unwrap_or_default(), lookup))
            }
        };
        if let Some(value) = value
            && result.insert(variable.name.clone(), value).is_none()
        {
            order.push(variable.name.clone());
        }
    }
    let mut all: Vec<_> = known.into_iter().filter(|(name, _)| !result.contains_key(name)).collect();
    all.extend(order.into_iter().filter_map(|name| result.remove_entry(&name)));
    Ok(all)
}

/// Command and arguments with `$(VAR)` replaced.
pub fn command_line(container: &Container, environment: &[(String, String)]) -> (Vec<String>, Vec<String>) {
    let lookup = |name: &str| environment.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let all = |list: &Option<Vec<String>>| list.iter().flatten().map(|s| expand::expand(s, lookup)).collect();
    (all(&container.command), all(&container.args))
}

/// Objects that a pod's containers, volumes and image pulls name.
pub fn references(pod: &Pod) -> Vec<(Gvr, Key)> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let mut found = std::collections::BTreeSet::new();
    let mut add = |resource: &Gvr, name: &str| {
        if !name.is_empty() {
            found.insert((resource.clone(), Key::new(namespace, name)));
        }
    };
    for spec in crate::pod::spec::containers(pod) {
        for source in spec.container.env_from.iter().flatten() {
            source.config_map_ref.iter().for_each(|r| add(&CONFIG_MAPS, &r.name));
            source.secret_ref.iter().for_each(|r| add(&SECRETS, &r.name));
        }
        for source in spec.container.env.iter().flatten().filter_map(|v| v.value_from.as_ref()) {
            source.config_map_key_ref.iter().for_each(|r| add(&CONFIG_MAPS, &r.name));
            source.secret_key_ref.iter().for_each(|r| add(&SECRETS, &r.name));
        }
    }
    let Some(spec) = &pod.spec else { return Vec::new() };
    spec.image_pull_secrets.iter().flatten().for_each(|r| add(&SECRETS, &r.name));
    for volume in spec.volumes.iter().flatten() {
        crate::volume::claim_of(pod, volume).iter().for_each(|(name, _)| add(&CLAIMS, name));
        volume.config_map.iter().for_each(|v| add(&CONFIG_MAPS, &v.name));
        volume.secret.iter().for_each(|v| add(&SECRETS, v.secret_name.as_deref().unwrap_or_default()));
        for source in volume.projected.iter().flat_map(|p| p.sources.iter().flatten()) {
            source.config_map.iter().for_each(|r| add(&CONFIG_MAPS, &r.name));
            source.secret.iter().for_each(|r| add(&SECRETS, &r.name));
        }
    }
    found.into_iter().collect()
}

/// The data of a ConfigMap or Secret; `None` when it is optional and absent.
pub fn data(
    objects: &dyn Lookups,
    resource: &Gvr,
    namespace: &str,
    name: &str,
    optional: bool,
) -> Result<Option<BTreeMap<String, Vec<u8>>>, ConfigError> {
    match objects.lookup(resource, &Key::new(namespace, name)) {
        Lookup::Present(object) => content(resource, &object).map(Some).map_err(|e| ConfigError(e.to_string())),
        _ if optional => Ok(None),
        Lookup::Absent => Err(ConfigError(format!("{} {name:?} not found", singular(resource)))),
        Lookup::Loading => Err(ConfigError(format!(
            "failed to sync {} cache: timed out waiting for the condition",
            singular(resource)
        ))),
    }
}

fn content(resource: &Gvr, object: &Arc<Stored>) -> orch_store::client::Result<BTreeMap<String, Vec<u8>>> {
    if *resource == SECRETS {
        let secret: Secret = object.parse()?;
        return Ok(secret.data.into_iter().flatten().map(|(k, v)| (k, v.0)).collect());
    }
    let map: ConfigMap = object.parse()?;
    let text = map.data.into_iter().flatten().map(|(k, v)| (k, v.into_bytes()));
    Ok(text.chain(map.binary_data.into_iter().flatten().map(|(k, v)| (k, v.0))).collect())
}

fn from(
    pod: &Pod,
    container: &Container,
    facts: &Facts,
    objects: &dyn Lookups,
    namespace: &str,
    variable: &EnvVar,
    source: &EnvVarSource,
) -> Result<Option<String>, ConfigError> {
    if let Some(field) = &source.field_ref {
        return fields::field(pod, facts, &field.field_path).map(Some);
    }
    if let Some(resource) = &source.resource_field_ref {
        let of = resource.container_name.as_deref().filter(|n| !n.is_empty());
        let of = of.and_then(|name| crate::pod::spec::container(pod, name)).map_or(container, |c| c.container);
        return fields::resource(of, facts, resource).map(Some);
    }
    let (resource, name, key, optional, kind) = match (&source.config_map_key_ref, &source.secret_key_ref) {
        (Some(r), _) => (CONFIG_MAPS, &r.name, &r.key, r.optional, "ConfigMap"),
        (_, Some(r)) => (SECRETS, &r.name, &r.key, r.optional, "Secret"),
        _ => return Err(ConfigError(format!("environment variable {} has no source", variable.name))),
    };
    let optional = optional == Some(true);
    let Some(mut data) = data(objects, &resource, namespace, name, optional)? else { return Ok(None) };
    match data.remove(key) {
        Some(value) => Ok(Some(String::from_utf8_lossy(&value).into_owned())),
        None if optional => Ok(None),
        None => Err(ConfigError(format!("couldn't find key {key} in {kind} {namespace}/{name}"))),
    }
}

fn singular(resource: &Gvr) -> &'static str {
    if *resource == SECRETS { "secret" } else { "configmap" }
}
