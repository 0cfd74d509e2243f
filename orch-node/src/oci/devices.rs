use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

/// Directories of `/dev` that containers have of their own, or that hold no devices.
const SKIPPED: &[&str] = &["pts", "shm", "fd", "mqueue", "console", ".udev", ".lxc"];

/// The machine's device nodes, for privileged containers.
pub(super) fn of_the_machine() -> Vec<Value> {
    let mut devices = Vec::new();
    collect(Path::new("/dev"), &mut devices, 0);
    devices
}

fn collect(dir: &Path, devices: &mut Vec<Value>, depth: usize) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        let kind = meta.file_type();
        if SKIPPED.iter().any(|skipped| name == *skipped) {
            continue;
        }
        if kind.is_dir() && depth < 3 {
            collect(&path, devices, depth + 1);
        }
        if kind.is_char_device() || kind.is_block_device() {
            let number = meta.rdev();
            devices.push(json!({
                "path": path,
                "type": if kind.is_block_device() { "b" } else { "c" },
                "major": nix::sys::stat::major(number),
                "minor": nix::sys::stat::minor(number),
                "fileMode": meta.mode() & 0o777,
                "uid": meta.uid(),
                "gid": meta.gid(),
            }));
        }
    }
}
