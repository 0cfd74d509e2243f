//! Volume mounts and devices of a container (`ValidateVolumeMounts`, `ValidateVolumeDevices`).

use super::volumes::descending_path;
use crate::validation::at::At;

/// `volumeMounts`
pub(super) fn mounts<'a>(container: At<'a>, volumes: &[At<'a>]) {
    let (list, devices) = (container.at("volumeMounts"), container.at("volumeDevices"));
    let mut paths = Vec::new();
    for mount in list.items() {
        let (name, path) = (mount.at("name"), mount.at("mountPath"));
        name.require("");
        if !volumes.iter().any(|v| v.at("name").str() == name.str()) {
            name.not_found_as(name.str());
        }
        path.require("");
        if paths.contains(&path.str()) {
            path.invalid("must be unique");
        }
        paths.push(path.str());
        if devices.items().any(|d| d.at("name").str() == name.str()) {
            name.invalid("must not already exist in volumeDevices");
        }
        if devices.items().any(|d| d.at("devicePath").str() == path.str()) {
            path.invalid("must not already exist as a path in volumeDevices");
        }
        sub_path(list, mount);
        propagation(list, mount, container.at("securityContext").at("privileged").flag());
    }
}

/// Faults of the parts of a mount stand, as upstream has it, on the list.
fn sub_path<'a>(list: At<'a>, mount: At<'a>) {
    let on_list = list.with(mount.value());
    let (path, expression) = (on_list.at("subPath"), on_list.at("subPathExpr"));
    if !path.is_empty() {
        descending_path(path);
    }
    if !expression.is_empty() {
        if !path.is_empty() {
            mount.at("subPathExpr").invalid("subPathExpr and subPath are mutually exclusive");
        }
        descending_path(expression);
    }
}

fn propagation<'a>(list: At<'a>, mount: At<'a>, is_privileged: bool) {
    let on_list = list.with(mount.value());
    let propagation = on_list.at("mountPropagation");
    propagation.one_of(&["Bidirectional", "HostToContainer", "None"]);
    if propagation.str() == "Bidirectional" && !is_privileged {
        propagation.forbidden("Bidirectional mount propagation is available only to privileged containers");
    }
    let read_only = on_list.at("recursiveReadOnly");
    match read_only.str() {
        "" | "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if !mount.at("readOnly").flag() {
                read_only.forbidden("may only be specified when readOnly is true");
            }
            if !matches!(propagation.str(), "" | "None") {
                read_only.forbidden("may only be specified when mountPropagation is None or not specified");
            }
        }
        _ => read_only.not_supported(&["Disabled", "Enabled", "IfPossible"]),
    }
}

/// `volumeDevices`
pub(super) fn devices<'a>(container: At<'a>, volumes: &[At<'a>]) {
    let mounts = container.at("volumeMounts");
    let (mut names, mut paths) = (Vec::new(), Vec::new());
    for device in container.at("volumeDevices").items() {
        let (name, path) = (device.at("name"), device.at("devicePath"));
        name.require("");
        if names.contains(&name.str()) {
            name.invalid("must be unique");
        }
        match volumes.iter().find(|v| v.at("name").str() == name.str()) {
            None => name.not_found_as(name.str()),
            Some(volume) if volume.at("persistentVolumeClaim").is_set() || volume.at("ephemeral").is_set() => {}
            Some(_) => {
                name.invalid("can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode");
            }
        }
        path.require("");
        if paths.contains(&path.str()) {
            path.invalid("must be unique");
        }
        if path.str().split('/').any(|part| part == "..") {
            path.invalid("can not contain backsteps ('..')");
        } else {
            paths.push(path.str());
        }
        if mounts.items().any(|m| m.at("name").str() == name.str()) {
            name.invalid("must not already exist in volumeMounts");
        }
        if mounts.items().any(|m| m.at("mountPath").str() == path.str()) {
            path.invalid("must not already exist as a path in volumeMounts");
        }
        if !name.is_empty() {
            names.push(name.str());
        }
    }
}

/// Files of environment variables live in volumes of type `emptyDir`.
pub(super) fn file_key_refs(spec: At<'_>) {
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for variable in spec.at(list).items().flat_map(|c| c.at("env").items().collect::<Vec<_>>()) {
            let volume = variable.at("valueFrom").at("fileKeyRef").at("volumeName");
            if !variable.at("valueFrom").at("fileKeyRef").is_set() {
                continue;
            }
            match spec.at("volumes").items().find(|v| v.at("name").str() == volume.str()) {
                None => volume.not_found_as(volume.str()),
                Some(found) if !found.at("emptyDir").is_set() => {
                    volume.invalid("referenced volume must be of type emptyDir");
                }
                Some(_) => {}
            }
        }
    }
}
