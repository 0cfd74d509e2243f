//! Certificates and keys as files: keys are readable by their owner alone, and a file is replaced whole or
//! not at all.

use super::{Credential, PkiError, Secret};
use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// A directory, or nothing at all.
pub(super) struct Files(Option<PathBuf>);

impl Files {
    /// Nothing is kept.
    pub(super) fn memory() -> Self {
        Self(None)
    }

    /// The directory, made if it is not there.
    pub(super) fn open(dir: &Path) -> Result<Self, PkiError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|why| at(dir, why))?;
        Ok(Self(Some(dir.to_owned())))
    }

    /// The credential of that name; `None` unless both of its files exist.
    pub(super) fn load(&self, name: &str) -> Result<Option<Credential>, PkiError> {
        let (certificate, key) = (self.read(&format!("{name}.crt"))?, self.load_key(name)?);
        Ok(certificate.zip(key).map(|(certificate, key)| Credential { certificate, key }))
    }

    /// The key of that name.
    pub(super) fn load_key(&self, name: &str) -> Result<Option<Secret>, PkiError> {
        Ok(self.read(&format!("{name}.key"))?.map(Secret::new))
    }

    /// Keeps a credential. The key comes first, so that a certificate is never without its key.
    pub(super) fn keep(&self, name: &str, credential: Credential) -> Result<Credential, PkiError> {
        self.keep_key(name, credential.key.clone())?;
        self.write(&format!("{name}.crt"), &credential.certificate, 0o644)?;
        Ok(credential)
    }

    /// Keeps a key.
    pub(super) fn keep_key(&self, name: &str, key: Secret) -> Result<Secret, PkiError> {
        self.write(&format!("{name}.key"), key.reveal(), 0o600)?;
        Ok(key)
    }

    fn read(&self, name: &str) -> Result<Option<String>, PkiError> {
        let Some(dir) = &self.0 else { return Ok(None) };
        let path = dir.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(at(&path, why)),
        }
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> Result<(), PkiError> {
        let Some(dir) = &self.0 else { return Ok(()) };
        let path = dir.join(name);
        replace(dir, &path, text, mode).map_err(|why| at(&path, why))
    }
}

/// Writes a new file beside the old one, makes it durable and moves it over.
fn replace(dir: &Path, path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    match fs::remove_file(&new) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    fs::File::open(dir)?.sync_all()
}

fn at(path: &Path, why: io::Error) -> PkiError {
    PkiError::File { path: path.to_owned(), why }
}
