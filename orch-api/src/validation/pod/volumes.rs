//! Volumes of a pod (`ValidateVolumes`, `validateVolumeSource`).

use super::{Whose, containers::pull_policy, env::field_files, projected};
use crate::{
    quantity::Quantity,
    validation::{
        at::At,
        names::{dns_label, dns_subdomain},
        storage,
    },
};

/// A kind of source: its field and what judges it.
type Source = (&'static str, fn(At<'_>));

const SOURCES: [Source; 18] = [
    ("emptyDir", empty_dir),
    ("hostPath", host_path),
    ("gitRepo", git_repo),
    ("gcePersistentDisk", |v| required(v, &["pdName"])),
    ("awsElasticBlockStore", |v| required(v, &["volumeID"])),
    ("secret", |v| secret_like(v, "secretName")),
    ("nfs", nfs),
    ("iscsi", |v| required(v, &["targetPortal", "iqn"])),
    ("persistentVolumeClaim", |v| required(v, &["claimName"])),
    ("downwardAPI", downward_api),
    ("fc", |_| ()),
    ("flexVolume", |v| required(v, &["driver"])),
    ("configMap", |v| secret_like(v, "name")),
    ("azureFile", |v| required(v, &["secretName", "shareName"])),
    ("projected", projected::projected),
    ("csi", csi),
    ("ephemeral", ephemeral),
    ("image", |v| pull_policy(v.at("pullPolicy"))),
];

/// Sources of systems that no node serves any more; they count, and their parts are not looked at.
const BYGONE: [&str; 11] = [
    "azureDisk",
    "cephfs",
    "cinder",
    "flocker",
    "glusterfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
];

/// A volume that mounts and devices may name.
pub(super) struct Volume<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Whether it is a claim, which can be a block device.
    pub(super) is_claim: bool,
}

/// Judges the volumes and returns those without fault.
pub(super) fn volumes<'a>(list: At<'a>, whose: Whose<'a>) -> Vec<Volume<'a>> {
    let (pod_name, claims) = match whose {
        Whose::Pod(meta) => (meta.at("name").str(), None),
        Whose::Template(claims) => ("", claims),
    };
    let claims = claims.into_iter().flat_map(|c| c.items().map(|claim| claim.at("metadata").at("name").str()));
    let mut sound: Vec<Volume<'a>> = claims.map(|name| Volume { name, is_claim: true }).collect();
    let claims = sound.len();
    for volume in list.items() {
        if sound.iter().take(claims).any(|claim| claim.name == volume.at("name").str()) {
            continue;
        }
        let before = volume.faults();
        source(volume, whose);
        let name = volume.at("name");
        if name.require("") {
            name.text(dns_label);
        }
        if sound.iter().any(|v| v.name == name.str()) {
            name.duplicate();
        }
        if volume.faults() == before {
            let is_claim = volume.at("persistentVolumeClaim").is_set() || volume.at("ephemeral").is_set();
            sound.push(Volume { name: name.str(), is_claim });
        }
        let claim = volume.at("persistentVolumeClaim").at("claimName");
        let is_ephemeral = |claim: &str| {
            let name = claim.strip_prefix(pod_name).and_then(|rest| rest.strip_prefix('-'));
            list.items().any(|v| v.at("ephemeral").is_set() && Some(v.at("name").str()) == name)
        };
        if !claim.is_empty() && !pod_name.is_empty() && is_ephemeral(claim.str()) {
            claim.invalid("must not reference a PVC that gets created for an ephemeral volume");
        }
    }
    sound
}

fn source<'a>(volume: At<'a>, whose: Whose<'a>) {
    let mut found = false;
    for (field, judge) in SOURCES {
        let at = volume.at(field);
        match (at.is_set(), found) {
            (false, _) => {}
            (true, true) => at.forbidden("may not specify more than 1 volume type"),
            (true, false) => {
                found = true;
                judge(at);
            }
        }
    }
    for field in BYGONE.into_iter().chain(["vsphereVolume"]) {
        if volume.at(field).is_set() {
            if found {
                volume.at(field).forbidden("may not specify more than 1 volume type");
            }
            found = true;
        }
    }
    if !found {
        volume.required("must specify a volume type");
    }
    if let Whose::Pod(meta) = whose {
        if volume.at("image").is_set() {
            volume.at("image").at("reference").require("");
        }
        claim_name_of_ephemeral(volume, meta.at("name").str());
    }
}

