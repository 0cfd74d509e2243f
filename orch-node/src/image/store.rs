use super::{ImageConfig, ImageError, layer, reference};
use nix::fcntl::{Flock, FlockArg};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
};

/// A directory of images.
///
/// ```text
/// index.json          image id → record; replaced atomically, so a crash leaves the old one
/// blobs/sha256/HEX    manifests and configurations by digest
/// layers/HEX          unpacked layers, by the first half of the digest of the uncompressed layer
/// ingest/             what is being fetched or unpacked; emptied when nobody does
/// lock                held shared by whoever adds layers, exclusively by whoever throws some away
/// ```
///
/// Layers are shared by images and only complete ones are under `layers`. Several processes may use
/// one store. All methods block.
#[derive(Debug)]
pub struct ImageStore {
    dir: PathBuf,
    /// One writer of the index within this process; `flock` is for the others.
    writing: Mutex<()>,
    counter: std::sync::atomic::AtomicU64,
}

/// An image of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Digest of the configuration.
    pub id: String,
    /// Layers, lowest first.
    pub layers: Vec<LayerRecord>,
    /// Full references with tags.
    pub tags: Vec<String>,
    /// Full references with digests.
    pub digests: Vec<String>,
    /// Entry point, environment and the like.
    pub config: ImageConfig,
}

impl ImageRecord {
    /// Bytes of all layers.
    pub fn size_bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size_bytes).sum()
    }
}

/// A layer of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// Digest of the uncompressed layer.
    pub diff_id: String,
    /// Bytes, uncompressed.
    pub size_bytes: u64,
}

/// An image whose layers are in the store.
pub struct NewImage<'a> {
    /// The configuration as it came; its digest is the image's id.
    pub config: &'a [u8],
    /// The manifest as it came, if there was one.
    pub manifest: Option<&'a [u8]>,
    /// Full references with tags.
    pub tags: Vec<String>,
    /// Full references with digests.
    pub digests: Vec<String>,
}

type Index = BTreeMap<String, ImageRecord>;

