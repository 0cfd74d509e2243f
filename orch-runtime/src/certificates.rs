//! [`CertificateAuthority`]: the plug point that signs what `certificates.k8s.io` asks for. Whoever holds the key
//! implements it: the cluster's own authority, a security module, a test.

use jiff::Timestamp;
use std::time::Duration;

/// Reads certificate requests and signs them.
///
/// # Laws
///
/// - Requests and certificates are PEM. What is signed names who the request names, with the request's key.
/// - Nothing is signed whose own signature is wrong, and no certificate outlives the authority.
/// - Whether somebody may have a certificate is decided elsewhere.
pub trait CertificateAuthority: Send + Sync + 'static {
    /// What a request asks for, or why it cannot be read.
    fn read(&self, request: &[u8]) -> Result<Asked, String>;

    /// A certificate for a request: for these usages (`client auth`, `digital signature`, …) and so long from `now`.
    fn sign(&self, request: &[u8], usages: &[String], lifetime: Duration, now: Timestamp) -> Result<Vec<u8>, String>;

    /// When the first certificate of a chain ends; `None` if it cannot be read.
    fn expires(&self, certificate: &[u8]) -> Option<Timestamp>;
}

/// What a certificate request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The common name of the subject: the user.
    pub common_name: String,
    /// The organizations of the subject: the groups.
    pub organizations: Vec<String>,
    /// Alternative names that are DNS names.
    pub dns_names: Vec<String>,
    /// Alternative names that are IP addresses.
    pub ip_addresses: Vec<String>,
    /// Alternative names that are mail addresses.
    pub email_addresses: Vec<String>,
    /// Alternative names that are URIs.
    pub uris: Vec<String>,
}

/// An authority without a key: it reads nothing and signs nothing. Requests stay as they are.
pub struct NoAuthority;

impl CertificateAuthority for NoAuthority {
    fn read(&self, _: &[u8]) -> Result<Asked, String> {
        Err(WITHOUT.into())
    }

    fn sign(&self, _: &[u8], _: &[String], _: Duration, _: Timestamp) -> Result<Vec<u8>, String> {
        Err(WITHOUT.into())
    }

    fn expires(&self, _: &[u8]) -> Option<Timestamp> {
        None
    }
}

const WITHOUT: &str = "this cluster has no certificate authority";
