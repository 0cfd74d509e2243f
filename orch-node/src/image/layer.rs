//! Unpacking of a layer into a directory that overlayfs takes as a lower directory.

use super::ImageError;
use flate2::read::MultiGzDecoder;
use nix::{
    sys::stat::{Mode, SFlag, makedev, mknod},
    unistd::geteuid,
};
use sha2::{Digest, Sha256};
use std::{
    collections::HashSet,
    ffi::OsStr,
    fs::{self, File, Permissions},
    io::{self, BufReader, Read},
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, lchown, symlink},
    },
    path::{Component, Path, PathBuf},
};
use tar::{Archive, Entry, EntryType};

/// A layer with this prefix hides the entry of the rest of its name in the layers below.
pub(crate) const WHITEOUT: &str = ".wh.";
/// A directory with this entry hides everything below it in the layers below.
pub(crate) const OPAQUE: &str = ".wh..wh..opq";
/// What overlayfs reads on a directory that hides.
pub(crate) const OPAQUE_XATTR: &str = "trusted.overlay.opaque";

/// What was unpacked.
pub(crate) struct Unpacked {
    /// Digest of the uncompressed layer.
    pub(crate) diff_id: String,
    /// Bytes of its files.
    pub(crate) size_bytes: u64,
}

/// Unpacks a tar, gzipped or plain, into an empty directory.
///
/// Whiteouts become what overlayfs wants when we are root, and stay files otherwise. Nothing is ever
/// written outside the directory, whatever names and links the layer contains: `..` is refused, and
/// symbolic links on the way are resolved inside.
pub(crate) fn unpack(packed: impl Read, dir: &Path) -> Result<Unpacked, ImageError> {
    let hashed = Hashed { inner: decompress(packed)?, hash: Sha256::new() };
    let mut archive = Archive::new(hashed);
    let mut unpacker = Unpacker { root: dir, is_root: geteuid().is_root(), size_bytes: 0, directories: Vec::new() };
    for entry in archive.entries().map_err(ImageError::io(dir))? {
        unpacker.entry(entry.map_err(malformed)?)?;
    }
    unpacker.finish();
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(malformed)?;
    Ok(Unpacked { diff_id: format!("sha256:{:x}", rest.hash.finalize()), size_bytes: unpacker.size_bytes })
}

/// Reads through gzip if the first bytes say so.
pub(crate) fn decompress<'a>(packed: impl Read + 'a) -> Result<Box<dyn Read + 'a>, ImageError> {
    let mut packed = BufReader::with_capacity(1 << 16, packed);
    let mut magic = [0; 4];
    let mut filled = 0;
    while let Some(rest) = magic.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match packed.read(rest).map_err(malformed)? {
            0 => break,
            n => filled += n,
        }
    }
    let seen = io::Cursor::new(magic.into_iter().take(filled).collect::<Vec<_>>());
    match magic {
        [0x1f, 0x8b, ..] => Ok(Box::new(MultiGzDecoder::new(seen.chain(packed)))),
        [0x28, 0xb5, 0x2f, 0xfd] => Err(ImageError::Malformed("layers compressed with zstd are not supported".into())),
        _ => Ok(Box::new(seen.chain(packed))),
    }
}

struct Unpacker<'a> {
    root: &'a Path,
    is_root: bool,
    size_bytes: u64,
    /// Times of directories are set last, since filling them changes them.
    directories: Vec<(PathBuf, u64)>,
}