impl ImageStore {
    /// Opens or makes a store.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, ImageError> {
        let dir = dir.into();
        for part in ["blobs/sha256", "layers", "ingest"] {
            let part = dir.join(part);
            fs::create_dir_all(&part).map_err(ImageError::io(&part))?;
        }
        let store = Self { dir, writing: Mutex::new(()), counter: Default::default() };
        store.collect_garbage(&store.index()?)?;
        Ok(store)
    }

    /// Every image.
    pub fn list(&self) -> Result<Vec<ImageRecord>, ImageError> {
        Ok(self.index()?.into_values().collect())
    }

    /// The image that a reference or an id names.
    pub fn find(&self, name: &str) -> Result<Option<ImageRecord>, ImageError> {
        let mut index = self.index()?;
        if let Some(image) = index.remove(name) {
            return Ok(Some(image));
        }
        let Ok(full) = reference::normalize(name) else { return Ok(None) };
        Ok(index.into_values().find(|image| image.tags.contains(&full) || image.digests.contains(&full)))
    }

    /// Directories of the image's layers for overlayfs, the topmost first.
    pub fn lower_dirs(&self, image: &ImageRecord) -> Vec<PathBuf> {
        image.layers.iter().rev().map(|layer| self.layer_dir(&layer.diff_id)).collect()
    }

    /// Whether a layer is there.
    pub fn has_layer(&self, diff_id: &str) -> bool {
        self.layer_size(diff_id).is_some()
    }

    /// Keeps garbage from being collected while layers of an image that is not yet in the index arrive.
    pub fn ingest(&self) -> Result<Ingest, ImageError> {
        let lock = self.lock(FlockArg::LockShared)?;
        let dir = self.scratch("ingest");
        fs::create_dir_all(&dir).map_err(ImageError::io(&dir))?;
        Ok(Ingest { dir, _lock: lock })
    }

    /// Unpacks a layer (a tar, perhaps compressed) and checks it against its digest. A layer that is
    /// there already is not read.
    pub fn add_layer(&self, ingest: &Ingest, diff_id: &str, packed: impl Read) -> Result<(), ImageError> {
        if self.has_layer(diff_id) {
            return Ok(());
        }
        let dir = ingest.dir.join(format!("layer-{}", self.next()));
        fs::create_dir_all(&dir).map_err(ImageError::io(&dir))?;
        let unpacked = layer::unpack(packed, &dir)?;
        if unpacked.diff_id != diff_id {
            return Err(ImageError::Malformed(format!(
                "layer has digest {}, but its image says {diff_id}",
                unpacked.diff_id
            )));
        }
        self.adopt_layer(ingest, diff_id, unpacked.size_bytes, &dir)
    }

    /// Makes a directory a layer of the store.
    pub(crate) fn adopt_layer(
        &self,
        ingest: &Ingest,
        diff_id: &str,
        size_bytes: u64,
        dir: &Path,
    ) -> Result<(), ImageError> {
        let target = self.layer_dir(diff_id);
        let size = self.size_file(diff_id);
        if let Err(error) = fs::rename(dir, &target) {
            // Somebody else was faster, or a crash left it without its size; the content is the same.
            if !target.is_dir() {
                return Err(ImageError::io(&target)(error));
            }
        }
        // The files must be on disk before the layer counts as complete.
        let opened = File::open(&target).map_err(ImageError::io(&target))?;
        rustix::fs::syncfs(&opened).map_err(|errno| ImageError::io(&target)(errno.into()))?;
        write_atomically(&ingest.dir, &size, size_bytes.to_string().as_bytes())
    }

    /// Puts an image into the index. References move to it from whichever image had them.
    pub fn commit(&self, ingest: &Ingest, image: NewImage<'_>) -> Result<ImageRecord, ImageError> {
        let config = ImageConfig::parse(image.config)?;
        let id = digest(image.config);
        let layers = config
            .rootfs
            .diff_ids
            .iter()
            .map(|diff_id| match self.layer_size(diff_id) {
                Some(size_bytes) => Ok(LayerRecord { diff_id: diff_id.clone(), size_bytes }),
                None => Err(ImageError::Malformed(format!("layer {diff_id} is missing"))),
            })
            .collect::<Result<Vec<_>, _>>()?;
        for blob in [Some(image.config), image.manifest].into_iter().flatten() {
            let path = self.dir.join("blobs/sha256").join(digest(blob).trim_start_matches("sha256:"));
            write_atomically(&ingest.dir, &path, blob)?;
        }
        self.change(|index| {
            for other in index.values_mut() {
                other.tags.retain(|tag| !image.tags.contains(tag));
                other.digests.retain(|digest| !image.digests.contains(digest));
            }
            let record = index.entry(id.clone()).or_default();
            record.id = id;
            record.layers = layers;
            record.config = config;
            merge(&mut record.tags, image.tags);
            merge(&mut record.digests, image.digests);
            Ok(record.clone())
        })
    }

    /// Removes what a reference or an id names: one reference when the image has more, else the image
    /// with the layers that no other image has. `in_use` holds the ids of images that containers use.
    pub fn remove(&self, name: &str, in_use: &HashSet<String>) -> Result<(), ImageError> {
        let Some(image) = self.find(name)? else { return Ok(()) };
        let full = reference::normalize(name)?;
        self.change(|index| {
            let Some(record) = index.get_mut(&image.id) else { return Ok(()) };
            if record.tags.len() > 1 && record.tags.contains(&full) {
                record.tags.retain(|tag| *tag != full);
                return Ok(());
            }
            if in_use.contains(&image.id) {
                return Err(ImageError::InUse(name.to_owned()));
            }
            index.remove(&image.id);
            Ok(())
        })?;
        self.collect_garbage(&self.index()?)
    }

    fn index(&self) -> Result<Index, ImageError> {
        let path = self.dir.join("index.json");
        match fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json).map_err(|source| ImageError::Damaged { path, source }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Index::new()),
            Err(error) => Err(ImageError::io(path)(error)),
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Index) -> Result<T, ImageError>) -> Result<T, ImageError> {
        let _one = self.writing.lock();
        let path = self.dir.join("index.lock");
        let file = File::create(&path).map_err(ImageError::io(&path))?;
        let _lock =
            Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| ImageError::io(&path)(errno.into()))?;
        let mut index = self.index()?;
        let result = change(&mut index)?;
        let json = serde_json::to_vec(&index).map_err(|error| ImageError::Malformed(error.to_string()))?;
        write_atomically(&self.dir, &self.dir.join("index.json"), &json)?;
        Ok(result)
    }

    /// Throws away layers, blobs and scratch files that belong to no image, unless somebody is adding some.
    fn collect_garbage(&self, index: &Index) -> Result<(), ImageError> {
        let Ok(_lock) = self.lock(FlockArg::LockExclusiveNonblock) else { return Ok(()) };
        let kept: HashSet<String> = index
            .values()
            .flat_map(|image| &image.layers)
            .flat_map(|layer| [short(&layer.diff_id).to_owned(), format!("{}.size", short(&layer.diff_id))])
            .collect();
        sweep(&self.dir.join("ingest"), |_| false)?;
        sweep(&self.dir.join("layers"), |name| kept.contains(name))?;
        let blobs: HashSet<&str> = index
            .values()
            .flat_map(|image| {
                image.digests.iter().filter_map(|d| d.rsplit(':').next()).chain(image.id.rsplit(':').next())
            })
            .collect();
        sweep(&self.dir.join("blobs/sha256"), |name| blobs.contains(name))
    }

    fn lock(&self, how: FlockArg) -> Result<Flock<File>, ImageError> {
        let path = self.dir.join("lock");
        let file = File::create(&path).map_err(ImageError::io(&path))?;
        Flock::lock(file, how).map_err(|(_, errno)| ImageError::io(path)(errno.into()))
    }

    fn scratch(&self, what: &str) -> PathBuf {
        self.dir.join("ingest").join(format!("{what}-{}-{}", std::process::id(), self.next()))
    }

    fn next(&self) -> u64 {
        self.counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }

    fn layer_dir(&self, diff_id: &str) -> PathBuf {
        self.dir.join("layers").join(short(diff_id))
    }

    fn size_file(&self, diff_id: &str) -> PathBuf {
        self.dir.join("layers").join(format!("{}.size", short(diff_id)))
    }

    /// The size file is written last: a layer without one is not complete.
    fn layer_size(&self, diff_id: &str) -> Option<u64> {
        fs::read_to_string(self.size_file(diff_id)).ok()?.parse().ok()
    }
}

