//! [`Reloading`]: a certificate and key from two files, read again when they change.

use parking_lot::Mutex;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

/// A certificate that is renewed on disk, such as that of a mounted Secret. The files are looked at when a client says
/// hello, which costs two `stat`s; nothing is polled. While they do not fit together, because they are being replaced, the
/// last pair that did is used.
pub struct Reloading {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: Mutex<Current>,
}

struct Current {
    pair: Arc<CertifiedKey>,
    seen: Stamp,
}

/// What tells one state of the files from another.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl Reloading {
    /// Reads the files.
    ///
    /// # Errors
    /// If there is no certificate, no key, or the two do not belong together.
    pub fn open(certificate: &Path, key: &Path) -> io::Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let seen = stamp(certificate, key);
        let pair = read(&provider, certificate, key)?;
        let current = Mutex::new(Current { pair, seen });
        Ok(Self { certificate: certificate.into(), key: key.into(), provider, current })
    }

    /// A TLS server with this certificate, for HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// If the TLS library refuses its own default protocol versions.
    pub fn server_config(self) -> io::Result<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(self.provider.clone());
        let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(self));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    fn pair(&self) -> Arc<CertifiedKey> {
        let mut current = self.current.lock();
        let now = stamp(&self.certificate, &self.key);
        if now != current.seen {
            match read(&self.provider, &self.certificate, &self.key) {
                Ok(pair) => *current = Current { pair, seen: now },
                // Not `seen`: the next client looks again.
                Err(error) => tracing::warn!(%error, path = %self.certificate.display(), "the old certificate stays"),
            }
        }
        current.pair.clone()
    }
}

impl ResolvesServerCert for Reloading {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.pair())
    }
}

impl fmt::Debug for Reloading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reloading({})", self.certificate.display())
    }
}

/// Modification times and lengths, through links: a mounted Secret is replaced by moving one.
fn stamp(certificate: &Path, key: &Path) -> Stamp {
    [certificate, key].map(|path| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.modified().ok()?, found.len()))
    })
}

fn read(provider: &CryptoProvider, certificate: &Path, key: &Path) -> io::Result<Arc<CertifiedKey>> {
    let invalid = |path: &Path, error: &dyn fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
    };
    let chain = CertificateDer::pem_file_iter(certificate).map_err(|error| invalid(certificate, &error))?;
    let chain: Vec<_> = chain.collect::<Result<_, _>>().map_err(|error| invalid(certificate, &error))?;
    if chain.is_empty() {
        return Err(invalid(certificate, &"no certificate"));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| invalid(key, &error))?;
    CertifiedKey::from_der(chain, secret, provider).map(Arc::new).map_err(|error| invalid(key, &error))
}
