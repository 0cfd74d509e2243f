//! [`Authority`]: the cluster's own keys as what signs certificate requests.

use jiff::Timestamp;
use orch_apiserver::pki::{Pki, Request};
use orch_runtime::certificates::{Asked, CertificateAuthority};
use std::{sync::Arc, time::Duration};

/// Signs with the cluster's own keys.
pub struct Authority(pub Arc<Pki>);

impl CertificateAuthority for Authority {
    fn read(&self, request: &[u8]) -> Result<Asked, String> {
        let Request { common_name, organizations, dns_names, ip_addresses, email_addresses, uris } =
            Pki::read_request(request)?;
        Ok(Asked { common_name, organizations, dns_names, ip_addresses, email_addresses, uris })
    }

    fn sign(&self, request: &[u8], usages: &[String], lifetime: Duration, now: Timestamp) -> Result<Vec<u8>, String> {
        self.0.sign_request(request, usages, lifetime, now).map(String::into_bytes)
    }

    fn expires(&self, certificate: &[u8]) -> Option<Timestamp> {
        Pki::expires(certificate)
    }
}