impl Unpacker<'_> {
    fn entry<R: Read>(&mut self, mut entry: Entry<'_, R>) -> Result<(), ImageError> {
        let name = clean(&entry.path().map_err(malformed)?)?;
        let Some(last) = name.file_name().map(OsStr::to_owned) else {
            return self.attributes(&mut entry, self.root.to_owned());
        };
        let parent = resolve(self.root, name.parent().unwrap_or(Path::new("")))?;
        if self.is_root && self.whiteout(&parent, &last)? {
            return Ok(());
        }
        let path = parent.join(&last);
        let kind = entry.header().entry_type();
        if !(kind.is_dir() && path.is_dir() && !path.is_symlink()) {
            clear(&path)?;
        }
        if self.make(&mut entry, kind, &path)? { self.attributes(&mut entry, path) } else { Ok(()) }
    }

    /// Makes what the entry says; false when it takes no attributes of its own.
    fn make<R: Read>(&mut self, entry: &mut Entry<'_, R>, kind: EntryType, path: &Path) -> Result<bool, ImageError> {
        let io = ImageError::io(path);
        match kind {
            EntryType::Directory => {
                if !path.is_dir() {
                    fs::create_dir(path).map_err(io)?;
                }
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let mut file = File::create_new(path).map_err(io)?;
                self.size_bytes += io::copy(entry, &mut file).map_err(ImageError::io(path))?;
            }
            EntryType::Symlink => {
                let target = entry.link_name().map_err(malformed)?.ok_or_else(|| no_target(path))?;
                symlink(target, path).map_err(io)?;
            }
            EntryType::Link => {
                let target = entry.link_name().map_err(malformed)?.ok_or_else(|| no_target(path))?;
                let target = clean(&target)?;
                let parent = resolve(self.root, target.parent().unwrap_or(Path::new("")))?;
                let target = parent.join(target.file_name().ok_or_else(|| no_target(path))?);
                fs::hard_link(target, path).map_err(io)?;
                return Ok(false);
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => return self.node(entry, kind, path),
            EntryType::XGlobalHeader => return Ok(false),
            other => return Err(ImageError::Malformed(format!("{path:?}: unknown kind of entry {other:?}"))),
        }
        Ok(true)
    }

    fn node<R: Read>(&self, entry: &Entry<'_, R>, kind: EntryType, path: &Path) -> Result<bool, ImageError> {
        if !self.is_root && kind != EntryType::Fifo {
            return Ok(false);
        }
        let header = entry.header();
        let number = |part: io::Result<Option<u32>>| part.ok().flatten().unwrap_or(0).into();
        let device = makedev(number(header.device_major()), number(header.device_minor()));
        let flag = match kind {
            EntryType::Char => SFlag::S_IFCHR,
            EntryType::Block => SFlag::S_IFBLK,
            _ => SFlag::S_IFIFO,
        };
        mknod(path, flag, Mode::from_bits_truncate(0o600), device).map_err(|e| ImageError::io(path)(e.into()))?;
        Ok(true)
    }

    fn whiteout(&self, parent: &Path, name: &OsStr) -> Result<bool, ImageError> {
        let Some(hidden) = name.as_bytes().strip_prefix(WHITEOUT.as_bytes()) else { return Ok(false) };
        if name == OPAQUE {
            rustix::fs::lsetxattr(parent, OPAQUE_XATTR, b"y", rustix::fs::XattrFlags::empty())
                .map_err(|e| ImageError::io(parent)(e.into()))?;
        } else if matches!(hidden, b"" | b"." | b"..") {
            return Err(ImageError::Malformed(format!("bad whiteout {name:?}")));
        } else {
            let path = parent.join(OsStr::from_bytes(hidden));
            clear(&path)?;
            mknod(&path, SFlag::S_IFCHR, Mode::empty(), makedev(0, 0)).map_err(|e| ImageError::io(path)(e.into()))?;
        }
        Ok(true)
    }

    /// Owner, mode, extended attributes and time, in this order: a change of owner clears set-user-id.
    fn attributes<R: Read>(&mut self, entry: &mut Entry<'_, R>, path: PathBuf) -> Result<(), ImageError> {
        let io = |error: io::Error| ImageError::io(&path)(error);
        let header = entry.header();
        let (mode, mtime) = (header.mode().map_err(malformed)?, header.mtime().unwrap_or(0));
        let is_link = header.entry_type().is_symlink();
        if self.is_root {
            // An empty field is 0, as for Go's reader of tars.
            let id = |part: io::Result<u64>| part.ok().and_then(|id| u32::try_from(id).ok()).unwrap_or(0);
            lchown(&path, Some(id(header.uid())), Some(id(header.gid()))).map_err(io)?;
        }
        if !is_link {
            fs::set_permissions(&path, Permissions::from_mode(mode & 0o7777)).map_err(io)?;
        }
        if self.is_root {
            set_xattrs(entry, &path)?;
        }
        if entry.header().entry_type().is_dir() {
            self.directories.push((path, mtime));
        } else {
            set_time(&path, mtime);
        }
        Ok(())
    }

    fn finish(&mut self) {
        for (path, mtime) in self.directories.drain(..).collect::<HashSet<_>>() {
            set_time(&path, mtime);
        }
    }
}

