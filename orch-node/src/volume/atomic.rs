//! Writing a set of files so that readers see all of the old or all of the new
//! (`pkg/volume/util/atomic_writer.go`).
//!
//! ```text
//! DIR/app.conf      → ..data/app.conf      what users open
//! DIR/..data        → ..2026_01_02…        swapped by one rename
//! DIR/..2026_01_02… /app.conf              the files
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt, chown, symlink},
    path::{Component, Path, PathBuf},
};

const DATA: &str = "..data";
const NEXT: &str = "..data_tmp";

/// One file of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Content.
    pub data: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
}

/// Files by their path in the volume.
pub type Payload = BTreeMap<String, File>;

/// Makes the directory hold exactly this payload; whether anything changed. `stamp` names the new version
/// and must be new. `group` owns the files when it is given and the process may set it.
pub fn write(dir: &Path, payload: &Payload, stamp: &str, group: Option<u32>) -> io::Result<bool> {
    for path in payload.keys() {
        validate(path)?;
    }
    fs::create_dir_all(dir)?;
    let current = fs::read_link(dir.join(DATA)).ok().map(|name| dir.join(name));
    if current.as_deref().is_some_and(|c| same(c, payload)) {
        return Ok(false);
    }
    let version = dir.join(format!("..{stamp}"));
    fs::DirBuilder::new().mode(0o755).create(&version)?;
    for (path, file) in payload {
        let target = version.join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&target, &file.data)?;
        let mode = if group.is_some() { file.mode | 0o040 } else { file.mode };
        fs::set_permissions(&target, fs::Permissions::from_mode(mode))?;
        if let Some(group) = group {
            // Only root may give files to a group that is not its own.
            drop(chown(&target, None, Some(group)));
        }
    }
    let next = dir.join(NEXT);
    drop(fs::remove_file(&next));
    symlink(format!("..{stamp}"), &next)?;
    fs::rename(&next, dir.join(DATA))?;
    link(dir, payload)?;
    if let Some(old) = current {
        fs::remove_dir_all(old)?;
    }
    Ok(true)
}

/// Makes the links that users open and removes those whose files are gone.
fn link(dir: &Path, payload: &Payload) -> io::Result<()> {
    let wanted: BTreeSet<&str> = payload.keys().filter_map(|p| p.split('/').next()).collect();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let Some(text) = name.to_str() else { continue };
        if !text.starts_with("..") && !wanted.contains(text) {
            fs::remove_file(dir.join(&name))?;
        }
    }
    for name in wanted {
        match symlink(Path::new(DATA).join(name), dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn same(version: &Path, payload: &Payload) -> bool {
    let mut found = BTreeSet::new();
    if list(version, Path::new(""), &mut found).is_err() || found.len() != payload.len() {
        return false;
    }
    payload.iter().all(|(path, file)| {
        let target = version.join(path);
        let mode = fs::metadata(&target).map(|m| m.permissions().mode() & 0o777 & !0o040);
        found.contains(Path::new(path))
            && mode.is_ok_and(|m| m == file.mode & 0o777 & !0o040)
            && fs::read(&target).is_ok_and(|data| data == file.data)
    })
}

fn list(root: &Path, below: &Path, found: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            list(root, &path, found)?;
        } else {
            found.insert(path);
        }
    }
    Ok(())
}

/// Paths stay below the volume and leave names that begin with `..` to this module.
fn validate(path: &str) -> io::Result<()> {
    let normal = Path::new(path).components().all(|c| matches!(c, Component::Normal(_)));
    if path.is_empty() || !normal || path.starts_with("..") {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("invalid path: {path:?}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(files: &[(&str, &str)]) -> Payload {
        files.iter().map(|(p, d)| ((*p).into(), File { data: d.as_bytes().into(), mode: 0o644 })).collect()
    }

    #[test]
    fn files_appear_change_and_vanish_together() {
        let dir = tempfile::tempdir().unwrap();
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).ok();
        assert!(write(dir.path(), &payload(&[("a", "1"), ("d/b", "2")]), "v1", None).unwrap());
        assert_eq!((read("a"), read("d/b")), (Some("1".into()), Some("2".into())));
        assert!(!write(dir.path(), &payload(&[("a", "1"), ("d/b", "2")]), "v2", None).unwrap());
        assert!(write(dir.path(), &payload(&[("a", "3")]), "v3", None).unwrap());
        assert_eq!((read("a"), read("d/b")), (Some("3".into()), None));
        let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["..data", "..v3", "a"]);
    }

    #[test]
    fn paths_never_leave_the_volume() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["../x", "/x", "a/../../x", "..x", ""] {
            assert!(write(dir.path(), &payload(&[(path, "")]), "v", None).is_err(), "{path}");
        }
    }
}
