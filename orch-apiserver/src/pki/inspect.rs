//! What a certificate says.

use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::net::IpAddr;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

/// Whether the certificate (PEM) has less than a fifth of its life before it, or cannot be read.
pub fn needs_renewal(certificate: &str, now: Timestamp) -> bool {
    read(certificate, |certificate| {
        let validity = certificate.validity();
        let (start, end) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        now.as_second() > end - (end - start) / 5
    })
    .unwrap_or(true)
}

/// Whether the certificate (PEM) is valid for all of these DNS names and IP addresses.
pub fn covers(certificate: &str, names: &[String]) -> bool {
    read(certificate, |certificate| {
        let extension = certificate.subject_alternative_name().ok().flatten();
        let known = extension.map(|e| e.value.general_names.as_slice()).unwrap_or_default();
        names.iter().all(|name| known.iter().any(|known| same_name(known, name)))
    })
    .unwrap_or(false)
}

/// Whether the certificate is for that common name and organization.
pub(super) fn is_for(certificate: &str, common_name: &str, organization: &str) -> bool {
    read(certificate, |certificate| {
        let subject = certificate.subject();
        first(subject.iter_common_name()) == common_name && first(subject.iter_organization()) == organization
    })
    .unwrap_or(false)
}

/// Whether the authority's key signed the certificate.
pub(super) fn is_signed_by(certificate: &str, authority: &str) -> bool {
    read(certificate, |certificate| {
        read(authority, |authority| {
            issued_by(certificate.issuer(), authority.subject())
                && certificate.verify_signature(Some(authority.public_key())).is_ok()
        })
    })
    .flatten()
    .unwrap_or(false)
}

fn issued_by(issuer: &X509Name<'_>, subject: &X509Name<'_>) -> bool {
    issuer.as_raw() == subject.as_raw()
}

fn same_name(known: &GeneralName<'_>, name: &str) -> bool {
    match (known, name.parse::<IpAddr>()) {
        (GeneralName::DNSName(known), Err(_)) => *known == name,
        (GeneralName::IPAddress(bytes), Ok(IpAddr::V4(ip))) => *bytes == ip.octets(),
        (GeneralName::IPAddress(bytes), Ok(IpAddr::V6(ip))) => *bytes == ip.octets(),
        _ => false,
    }
}

fn first<'a>(mut values: impl Iterator<Item = &'a x509_parser::prelude::AttributeTypeAndValue<'a>>) -> &'a str {
    values.next().and_then(|value| value.as_str().ok()).unwrap_or_default()
}

fn read<T>(pem: &str, look: impl FnOnce(&X509Certificate<'_>) -> T) -> Option<T> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    Some(look(&certificate))
}