fn set_xattrs<R: Read>(entry: &mut Entry<'_, R>, path: &Path) -> Result<(), ImageError> {
    let Some(extensions) = entry.pax_extensions().map_err(malformed)? else { return Ok(()) };
    for extension in extensions.flatten() {
        let Some(name) = extension.key().ok().and_then(|key| key.strip_prefix("SCHILY.xattr.")) else { continue };
        // A layer must not speak to overlayfs itself.
        if name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.") {
            continue;
        }
        let flags = rustix::fs::XattrFlags::empty();
        match rustix::fs::lsetxattr(path, name, extension.value_bytes(), flags) {
            // Like tar: file systems without them lose them.
            Ok(()) | Err(rustix::io::Errno::NOTSUP) => {}
            Err(error) => return Err(ImageError::io(path)(error.into())),
        }
    }
    Ok(())
}

/// Times are for the eye; failing to set one harms nobody.
fn set_time(path: &Path, mtime: u64) {
    let time = rustix::fs::Timespec { tv_sec: i64::try_from(mtime).unwrap_or(0), tv_nsec: 0 };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    let _ = rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
}

/// A relative path of plain names.
fn clean(path: &Path) -> Result<PathBuf, ImageError> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(ImageError::Malformed(format!("layer reaches outside of itself: {path:?}")));
            }
        }
    }
    Ok(clean)
}

/// The directory of that name inside `root`, made if missing; links on the way are followed as if
/// `root` were `/`.
fn resolve(root: &Path, name: &Path) -> Result<PathBuf, ImageError> {
    let mut todo: Vec<PathBuf> = name.components().rev().map(|part| PathBuf::from(part.as_os_str())).collect();
    let mut inside = PathBuf::new();
    let mut links = 0;
    while let Some(part) = todo.pop() {
        match part.components().next() {
            None | Some(Component::CurDir | Component::Prefix(_)) => continue,
            Some(Component::RootDir) => inside = PathBuf::new(),
            Some(Component::ParentDir) => {
                inside.pop();
            }
            Some(Component::Normal(_)) => {
                let path = root.join(&inside).join(&part);
                match fs::symlink_metadata(&path) {
                    Ok(meta) if meta.is_symlink() => {
                        links += 1;
                        if links > 40 {
                            return Err(ImageError::Malformed(format!("too many symbolic links: {name:?}")));
                        }
                        let target = fs::read_link(&path).map_err(ImageError::io(&path))?;
                        todo.extend(target.components().rev().map(|part| PathBuf::from(part.as_os_str())));
                    }
                    Ok(meta) if meta.is_dir() => inside.push(part),
                    Ok(_) | Err(_) => {
                        clear(&path)?;
                        fs::create_dir(&path).map_err(ImageError::io(&path))?;
                        inside.push(part);
                    }
                }
            }
        }
    }
    Ok(root.join(inside))
}

/// Removes what is there, of whatever kind.
pub(crate) fn clear(path: &Path) -> Result<(), ImageError> {
    let gone = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    gone.map_err(ImageError::io(path))
}

fn no_target(path: &Path) -> ImageError {
    ImageError::Malformed(format!("{path:?}: a link without a target"))
}

fn malformed(error: io::Error) -> ImageError {
    ImageError::Malformed(format!("layer cannot be read: {error}"))
}

