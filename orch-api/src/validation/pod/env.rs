//! Environment variables and references to fields and resources (`ValidateEnv`, `validateObjectFieldSelector`).

use super::volumes::{file_mode, local_path, path_no_backsteps};
use crate::validation::{
    at::At,
    names::{config_key, dns_label, dns_subdomain, env_name, mask_trailing_dash, qualified},
};

const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

const VOLUME_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// `env` of a container.
pub(super) fn env(list: At<'_>) {
    for variable in list.items() {
        if variable.at("name").require("") {
            variable.at("name").text(env_name);
        }
        if variable.at("valueFrom").is_set() {
            value_from(variable, variable.at("valueFrom"));
        }
    }
}

/// `envFrom` of a container.
pub(super) fn env_from(list: At<'_>) {
    for source in list.items() {
        if !source.at("prefix").is_empty() {
            source.at("prefix").text(env_name);
        }
        let mut count = 0;
        for field in ["configMapRef", "secretRef"] {
            let reference = source.at(field);
            if reference.is_set() {
                count += 1;
                if reference.at("name").require("") {
                    reference.at("name").text(|name| dns_subdomain(&mask_trailing_dash(name)));
                }
            }
        }
        match count {
            0 => list.invalid_as("", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => list.invalid_as("", "may not have more than one field specified at a time"),
        }
    }
}

fn value_from<'a>(variable: At<'a>, from: At<'a>) {
    let mut count = 0;
    let mut source = |field: &'static str, judge: &dyn Fn(At<'a>)| {
        if from.at(field).is_set() {
            count += 1;
            judge(from.at(field));
        }
    };
    source("fieldRef", &|at| field_ref(at, &ENV_FIELDS));
    source("resourceFieldRef", &|at| resource_ref(at, false));
    source("configMapKeyRef", &key_ref);
    source("secretKeyRef", &key_ref);
    source("fileKeyRef", &file_ref);
    match count {
        0 => from.invalid_as(
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        ),
        _ if !variable.at("value").is_empty() => {
            from.invalid_as("", "may not be specified when `value` is not empty");
        }
        1 => {}
        _ => from.invalid_as("", "may not have more than one field specified at a time"),
    }
}

fn key_ref(reference: At<'_>) {
    reference.at("name").text(dns_subdomain);
    if reference.at("key").require("") {
        reference.at("key").text(config_key);
    }
}

fn file_ref(reference: At<'_>) {
    if reference.at("key").require("") {
        reference.at("key").text(env_name);
    }
    if reference.at("volumeName").require("") {
        reference.at("volumeName").text(dns_label);
    }
    if reference.at("path").require("") {
        path_no_backsteps(reference.at("path"));
    }
}

/// A file of a downward API volume; its faults stand on `at`.
pub(super) fn field_files<'a>(at: At<'a>, file: At<'a>) {
    let at = at.with(file.value());
    at.at("path").require("");
    local_path(at.at("path"));
    match (at.at("fieldRef").is_set(), at.at("resourceFieldRef").is_set()) {
        (true, both) => {
            field_ref(at.at("fieldRef"), &VOLUME_FIELDS);
            if both {
                at.invalid_as("resource", "fieldRef and resourceFieldRef can not be specified simultaneously");
            }
        }
        (false, true) => resource_ref(at.at("resourceFieldRef"), true),
        (false, false) => at.required("one of fieldRef and resourceFieldRef is required"),
    }
    file_mode(at.at("mode"));
}

fn field_ref(reference: At<'_>, supported: &[&str]) {
    if !reference.at("apiVersion").require("") || !reference.at("fieldPath").require("") {
        return;
    }
    let field = reference.at("fieldPath");
    if let Some((path, key)) = field.str().strip_suffix("']").and_then(|text| text.split_once("['")) {
        let key = if path == "metadata.annotations" { key.to_ascii_lowercase() } else { key.to_owned() };
        match path {
            "metadata.annotations" | "metadata.labels" => {
                qualified(&key).into_iter().for_each(|message| reference.invalid_as(key.as_str(), message));
            }
            _ => field.invalid(format!(
                "error converting fieldPath: field label does not support subscript: {}",
                field.str()
            )),
        }
        return;
    }
    let known =
        ENV_FIELDS.iter().chain(&VOLUME_FIELDS).chain(&["spec.restartPolicy", "spec.schedulerName", "status.phase"]);
    if !known.into_iter().any(|path| *path == field.str()) {
        field.invalid(format!("error converting fieldPath: field label not supported: {}", field.str()));
    } else if !supported.contains(&field.str()) {
        field.not_supported(supported);
    }
}

fn resource_ref(reference: At<'_>, in_volume: bool) {
    let resource = reference.at("resource");
    let is_huge = ["requests.hugepages-", "limits.hugepages-"].iter().any(|p| resource.str().starts_with(p));
    if in_volume && reference.at("containerName").is_empty() {
        reference.at("containerName").required("");
    } else if resource.require("") && !RESOURCES.contains(&resource.str()) && !is_huge {
        resource.not_supported(&RESOURCES);
    }
    divisor(reference.at("divisor"), resource.str());
}

fn divisor(divisor: At<'_>, resource: &str) {
    let value = divisor.str();
    if matches!(value, "" | "0") {
        return;
    }
    let sizes = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let what = match resource.split_once('.').map(|(_, name)| name).unwrap_or_default() {
        "cpu" if !matches!(value, "1m" | "1") => {
            return divisor.invalid_as(resource, "only divisor's values 1m and 1 are supported with the cpu resource");
        }
        "memory" => "memory",
        "ephemeral-storage" => "local ephemeral storage",
        name if name.starts_with("hugepages-") => "hugepages",
        _ => return,
    };
    if !sizes.contains(&value) {
        let sizes = sizes.join(", ");
        divisor.invalid_as(resource, format!("only divisor's values {sizes} are supported with the {what} resource"));
    }
}
