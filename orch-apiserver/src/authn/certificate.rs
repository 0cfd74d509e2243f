//! Client certificates: the common name is the user, the organizations are the groups
//! (`apiserver/pkg/authentication/request/x509`).

use super::{Authenticator, Credentials, User};
use async_trait::async_trait;
use ring::digest::{SHA256, digest};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::{fmt::Write, sync::Arc};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Knows the users of verified client certificates.
pub struct ClientCertificates;

#[async_trait]
impl Authenticator for ClientCertificates {
    async fn authenticate(&self, credentials: &Credentials<'_>) -> Result<Option<Arc<User>>, String> {
        Ok(credentials.certificate.cloned())
    }
}

/// The user of a certificate (DER) that TLS has verified already. `None` when it names nobody.
pub fn user_of_certificate(der: &[u8]) -> Option<User> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok().filter(|name| !name.is_empty())?;
    let groups = subject.iter_organization().filter_map(|organization| organization.as_str().ok());
    let mut user = User::authenticated(name, groups);
    let mut id = String::from("X509SHA256=");
    for byte in digest(&SHA256, der).as_ref() {
        let _ = write!(id, "{byte:02x}");
    }
    user.extra.insert("authentication.kubernetes.io/credential-id".into(), vec![id]);
    Some(user)
}

/// The same from PEM text.
pub fn user_of_certificate_pem(pem: &str) -> Option<User> {
    user_of_certificate(&CertificateDer::from_pem_slice(pem.as_bytes()).ok()?)
}