struct Hashed<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hash.update(buffer.get(..n).unwrap_or_default());
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// Entries: (name, link target or text). A name that ends with `@` is a symbolic link, with `&` a hard one.
    fn tar(entries: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, text) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            let bare = name.trim_end_matches(['@', '&']);
            // `set_path` refuses what these tests are about.
            header.as_old_mut().name[..bare.len()].copy_from_slice(bare.as_bytes());
            let kind = match name.chars().last() {
                Some('@') => EntryType::Symlink,
                Some('&') => EntryType::Link,
                _ => EntryType::Regular,
            };
            header.set_entry_type(kind);
            if kind != EntryType::Regular {
                header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
            }
            let data = if kind == EntryType::Regular { text.as_bytes() } else { b"" };
            header.set_size(data.len() as u64);
            header.set_cksum();
            builder.append(&header, data).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn unpacked(entries: &[(&str, &str)]) -> (tempfile::TempDir, Result<Unpacked, ImageError>) {
        let dir = tempfile::tempdir().unwrap();
        let layer = dir.path().join("layer");
        fs::create_dir(&layer).unwrap();
        fs::write(dir.path().join("outside"), "safe").unwrap();
        let result = unpack(tar(entries).as_slice(), &layer);
        (dir, result)
    }

    #[test]
    fn nothing_is_written_outside_of_the_layer() {
        for entries in [
            &[("../outside", "bad")][..],
            &[("a/../../outside", "bad")],
            &[("up@", "../"), ("up/outside", "bad")],
            &[("up@", "/"), ("up/outside", "bad")],
            &[("link@", "../outside"), ("link", "bad")],
            &[("hard&", "../outside"), ("hard", "bad")],
            &[("up@", ".."), ("hard&", "up/outside")],
        ] {
            let (dir, _) = unpacked(entries);
            assert_eq!(fs::read_to_string(dir.path().join("outside")).unwrap(), "safe", "{entries:?}");
            let names = fs::read_dir(dir.path()).unwrap().count();
            assert_eq!(names, 2, "{entries:?}");
        }
    }

    #[test]
    fn parent_directories_that_lead_out_are_refused() {
        let (_dir, result) = unpacked(&[("../outside", "bad")]);
        assert!(result.err().unwrap().to_string().contains("reaches outside"));
    }

    #[test]
    fn links_inside_are_followed_inside() {
        let (dir, result) = unpacked(&[("real/x", "1"), ("link@", "/real"), ("link/y", "2"), ("hard&", "real/x")]);
        assert_eq!(result.unwrap().size_bytes, 2);
        let layer = dir.path().join("layer");
        assert_eq!(fs::read_to_string(layer.join("real/y")).unwrap(), "2");
        assert_eq!(fs::read_to_string(layer.join("hard")).unwrap(), "1");
    }

    #[test]
    fn the_digest_is_that_of_the_uncompressed_layer() {
        let plain = tar(&[("a", "text")]);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&plain).unwrap();
        let expected = format!("sha256:{:x}", Sha256::digest(&plain));
        for packed in [plain, gz.finish().unwrap()] {
            let dir = tempfile::tempdir().unwrap();
            assert_eq!(unpack(packed.as_slice(), dir.path()).unwrap().diff_id, expected);
        }
    }

    #[test]
    fn whiteouts_become_what_overlayfs_wants() {
        let (dir, result) = unpacked(&[("bin/.wh.old", ""), ("etc/.wh..wh..opq", "")]);
        result.unwrap();
        let layer = dir.path().join("layer");
        if !geteuid().is_root() {
            assert!(layer.join("bin/.wh.old").exists());
            return;
        }
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        let hidden = fs::metadata(layer.join("bin/old")).unwrap();
        assert!(hidden.file_type().is_char_device() && hidden.rdev() == 0);
        let mut value = [0; 8];
        assert_eq!(rustix::fs::lgetxattr(layer.join("etc"), OPAQUE_XATTR, &mut value[..]), Ok(1));
        // And a flat copy of it over a lower layer hides the same.
        let (lower, flat) = (dir.path().join("lower"), dir.path().join("flat"));
        for file in ["bin/old", "bin/new", "etc/gone"] {
            fs::create_dir_all(lower.join(file).parent().unwrap()).unwrap();
            fs::write(lower.join(file), "x").unwrap();
        }
        crate::image::flatten(&[&layer, &lower], &flat).unwrap();
        assert!(flat.join("bin/new").exists() && flat.join("etc").is_dir());
        assert!(!flat.join("bin/old").exists() && !flat.join("etc/gone").exists());
    }
}