fn claim_name_of_ephemeral(volume: At<'_>, pod: &str) {
    let name = volume.at("name");
    if volume.at("ephemeral").is_set() && !pod.is_empty() && !name.is_empty() {
        let claim = format!("{pod}-{}", name.str());
        for message in dns_subdomain(&claim) {
            name.invalid(format!("PVC name {claim:?}: {message}"));
        }
    }
}

fn required(source: At<'_>, fields: &[&'static str]) {
    for field in fields {
        source.at(field).require("");
    }
}

fn empty_dir(source: At<'_>) {
    let limit = source.at("sizeLimit");
    if limit.value().and_then(Quantity::of).is_some_and(Quantity::is_negative) {
        limit.forbidden("SizeLimit field must be a valid resource quantity");
    }
}

fn host_path(source: At<'_>) {
    if source.at("path").require("") {
        path_no_backsteps(source.at("path"));
        source.at("type").one_of(&[
            "",
            "BlockDevice",
            "CharDevice",
            "Directory",
            "DirectoryOrCreate",
            "File",
            "FileOrCreate",
            "Socket",
        ]);
    }
}

fn git_repo(source: At<'_>) {
    source.at("repository").require("");
    descending_path(source.at("directory"));
}

fn nfs(source: At<'_>) {
    required(source, &["server", "path"]);
    if !source.at("path").str().starts_with('/') {
        source.at("path").invalid("must be an absolute path");
    }
}

/// A volume of the files of a Secret or ConfigMap, named by `name_field`.
fn secret_like(source: At<'_>, name_field: &'static str) {
    source.at(name_field).require("");
    file_mode(source.at("defaultMode"));
    source.at("items").items().for_each(key_to_path);
}

fn downward_api(source: At<'_>) {
    file_mode(source.at("defaultMode"));
    // Faults of a file stand, as upstream has it, on the volume.
    source.at("items").items().for_each(|file| field_files(source, file));
}

fn csi(source: At<'_>) {
    storage::csi_driver_name(source.at("driver"));
    let secret = source.at("nodePublishSecretRef");
    if secret.is_set() && secret.at("name").is_empty() {
        secret.at("name").required("");
    }
}

fn ephemeral(source: At<'_>) {
    let template = source.at("volumeClaimTemplate");
    if template.is_set() {
        storage::claim_template(template);
    } else {
        template.required("");
    }
}

/// One file of a Secret or ConfigMap.
pub(super) fn key_to_path(item: At<'_>) {
    required(item, &["key", "path"]);
    local_path(item.at("path"));
    file_mode(item.at("mode"));
}

/// Permissions of a file.
pub(super) fn file_mode(mode: At<'_>) {
    if mode.int().is_some_and(|n| !(0..=0o777).contains(&n)) {
        mode.invalid("must be a number between 0 and 0777 (octal), both inclusive");
    }
}

/// A relative path below a volume that does not look like the kubelet's own files.
pub(super) fn local_path(path: At<'_>) {
    descending_path(path);
    if path.str().starts_with("..") && !path.str().starts_with("../") {
        path.invalid("must not start with '..'");
    }
}

/// A relative path that never leaves its directory.
pub(super) fn descending_path(path: At<'_>) {
    if path.str().starts_with('/') {
        path.invalid("must be a relative path");
    }
    path_no_backsteps(path);
}

/// A path without `..`.
pub(in crate::validation) fn path_no_backsteps(path: At<'_>) {
    if path.str().split('/').any(|part| part == "..") {
        path.invalid("must not contain '..'");
    }
}
