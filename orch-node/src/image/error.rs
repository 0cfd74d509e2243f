use std::{io, path::PathBuf};

/// What can go wrong with images.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The reference is not one.
    #[error("couldn't parse image name {reference:?}: {why}")]
    Reference {
        /// The reference.
        reference: String,
        /// Why.
        why: String,
    },
    /// The registry refused, or was not to be reached. The text is that of containerd.
    #[error("{0}")]
    Registry(String),
    /// The image, or the archive, is not what it should be.
    #[error("{0}")]
    Malformed(String),
    /// Images that containers use stay.
    #[error("image {0} is in use by a container")]
    InUse(String),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store's index is damaged.
    #[error("{path} is damaged: {source}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where.
        source: serde_json::Error,
    },
}

impl ImageError {
    /// For `map_err`: an IO error with the path that it is about.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
