use super::{
    ImageError,
    layer::{OPAQUE, OPAQUE_XATTR, WHITEOUT, clear},
};
use std::{
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink},
    },
    path::Path,
};

/// Copies layers (the topmost first, as [`super::ImageStore::lower_dirs`] gives them) into one plain
/// directory: a root file system for machines without overlayfs.
pub fn flatten(lower_dirs: &[impl AsRef<Path>], target: &Path) -> Result<(), ImageError> {
    fs::create_dir_all(target).map_err(ImageError::io(target))?;
    lower_dirs.iter().rev().try_for_each(|dir| copy_dir(dir.as_ref(), target))
}

fn copy_dir(from: &Path, to: &Path) -> Result<(), ImageError> {
    let mut opaque = [0; 1];
    let is_opaque = rustix::fs::lgetxattr(from, OPAQUE_XATTR, &mut opaque[..]).is_ok_and(|n| n == 1);
    if is_opaque || from.join(OPAQUE).exists() {
        for entry in fs::read_dir(to).map_err(ImageError::io(to))?.flatten() {
            clear(&entry.path())?;
        }
    }
    copy_attributes(from, to)?;
    for entry in fs::read_dir(from).map_err(ImageError::io(from))? {
        let name = entry.map_err(ImageError::io(from))?.file_name();
        let (source, target) = (from.join(&name), to.join(&name));
        if name == OPAQUE {
            continue;
        }
        if let Some(hidden) = name.as_bytes().strip_prefix(WHITEOUT.as_bytes()) {
            clear(&to.join(std::ffi::OsStr::from_bytes(hidden)))?;
            continue;
        }
        copy(&source, &target)?;
    }
    Ok(())
}

fn copy(source: &Path, target: &Path) -> Result<(), ImageError> {
    let meta = fs::symlink_metadata(source).map_err(ImageError::io(source))?;
    let kind = meta.file_type();
    if kind.is_dir() {
        if !target.is_dir() || target.is_symlink() {
            clear(target)?;
            fs::create_dir(target).map_err(ImageError::io(target))?;
        }
        return copy_dir(source, target);
    }
    clear(target)?;
    if kind.is_char_device() && meta.rdev() == 0 {
        return Ok(());
    }
    if kind.is_symlink() {
        let link = fs::read_link(source).map_err(ImageError::io(source))?;
        symlink(link, target).map_err(ImageError::io(target))?;
    } else if kind.is_file() {
        fs::copy(source, target).map_err(ImageError::io(target))?;
    } else {
        let mode = nix::sys::stat::SFlag::from_bits_truncate(meta.mode());
        nix::sys::stat::mknod(target, mode, nix::sys::stat::Mode::empty(), meta.rdev())
            .map_err(|errno| ImageError::io(target)(errno.into()))?;
    }
    copy_attributes(source, target)
}

fn copy_attributes(from: &Path, to: &Path) -> Result<(), ImageError> {
    let meta = fs::symlink_metadata(from).map_err(ImageError::io(from))?;
    if nix::unistd::geteuid().is_root() {
        lchown(to, Some(meta.uid()), Some(meta.gid())).map_err(ImageError::io(to))?;
    }
    if !meta.is_symlink() {
        let mode = fs::Permissions::from_mode(meta.mode() & 0o7777);
        fs::set_permissions(to, mode).map_err(ImageError::io(to))?;
    }
    Ok(())
}
