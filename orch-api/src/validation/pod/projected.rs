//! Projected volumes (`validateProjectionSources`).

use super::{
    env::field_files,
    volumes::{file_mode, key_to_path, local_path},
};
use crate::validation::{
    at::At,
    certificates::signer_name,
    pod_certificates::{LEAST_SECONDS, most_seconds},
    selector::label_selector,
};

/// The paths that the sources of one volume have taken.
struct Taken<'a> {
    volume: At<'a>,
    paths: Vec<&'a str>,
}

impl<'a> Taken<'a> {
    /// Takes a path; a path taken before is a fault of the volume, which shows `shown`.
    fn take(&mut self, path: At<'a>, shown: &str) {
        if path.is_empty() {
            return;
        }
        if self.paths.contains(&path.str()) {
            self.volume.invalid_as(shown, "conflicting duplicate paths");
        } else {
            self.paths.push(path.str());
        }
    }
}

/// A projected volume. No two files may have the same path.
pub(super) fn projected(volume: At<'_>) {
    file_mode(volume.at("defaultMode"));
    let mut taken = Taken { volume, paths: Vec::new() };
    for source in volume.at("sources").items() {
        let mut count = 0;
        for (field, judge) in SOURCES {
            let at = source.at(field);
            if at.is_set() {
                count += 1;
                judge(at, &mut taken);
            }
        }
        if count > 1 {
            source.forbidden("may not specify more than 1 volume type per source");
        }
    }
}

/// Tokens of a service account need a service account.
pub(super) fn no_tokens(volumes: At<'_>) {
    for volume in volumes.items() {
        for source in volume.at("projected").at("sources").items() {
            if source.at("serviceAccountToken").is_set() {
                source.at("serviceAccountToken").forbidden("must not be specified when serviceAccountName is not set");
            }
        }
    }
}

type Judge = for<'a> fn(At<'a>, &mut Taken<'a>);

const SOURCES: [(&str, Judge); 6] = [
    ("secret", keys),
    ("configMap", keys),
    ("downwardAPI", downward_api),
    ("serviceAccountToken", token),
    ("clusterTrustBundle", trust_bundle),
    ("podCertificate", certificate),
];

fn keys<'a>(source: At<'a>, taken: &mut Taken<'a>) {
    source.at("name").require("");
    for item in source.at("items").items() {
        key_to_path(item);
        taken.take(item.at("path"), source.at("name").str());
    }
}

fn downward_api<'a>(source: At<'a>, taken: &mut Taken<'a>) {
    for file in source.at("items").items() {
        field_files(source, file);
        taken.take(file.at("path"), file.at("path").str());
    }
}

fn token<'a>(source: At<'a>, taken: &mut Taken<'a>) {
    let seconds = source.at("expirationSeconds");
    if seconds.int().is_some_and(|n| n < 600) {
        seconds.invalid("may not specify a duration less than 10 minutes");
    }
    if seconds.int().is_some_and(|n| n > 1 << 32) {
        seconds.invalid("may not specify a duration larger than 2^32 seconds");
    }
    // The fault stands, as upstream has it, on the volume.
    let path = taken.volume.at("path").with(source.at("path").value());
    if path.require("") {
        local_path(path);
    }
}

fn trust_bundle<'a>(source: At<'a>, taken: &mut Taken<'a>) {
    let (name, signer) = (source.at("name"), source.at("signerName"));
    match (name.is_set(), signer.is_set()) {
        (true, true) => source.invalid("only one of name and signerName may be used"),
        (true, false) => {
            name.require("must be a valid object name");
            if source.at("labelSelector").is_set() {
                source.at("labelSelector").invalid("labelSelector must be unset if name is specified");
            }
        }
        (false, true) => {
            signer_name(signer);
            label_selector(source.at("labelSelector"));
        }
        (false, false) => source.required("either name or signerName must be specified"),
    }
    source.at("path").require("");
    local_path(source.at("path"));
    taken.take(source.at("path"), source.at("path").str());
}

fn certificate<'a>(source: At<'a>, taken: &mut Taken<'a>) {
    signer_name(source.at("signerName"));
    let supported = ["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];
    if !supported.contains(&source.at("keyType").str()) {
        source.at("keyType").not_supported(&supported);
    }
    if let Some(seconds) = source.at("maxExpirationSeconds").int() {
        if seconds < LEAST_SECONDS {
            source.at("maxExpirationSeconds").invalid("if provided, maxExpirationSeconds must be >= 3600");
        }
        let most = most_seconds(source.at("signerName").str());
        if seconds > most {
            source.at("maxExpirationSeconds").invalid(format!("if provided, maxExpirationSeconds must be <= {most}"));
        }
    }
    let files = ["credentialBundlePath", "keyPath", "certificateChainPath"].map(|field| source.at(field));
    for path in files.into_iter().filter(|path| !path.is_empty()) {
        local_path(path);
        taken.take(path, path.str());
    }
    if files.iter().all(|path| path.is_empty()) {
        source.required("specify at least one of credentialBundlePath, keyPath, and certificateChainPath");
    }
}
