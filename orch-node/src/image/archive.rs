//! Images from files: OCI layouts (a directory or a tar of one) and what `docker save` writes.

use super::{
    ImageConfig, ImageError, ImageRecord, ImageStore, NewImage, config, layer, reference,
    store::{Ingest, digest},
};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

/// The annotation by which containerd names an image in an OCI layout.
const NAME_ANNOTATION: &str = "io.containerd.image.name";
/// The annotation of the OCI layout: a tag, or a whole reference.
const REF_ANNOTATION: &str = "org.opencontainers.image.ref.name";

/// Loads every image of an archive or a layout directory. `name` is what to call an image that
/// carries no name, or only a tag.
pub fn load_archive(store: &ImageStore, path: &Path, name: Option<&str>) -> Result<Vec<ImageRecord>, ImageError> {
    let ingest = store.ingest()?;
    let files = Files::open(path, &ingest)?;
    let images = if files.has("index.json") {
        oci_images(&files)?
    } else if files.has("manifest.json") {
        docker_images(&files)?
    } else {
        return Err(ImageError::Malformed(format!("{}: neither an OCI layout nor a Docker archive", path.display())));
    };
    if images.is_empty() {
        return Err(ImageError::Malformed(format!(
            "{}: no image for linux/{}",
            path.display(),
            config::architecture()
        )));
    }
    images.into_iter().map(|image| add(store, &ingest, &files, image, name)).collect()
}

/// An image of an archive, before its layers are read.
struct Found {
    config: Vec<u8>,
    manifest: Option<Vec<u8>>,
    layers: Vec<String>,
    names: Vec<String>,
}

fn add(
    store: &ImageStore,
    ingest: &Ingest,
    files: &Files,
    image: Found,
    name: Option<&str>,
) -> Result<ImageRecord, ImageError> {
    let diff_ids = ImageConfig::parse(&image.config)?.rootfs.diff_ids;
    if diff_ids.len() != image.layers.len() {
        return Err(ImageError::Malformed(format!(
            "the image has {} layers, its configuration names {}",
            image.layers.len(),
            diff_ids.len()
        )));
    }
    for (diff_id, layer) in diff_ids.iter().zip(&image.layers) {
        store.add_layer(ingest, diff_id, files.open_file(layer)?)?;
    }
    let tags = names(&image.names, name)?;
    let digests = match (&image.manifest, tags.first()) {
        (Some(manifest), Some(tag)) => {
            vec![format!("{}@{}", reference::repository(&reference::parse(tag)?), digest(manifest))]
        }
        _ => Vec::new(),
    };
    store.commit(ingest, NewImage { config: &image.config, manifest: image.manifest.as_deref(), tags, digests })
}

