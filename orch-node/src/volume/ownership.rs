//! Giving what is in a volume to the pod's fsGroup (`pkg/volume/volume_linux.go`).

use k8s_openapi::api::core::v1::Pod;
use std::{
    fs::{self, Metadata, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt, lchown},
    path::Path,
};

const READ_WRITE: u32 = 0o660;
const READ: u32 = 0o440;
const ENTER: u32 = 0o110;
const SET_GROUP: u32 = 0o2000;

/// Gives everything below a directory to the pod's fsGroup, if it has one. With `OnRootMismatch` the directory itself
/// tells whether that was done before.
pub(super) fn apply(pod: &Pod, root: &Path, read_only: bool) -> io::Result<()> {
    let Some(group) = super::files::fs_group(pod) else { return Ok(()) };
    let context = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    let policy = context.and_then(|context| context.fs_group_change_policy.as_deref());
    if policy == Some("OnRootMismatch") && fits(&fs::metadata(root)?, group, read_only) {
        return Ok(());
    }
    give(root, group, read_only)
}

fn fits(root: &Metadata, group: u32, read_only: bool) -> bool {
    let needed = if read_only { READ } else { READ_WRITE } | ENTER | SET_GROUP;
    root.is_dir() && root.gid() == group && root.mode() & needed == needed
}

/// Children before their directory, so that a root which fits means that all below it do.
fn give(path: &Path, group: u32, read_only: bool) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    if meta.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), group, read_only)?;
        }
    }
    // Only root may give files to a group that is not its own; others leave them as they are, as kubelet does.
    drop(lchown(path, None, Some(group)));
    if meta.is_symlink() {
        return Ok(());
    }
    let mask = if read_only { READ } else { READ_WRITE } | if meta.is_dir() { ENTER | SET_GROUP } else { 0 };
    drop(fs::set_permissions(path, Permissions::from_mode(meta.mode() & 0o7777 | mask)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(policy: &str) -> Pod {
        let group = nix::unistd::getgid().as_raw();
        let context = json!({"fsGroup": group, "fsGroupChangePolicy": policy});
        serde_json::from_value(json!({"metadata": {}, "spec": {"containers": [], "securityContext": context}})).unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn files_and_directories_become_the_groups_and_stay_so_when_asked_again() {
        let dir = tempfile::tempdir().unwrap();
        let (below, file) = (dir.path().join("below"), dir.path().join("below/file"));
        fs::create_dir(&below).unwrap();
        fs::write(&file, "x").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        apply(&pod("Always"), dir.path(), false).unwrap();
        assert_eq!((mode(&file), mode(&below) & 0o2770, mode(dir.path()) & 0o2770), (0o660, 0o2770, 0o2770));

        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        apply(&pod("OnRootMismatch"), dir.path(), false).unwrap();
        assert_eq!(mode(&file), 0o600, "the root says that it was done");
        apply(&pod("Always"), dir.path(), true).unwrap();
        assert_eq!(mode(&file), 0o640);
    }
}
