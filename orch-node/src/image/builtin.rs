use super::{
    ImageError, ImageRecord, ImageStore, NewImage, config, elf,
    store::{Ingest, digest},
};
use crate::toolbox;
use serde_json::json;
use std::{
    collections::HashSet,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

/// The image that every machine has.
pub const TOOLBOX_IMAGE: &str = "orch.local/toolbox:latest";

/// Puts the built-in image into the store, made of `executable` and the shared libraries that it is
/// linked against. `executable` must call [`toolbox::dispatch`] first thing in its `main`.
///
/// The layer is copied once per executable: device, inode, size and time tell whether it is the same.
pub fn build_toolbox(store: &ImageStore, executable: &Path) -> Result<ImageRecord, ImageError> {
    let identity = identity(executable)?;
    let diff_id = digest(identity.as_bytes());
    let config = image_config(&diff_id);
    if let Some(image) = store.find(TOOLBOX_IMAGE)?.filter(|image| image.id == digest(config.as_bytes())) {
        return Ok(image);
    }
    let ingest = store.ingest()?;
    if !store.has_layer(&diff_id) {
        let root = ingest.dir().join("toolbox");
        let size = make_root(executable, &root)?;
        store.adopt_layer(&ingest, &diff_id, size, &root)?;
    }
    commit(store, &ingest, &config)
}

/// Removes toolboxes of earlier executables that no container uses.
pub fn remove_old_toolboxes(store: &ImageStore, in_use: &HashSet<String>) -> Result<(), ImageError> {
    for image in store.list()? {
        let is_toolbox = image.digests.iter().any(|digest| digest.starts_with("orch.local/toolbox@"));
        if is_toolbox && image.tags.is_empty() && !in_use.contains(&image.id) {
            store.remove(&image.id, in_use)?;
        }
    }
    Ok(())
}

fn commit(store: &ImageStore, ingest: &Ingest, config: &str) -> Result<ImageRecord, ImageError> {
    let image = store.commit(
        ingest,
        NewImage {
            config: config.as_bytes(),
            manifest: None,
            tags: vec![TOOLBOX_IMAGE.to_owned()],
            digests: vec![format!("orch.local/toolbox@{}", digest(config.as_bytes()))],
        },
    )?;
    Ok(image)
}

fn identity(executable: &Path) -> Result<String, ImageError> {
    let meta = fs::metadata(executable).map_err(ImageError::io(executable))?;
    Ok(format!(
        "toolbox 1 of {} {} {} {} {}.{}",
        executable.display(),
        meta.dev(),
        meta.ino(),
        meta.size(),
        meta.mtime(),
        meta.mtime_nsec()
    ))
}

fn image_config(diff_id: &str) -> String {
    json!({
        "architecture": config::architecture(),
        "os": "linux",
        "config": {
            "Entrypoint": ["/orch", "toolbox"],
            "Cmd": ["serve"],
            "Env": ["PATH=/bin"],
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    })
    .to_string()
}

/// Lays the image out; returns its size in bytes.
fn make_root(executable: &Path, root: &Path) -> Result<u64, ImageError> {
    for dir in ["bin", "etc", "dev", "proc", "sys", "run", "root", "var", "tmp"] {
        make_dir(&root.join(dir))?;
    }
    chmod(&root.join("tmp"), 0o1777)?;
    for (name, text) in [
        ("passwd", "root:x:0:0:root:/root:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
        ("group", "root:x:0:\nnogroup:x:65534:\n"),
        ("nsswitch.conf", "hosts: files dns\n"),
    ] {
        let path = root.join("etc").join(name);
        fs::write(&path, text).map_err(ImageError::io(path))?;
    }
    for name in toolbox::COMMANDS {
        let path = root.join("bin").join(name);
        symlink("/orch", &path).map_err(ImageError::io(path))?;
    }
    let mut size = copy(executable, &root.join("orch"))?;
    for file in elf::needed_files(executable)? {
        size += copy(&file, &inside(root, &file)?)?;
    }
    Ok(size)
}

fn inside(root: &Path, file: &Path) -> Result<PathBuf, ImageError> {
    let path = root.join(file.strip_prefix("/").unwrap_or(file));
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    Ok(path)
}

/// Copies what the path leads to, links resolved.
fn copy(from: &Path, to: &Path) -> Result<u64, ImageError> {
    let size = fs::copy(from, to).map_err(ImageError::io(from))?;
    chmod(to, 0o755)?;
    Ok(size)
}

fn make_dir(path: &Path) -> Result<(), ImageError> {
    fs::create_dir_all(path).map_err(ImageError::io(path))?;
    chmod(path, 0o755)
}

fn chmod(path: &Path, mode: u32) -> Result<(), ImageError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(ImageError::io(path))
}
