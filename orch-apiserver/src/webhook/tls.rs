//! TLS towards webhooks, and failures in the words of Go's `crypto/tls` and `net`, which people search for.

use super::{target::Target, verifier::Verifier};
use rustls::{
    CertificateError, ClientConfig, Error as TlsError, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{io, sync::Arc};

/// Where systems keep the authorities that they trust, as `crypto/x509` looks for them.
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// How a target's certificate is checked and what may be spoken.
pub(super) fn client_config(target: &Target) -> Result<Arc<ClientConfig>, String> {
    let (roots, bundle) = roots(&target.ca_bundle)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new(roots, bundle, provider.clone())?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| why.to_string())?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
    config.alpn_protocols = match target.may_multiplex() {
        true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        false => vec![b"http/1.1".to_vec()],
    };
    Ok(Arc::new(config))
}

/// The authorities that are trusted, and the bundle that names them, where there is one.
fn roots(bundle: &[u8]) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), String> {
    let mut roots = RootCertStore::empty();
    if bundle.is_empty() {
        let system = SYSTEM_BUNDLES.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&system).filter_map(Result::ok));
        return Ok((roots, Vec::new()));
    }
    let malformed = || "unable to load root certificates: unable to parse bytes as PEM block".to_owned();
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bundle).collect();
    let certificates = certificates.map_err(|_| malformed())?;
    for certificate in &certificates {
        let added = roots.add(certificate.clone());
        added.map_err(|why| format!("unable to load root certificates: {why}"))?;
    }
    if certificates.is_empty() { Err(malformed()) } else { Ok((roots, certificates)) }
}

/// Why no TLS connection came about.
pub(super) fn handshake_error(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
        Some(TlsError::InvalidCertificate(why)) => {
            format!("tls: failed to verify certificate: x509: {}", certificate_error(why))
        }
        Some(TlsError::InvalidMessage(_)) => "tls: first record does not look like a TLS handshake".into(),
        Some(TlsError::AlertReceived(alert)) => format!("remote error: tls: {alert:?}"),
        Some(other) => format!("tls: {other}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "EOF".into(),
        None => error.to_string(),
    }
}

fn certificate_error(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "certificate signed by unknown authority".into()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let expected = expected.to_str();
            let names: Vec<String> = presented.iter().map(|name| shown(name)).collect();
            match names.is_empty() {
                true => "certificate relies on legacy Common Name field, use SANs instead".into(),
                false => format!("certificate is valid for {}, not {expected}", names.join(", ")),
            }
        }
        CertificateError::NotValidForName => "certificate is not valid for the name of the server".into(),
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => "certificate has expired or is not yet valid".into(),
        other => other.to_string(),
    }
}

/// `DnsName("example.com")` and `IpAddress(127.0.0.1)` as the bare names that they hold.
fn shown(presented: &str) -> String {
    let inner = presented.split_once('(').map_or(presented, |(_, rest)| rest.trim_end_matches(')'));
    inner.trim_matches('"').to_owned()
}

/// Why no connection to an address came about.
pub(super) fn dial_error(address: &str, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused".into(),
        io::ErrorKind::ConnectionReset => "connect: connection reset by peer".into(),
        io::ErrorKind::TimedOut => "i/o timeout".into(),
        io::ErrorKind::HostUnreachable => "connect: no route to host".into(),
        io::ErrorKind::NetworkUnreachable => "connect: network is unreachable".into(),
        _ => error.to_string(),
    };
    format!("dial tcp {address}: {why}")
}
