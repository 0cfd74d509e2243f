//! The TLS configuration of the API server.

use super::{Credential, PkiError};
use rustls::{
    RootCertStore, ServerConfig,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::sync::Arc;

/// TLS 1.2 and 1.3 with HTTP/2 and HTTP/1.1. With `client_ca` (PEM, one or more certificates) clients may
/// show a certificate, which must then be signed by it; those without one are let in unauthenticated.
///
/// # Errors
///
/// When a certificate or key cannot be read, or they do not belong together.
pub fn server_config(serving: &Credential, client_ca: Option<&str>) -> Result<ServerConfig, PkiError> {
    let malformed =
        |what: &str, why: &dyn std::fmt::Display| PkiError::Malformed { what: what.into(), why: why.to_string() };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(serving.certificate.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|why| malformed("the serving certificate", &why))?;
    let key = PrivateKeyDer::from_pem_slice(serving.key.reveal().as_bytes())
        .map_err(|why| malformed("the serving key", &why))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = |why: rustls::Error| PkiError::Tls(why.to_string());
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().map_err(tls)?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => builder.with_client_cert_verifier(verifier(ca, provider)?),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(tls)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn verifier(ca: &str, provider: Arc<rustls::crypto::CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, PkiError> {
    let malformed =
        |why: &dyn std::fmt::Display| PkiError::Malformed { what: "the client CA".into(), why: why.to_string() };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        roots.add(certificate.map_err(|why| malformed(&why))?).map_err(|why| malformed(&why))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated()
        .build()
        .map_err(|why| malformed(&why))
}