/// Full references of what an archive calls its image; a bare tag needs the caller's name.
fn names(found: &[String], given: Option<&str>) -> Result<Vec<String>, ImageError> {
    let mut names = Vec::new();
    for name in found {
        let is_bare_tag = !name.contains(['/', ':']);
        match given {
            Some(_) => {}
            None if is_bare_tag => {}
            None => names.push(reference::normalize(name)?),
        }
    }
    if let Some(given) = given {
        names.push(reference::normalize(given)?);
    }
    Ok(names)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

#[derive(Deserialize)]
struct OciIndex {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct OciManifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

fn oci_images(files: &Files) -> Result<Vec<Found>, ImageError> {
    let index: OciIndex = json("index.json", &files.read("index.json")?)?;
    let mut found = Vec::new();
    let mut todo: Vec<(Descriptor, Vec<String>)> = index.manifests.into_iter().map(|d| (d, Vec::new())).collect();
    let mut depth = 0;
    while let Some((descriptor, mut names)) = todo.pop() {
        let runs_here = |p: &Platform| p.os == "linux" && p.architecture == config::architecture();
        if !descriptor.platform.as_ref().is_none_or(runs_here) {
            continue;
        }
        names.extend(
            [NAME_ANNOTATION, REF_ANNOTATION].iter().filter_map(|key| descriptor.annotations.get(*key)).cloned(),
        );
        let path = blob(&descriptor.digest)?;
        let bytes = files.read(&path)?;
        check(&bytes, &descriptor.digest)?;
        if descriptor.media_type.ends_with("index.v1+json") || descriptor.media_type.ends_with("manifest.list.v2+json")
        {
            depth += 1;
            if depth > 16 {
                return Err(ImageError::Malformed("index.json: too many indexes".into()));
            }
            let inner: OciIndex = json(&path, &bytes)?;
            todo.extend(inner.manifests.into_iter().map(|d| (d, names.clone())));
            continue;
        }
        let manifest: OciManifest = json(&path, &bytes)?;
        let config = files.read(&blob(&manifest.config.digest)?)?;
        check(&config, &manifest.config.digest)?;
        let layers = manifest.layers.iter().map(|layer| blob(&layer.digest)).collect::<Result<_, _>>()?;
        found.push(Found { config, manifest: Some(bytes), layers, names });
    }
    Ok(found)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

fn docker_images(files: &Files) -> Result<Vec<Found>, ImageError> {
    let images: Vec<DockerImage> = json("manifest.json", &files.read("manifest.json")?)?;
    images
        .into_iter()
        .map(|image| {
            let config = files.read(&image.config)?;
            Ok(Found { config, manifest: None, layers: image.layers, names: image.repo_tags.unwrap_or_default() })
        })
        .collect()
}

fn blob(digest: &str) -> Result<String, ImageError> {
    if !reference::is_digest(digest) {
        return Err(ImageError::Malformed(format!("{digest:?} is not a digest")));
    }
    Ok(format!("blobs/{}", digest.replace(':', "/")))
}

fn check(bytes: &[u8], expected: &str) -> Result<(), ImageError> {
    let actual = digest(bytes);
    if actual == expected {
        return Ok(());
    }
    Err(ImageError::Malformed(format!("blob {expected} has digest {actual}")))
}

fn json<T: serde::de::DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, ImageError> {
    serde_json::from_slice(bytes).map_err(|error| ImageError::Malformed(format!("{name}: {error}")))
}

/// Files by name, in a directory or in a tar.
enum Files {
    Dir(PathBuf),
    Tar { file: Arc<File>, path: PathBuf, entries: HashMap<String, Span>, links: HashMap<String, String> },
}

#[derive(Clone, Copy)]
struct Span {
    offset: u64,
    len: u64,
}

impl Files {
    fn open(path: &Path, ingest: &Ingest) -> Result<Self, ImageError> {
        let io = || ImageError::io(path);
        if path.is_dir() {
            return Ok(Self::Dir(path.to_owned()));
        }
        let mut file = File::open(path).map_err(io())?;
        let mut magic = [0; 2];
        if file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b] {
            file.rewind().map_err(io())?;
            let plain = ingest.dir().join("archive.tar");
            let mut unzipped = File::options().create_new(true).read(true).write(true).open(&plain).map_err(io())?;
            io::copy(&mut layer::decompress(file)?, &mut unzipped).map_err(io())?;
            file = unzipped;
        }
        file.seek(SeekFrom::Start(0)).map_err(io())?;
        Self::index(file, path)
    }

    fn index(mut file: File, path: &Path) -> Result<Self, ImageError> {
        let bad = |error: io::Error| ImageError::Malformed(format!("{}: not a tar archive: {error}", path.display()));
        let (mut entries, mut links) = (HashMap::new(), HashMap::new());
        let mut archive = tar::Archive::new(&mut file);
        for entry in archive.entries_with_seek().map_err(bad)? {
            let entry = entry.map_err(bad)?;
            let Some(name) = plain(&entry.path().map_err(bad)?) else { continue };
            match entry.link_name().map_err(bad)? {
                // Old archives of Docker link a layer to its first copy.
                Some(target) => {
                    let beside = Path::new(&name).parent().unwrap_or(Path::new("")).join(target);
                    links.insert(name, lexical(&beside));
                }
                None => {
                    entries.insert(name, Span { offset: entry.raw_file_position(), len: entry.size() });
                }
            }
        }
        Ok(Self::Tar { file: Arc::new(file), path: path.to_owned(), entries, links })
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::Dir(dir) => dir.join(name).is_file(),
            Self::Tar { entries, .. } => entries.contains_key(name),
        }
    }

    fn open_file(&self, name: &str) -> Result<Box<dyn Read>, ImageError> {
        let missing = || ImageError::Malformed(format!("the archive has no {name}"));
        let name = plain(Path::new(name)).ok_or_else(missing)?;
        match self {
            Self::Dir(dir) => {
                let path = dir.join(&name);
                Ok(Box::new(File::open(&path).map_err(ImageError::io(path))?))
            }
            Self::Tar { file, entries, links, .. } => {
                let name = links.get(&name).unwrap_or(&name);
                let span = *entries.get(name).ok_or_else(missing)?;
                Ok(Box::new(Window { file: file.clone(), span }))
            }
        }
    }

    /// A whole small file: manifests and configurations.
    fn read(&self, name: &str) -> Result<Vec<u8>, ImageError> {
        const LIMIT: u64 = 16 << 20;
        let mut bytes = Vec::new();
        let path = match self {
            Self::Dir(dir) => dir.join(name),
            Self::Tar { path, .. } => path.clone(),
        };
        self.open_file(name)?.take(LIMIT).read_to_end(&mut bytes).map_err(ImageError::io(path))?;
        Ok(bytes)
    }
}

/// A piece of a file.
struct Window {
    file: Arc<File>,
    span: Span,
}

impl Read for Window {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(usize::try_from(self.span.len).unwrap_or(usize::MAX));
        let n = self.file.read_at(buffer.get_mut(..len).unwrap_or_default(), self.span.offset)?;
        self.span.offset += n as u64;
        self.span.len -= n as u64;
        Ok(n)
    }
}

/// A path of plain names, or `None` when it leads out of the archive.
fn plain(path: &Path) -> Option<String> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_str()?),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(names.join("/"))
}

fn lexical(path: &Path) -> String {
    let mut names: Vec<String> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_string_lossy().into_owned()),
            Component::ParentDir => {
                names.pop();
            }
            _ => {}
        }
    }
    names.join("/")
}
