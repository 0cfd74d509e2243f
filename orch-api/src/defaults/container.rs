//! Containers of all kinds (`SetDefaults_Container`, `SetDefaults_Probe`, `SetDefaults_HTTPGetAction`).

use crate::value::{Object, each, fill, fill_number, fill_text, part, text};

/// One container.
pub(super) fn container(container: &mut Object) {
    let pull = pull_policy(text(container, "image"));
    fill_text(container, "imagePullPolicy", pull);
    fill_text(container, "terminationMessagePath", "/dev/termination-log");
    fill_text(container, "terminationMessagePolicy", "File");
    crate::value::fill(container, "resources", serde_json::Map::new());
    each(container, "ports").for_each(|port| fill_text(port, "protocol", "TCP"));
    each(container, "env").filter_map(|env| part(env, "valueFrom")).for_each(env_source);
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(found) = part(container, name) {
            probe(found);
        }
    }
    if let Some(lifecycle) = part(container, "lifecycle") {
        for name in ["postStart", "preStop"] {
            if let Some(get) = part(lifecycle, name).and_then(|handler| part(handler, "httpGet")) {
                http_get(get);
            }
        }
    }
}

/// `Always` for an image without a tag or digest, or with the tag `latest`; else `IfNotPresent`.
pub(super) fn pull_policy(image: &str) -> &'static str {
    let (name, has_digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    let last = name.rsplit('/').next().unwrap_or_default();
    match last.split_once(':') {
        Some((_, "latest")) => "Always",
        Some(_) => "IfNotPresent",
        None if has_digest || image.is_empty() => "IfNotPresent",
        None => "Always",
    }
}

/// `apiVersion` of a reference to a field of the pod.
pub(super) fn field_ref(owner: &mut Object) {
    if let Some(reference) = part(owner, "fieldRef") {
        fill_text(reference, "apiVersion", "v1");
    }
}

fn env_source(source: &mut Object) {
    field_ref(source);
    if let Some(file) = part(source, "fileKeyRef") {
        fill(file, "optional", false);
    }
}

fn probe(probe: &mut Object) {
    fill_number(probe, "timeoutSeconds", 1);
    fill_number(probe, "periodSeconds", 10);
    fill_number(probe, "successThreshold", 1);
    fill_number(probe, "failureThreshold", 3);
    if let Some(get) = part(probe, "httpGet") {
        http_get(get);
    }
    if let Some(grpc) = part(probe, "grpc") {
        fill(grpc, "service", "");
    }
}

fn http_get(action: &mut Object) {
    fill_text(action, "path", "/");
    fill_text(action, "scheme", "HTTP");
}