/// While it lives no garbage is collected; its directory goes with it.
#[derive(Debug)]
pub struct Ingest {
    dir: PathBuf,
    _lock: Flock<File>,
}

impl Ingest {
    /// Room for files that are on their way into the store.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// `sha256:…` of some bytes.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

/// 128 bits of a digest: short names keep the options of an overlay mount within a page.
fn short(diff_id: &str) -> &str {
    diff_id.strip_prefix("sha256:").and_then(|hex| hex.get(..32)).unwrap_or(diff_id)
}

fn merge(into: &mut Vec<String>, from: Vec<String>) {
    for item in from {
        if !into.contains(&item) {
            into.push(item);
        }
    }
}

fn sweep(dir: &Path, keep: impl Fn(&str) -> bool) -> Result<(), ImageError> {
    for entry in fs::read_dir(dir).map_err(ImageError::io(dir))?.flatten() {
        if entry.file_name().to_str().is_some_and(&keep) {
            continue;
        }
        let path = entry.path();
        let gone = if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        gone.map_err(ImageError::io(path))?;
    }
    Ok(())
}

/// Writes beside, syncs, renames, syncs the directory.
fn write_atomically(scratch: &Path, path: &Path, bytes: &[u8]) -> Result<(), ImageError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = scratch.join(format!("{name}.new"));
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    };
    write().map_err(ImageError::io(path))
}
