//! The certificates and keys of a cluster, made at first start and kept in a directory.
//!
//! ```text
//! DIR/ca.{crt,key} ─► apiserver.{crt,key}   serving, renewed before it expires or when a name is missing
//!                  └► NAME.{crt,key}        clients: the common name is the user, the organization a group
//! DIR/sa.key                                signs service account tokens (P-256)
//! ```

mod authority;
mod files;
mod inspect;
mod kubeconfig;
mod requests;
mod secret;
#[cfg(test)]
mod tests;
mod tls;

pub use authority::Subject;
pub use inspect::{covers, needs_renewal};
pub use kubeconfig::kubeconfig;
pub use requests::Request;
pub use secret::Secret;
pub use tls::server_config;

use authority::Authority;
use files::Files;
use jiff::Timestamp;
use std::path::{Path, PathBuf};

/// A certificate with its key, both as PEM.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The certificate.
    pub certificate: String,
    /// The private key (PKCS #8).
    pub key: Secret,
}

/// Why a certificate could not be had. Every message names the file that is at fault.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file could not be read or written: check the directory and its owner.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// A file holds no certificate or key: restore it, or remove it to have a new one made.
    #[error("{what}: {why}")]
    Malformed {
        /// Which one.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A certificate could not be made.
    #[error("making a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// The pieces make no TLS configuration.
    #[error("TLS: {0}")]
    Tls(String),
}

/// The cluster's certificate authority and service account key, with the certificates that they signed.
pub struct Pki {
    files: Files,
    authority: Authority,
    service_account_key: Secret,
}

impl Pki {
    /// Opens the directory, or makes it with a new authority and key.
    ///
    /// # Errors
    ///
    /// When files cannot be read, written or understood. Nothing that exists is ever replaced here.
    pub fn open(dir: &Path, now: Timestamp) -> Result<Self, PkiError> {
        Self::with(Files::open(dir)?, now)
    }

    /// An authority that lives in memory alone: for tests and embedded clusters.
    ///
    /// # Errors
    ///
    /// When keys cannot be made.
    pub fn in_memory(now: Timestamp) -> Result<Self, PkiError> {
        Self::with(Files::memory(), now)
    }

    fn with(files: Files, now: Timestamp) -> Result<Self, PkiError> {
        let credential = match files.load("ca")? {
            Some(credential) => credential,
            None => files.keep("ca", Authority::make(now)?)?,
        };
        let service_account_key = match files.load_key("sa")? {
            Some(key) => key,
            None => files.keep_key("sa", Secret::new(rcgen::KeyPair::generate()?.serialize_pem()))?,
        };
        Ok(Self { authority: Authority::new(credential)?, files, service_account_key })
    }

    /// The authority's certificate: what clients trust (`kube-root-ca.crt`).
    pub fn ca_certificate(&self) -> &str {
        &self.authority.credential.certificate
    }

    /// The key that signs service account tokens, as PKCS #8 PEM.
    pub fn service_account_key(&self) -> &Secret {
        &self.service_account_key
    }

    /// The API server's own certificate, for the names of a cluster and the given ones (DNS names and IP
    /// addresses). A kept one is used as long as it lasts and covers them all.
    ///
    /// # Errors
    ///
    /// When files cannot be read or written, or a name is none.
    pub fn serving(&self, names: &[String], now: Timestamp) -> Result<Credential, PkiError> {
        let mut all: Vec<String> = SERVING_NAMES.iter().map(|name| (*name).to_owned()).collect();
        all.extend(names.iter().filter(|name| !SERVING_NAMES.contains(&name.as_str())).cloned());
        self.credential("apiserver", &Subject::serving("kube-apiserver", all), now)
    }

    /// A client's certificate: `user` becomes the user's name, `group` (unless empty) his group. Kept under
    /// `name`.
    ///
    /// # Errors
    ///
    /// When files cannot be read or written.
    pub fn client(&self, name: &str, user: &str, group: &str, now: Timestamp) -> Result<Credential, PkiError> {
        self.credential(name, &Subject::client(user, group), now)
    }

    /// The certificate of `subject` that is kept under `name`, made anew when it is missing, runs out or
    /// says something else.
    ///
    /// # Errors
    ///
    /// When files cannot be read or written.
    pub fn credential(&self, name: &str, subject: &Subject, now: Timestamp) -> Result<Credential, PkiError> {
        if let Some(kept) = self.files.load(name)?
            && !needs_renewal(&kept.certificate, now)
            && subject.describes(&kept.certificate)
            && inspect::belongs_to(&kept.certificate, kept.key.reveal())
            && self.authority.signed(&kept.certificate)
        {
            return Ok(kept);
        }
        self.files.keep(name, self.authority.issue(subject, now)?)
    }
}

/// The names by which pods and local clients reach the API server.
const SERVING_NAMES: [&str; 8] = [
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
    "10.96.0.1",
    "127.0.0.1",
    "::1",
];
