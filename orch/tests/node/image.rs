//! Images assembled from programs of this machine, as an OCI layout.

use serde_json::json;
use sha2::Digest;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What an image is made of.
#[derive(Default)]
pub(crate) struct Image<'a> {
    /// Programs of this machine, which come with the shared libraries that they load.
    pub(crate) programs: &'a [&'a str],
    /// Files by their paths.
    pub(crate) files: &'a [(&'a str, &'a str)],
    /// Directories that are empty, and writable for everybody.
    pub(crate) directories: &'a [&'a str],
    /// The entry point.
    pub(crate) entrypoint: &'a [&'a str],
    /// The signal to stop with; none says nothing about it.
    pub(crate) stop_signal: Option<&'a str>,
}

impl Image<'_> {
    /// Writes the layout `DIR/NAME`, whose only image is tagged `latest`.
    pub(crate) fn write(&self, dir: &Path, name: &str) -> PathBuf {
        let layout = dir.join(name);
        let blobs = layout.join("blobs/sha256");
        fs::create_dir_all(&blobs).unwrap();
        let put = |kind: &str, bytes: &[u8]| {
            let hex = format!("{:x}", sha2::Sha256::digest(bytes));
            fs::write(blobs.join(&hex), bytes).unwrap();
            json!({"mediaType": kind, "digest": format!("sha256:{hex}"), "size": bytes.len()})
        };
        let layer = put("application/vnd.oci.image.layer.v1.tar", &self.layer());
        let mut config = json!({
            "architecture": if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" }, "os": "linux",
            "config": {"Entrypoint": self.entrypoint},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        });
        if let Some(signal) = self.stop_signal {
            config["config"]["StopSignal"] = signal.into();
        }
        let config = put("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]});
        let mut manifest = put(kind, manifest.to_string().as_bytes());
        manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
        fs::write(layout.join("index.json"), json!({"schemaVersion": 2, "manifests": [manifest]}).to_string()).unwrap();
        fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        layout
    }

    fn layer(&self) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for directory in self.directories {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o1777);
            header.set_size(0);
            tar.append_data(&mut header, format!("{}/", directory.trim_matches('/')), &[][..]).unwrap();
        }
        let programs = self.programs.iter().map(PathBuf::from);
        let libraries: BTreeSet<PathBuf> = self.programs.iter().flat_map(|program| libraries_of(program)).collect();
        for path in programs.chain(libraries) {
            // Under the name by which it is asked for, whatever links lead to it here.
            let bytes = fs::read(&path).unwrap();
            append(&mut tar, &path.to_string_lossy(), 0o755, &bytes);
        }
        for (path, text) in self.files {
            append(&mut tar, path, 0o644, text.as_bytes());
        }
        tar.into_inner().unwrap()
    }
}

fn append(tar: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, path.trim_start_matches('/'), bytes).unwrap();
}

/// What the dynamic loader would map, itself included; nothing for programs that are linked statically.
fn libraries_of(program: &str) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)` or `/lib64/ld-linux-x86-64.so.2 (0x…)`
    text.lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect()
}
