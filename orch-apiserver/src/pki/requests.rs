//! Certificate requests of others, which the cluster's authority signs (`pkg/controller/certificates/authority`).

use super::Pki;
use jiff::Timestamp;
use rcgen::{
    CertificateSigningRequestParams, ExtendedKeyUsagePurpose as Extended, IsCa, KeyUsagePurpose as Basic, SanType,
};
use std::time::Duration;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Certificates begin a little before they are made, for clocks that run behind, unless they are short-lived.
const BACKDATE: Duration = Duration::from_secs(300);
const SHORT: Duration = Duration::from_secs(8 * 3600);

/// A certificate request, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The common name of its subject.
    pub common_name: String,
    /// The organizations of its subject.
    pub organizations: Vec<String>,
    /// Its DNS names.
    pub dns_names: Vec<String>,
    /// Its IP addresses.
    pub ip_addresses: Vec<String>,
    /// Its mail addresses.
    pub email_addresses: Vec<String>,
    /// Its URIs.
    pub uris: Vec<String>,
}

impl Pki {
    /// Reads a certificate request in PEM and checks its signature.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn read_request(request: &[u8]) -> Result<Request, String> {
        let parsed = parse(request)?;
        let der = pem(request)?;
        let (_, subject) = x509_parser::certification_request::X509CertificationRequest::from_der(&der)
            .map_err(|error| error.to_string())?;
        let subject = &subject.certification_request_info.subject;
        let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| value.as_str().unwrap_or_default().to_owned();
        let mut read = Request {
            common_name: subject.iter_common_name().next().map(text).unwrap_or_default(),
            organizations: subject.iter_organization().map(text).collect(),
            ..Request::default()
        };
        for name in &parsed.params.subject_alt_names {
            match name {
                SanType::DnsName(name) => read.dns_names.push(name.to_string()),
                SanType::IpAddress(ip) => read.ip_addresses.push(ip.to_string()),
                SanType::Rfc822Name(mail) => read.email_addresses.push(mail.to_string()),
                SanType::URI(uri) => read.uris.push(uri.to_string()),
                _ => {}
            }
        }
        Ok(read)
    }

    /// Signs a certificate request in PEM, for usages as `certificates.k8s.io` names them. It ends no later than the
    /// authority does.
    ///
    /// # Errors
    ///
    /// What is wrong with the request, a usage that is none, or an authority that has expired.
    pub fn sign_request(
        &self,
        request: &[u8],
        usages: &[String],
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<String, String> {
        let mut parsed = parse(request)?;
        let (basic, extended) = split(usages)?;
        let end = Self::expires(self.ca_certificate().as_bytes()).ok_or("the authority cannot be read")?;
        if now >= end {
            return Err(format!("refusing to sign a certificate that expired in the past: NotAfter {end}"));
        }
        let back = if lifetime < SHORT { Duration::ZERO } else { BACKDATE };
        let begin = now.as_second() - i64::try_from(back.as_secs()).unwrap_or(0);
        let wanted = now.as_second().saturating_add(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX));
        let moment =
            |seconds: i64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let params = &mut parsed.params;
        params.not_before = moment(begin);
        params.not_after = moment(wanted.min(end.as_second()));
        (params.key_usages, params.extended_key_usages) = (basic, extended);
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        let certificate = parsed.signed_by(&self.authority.issuer);
        Ok(certificate.map_err(|error| format!("failed to sign certificate: {error}"))?.pem())
    }

    /// When the first certificate of a chain in PEM ends.
    pub fn expires(certificate: &[u8]) -> Option<Timestamp> {
        let der = pem(certificate).ok()?;
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
    }
}

fn pem(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(bytes).map_err(|error| error.to_string())?;
    Ok(pem.contents)
}

fn parse(request: &[u8]) -> Result<CertificateSigningRequestParams, String> {
    let text = std::str::from_utf8(request).map_err(|error| error.to_string())?;
    CertificateSigningRequestParams::from_pem(text)
        .map_err(|error| format!("unable to parse certificate request: {error}"))
}

/// The usages of a key and of a certificate (`keyUsagesFromStrings`).
fn split(usages: &[String]) -> Result<(Vec<Basic>, Vec<Extended>), String> {
    let (mut basic, mut extended, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for usage in usages {
        match usage.as_str() {
            "signing" | "digital signature" => basic.push(Basic::DigitalSignature),
            "content commitment" => basic.push(Basic::ContentCommitment),
            "key encipherment" => basic.push(Basic::KeyEncipherment),
            "key agreement" => basic.push(Basic::KeyAgreement),
            "data encipherment" => basic.push(Basic::DataEncipherment),
            "cert sign" => basic.push(Basic::KeyCertSign),
            "crl sign" => basic.push(Basic::CrlSign),
            "encipher only" => basic.push(Basic::EncipherOnly),
            "decipher only" => basic.push(Basic::DecipherOnly),
            "any" => extended.push(Extended::Any),
            "server auth" => extended.push(Extended::ServerAuth),
            "client auth" => extended.push(Extended::ClientAuth),
            "code signing" => extended.push(Extended::CodeSigning),
            "email protection" | "s/mime" => extended.push(Extended::EmailProtection),
            "timestamping" => extended.push(Extended::TimeStamping),
            "ocsp signing" => extended.push(Extended::OcspSigning),
            other => unknown.push(other),
        }
    }
    basic.dedup();
    match unknown.is_empty() {
        true => Ok((basic, extended)),
        false => Err(format!("unrecognized usage values: {unknown:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    fn request() -> String {
        let mut params = CertificateParams::new(vec!["web.example.com".to_owned(), "10.0.0.1".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "system:nodes");
        params.distinguished_name.push(DnType::CommonName, "system:node:n1");
        params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
    }

    fn now() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    #[test]
    fn a_request_says_for_whom_it_is() {
        let read = Pki::read_request(request().as_bytes()).unwrap();
        assert_eq!(read.common_name, "system:node:n1");
        assert_eq!(read.organizations, ["system:nodes"]);
        assert_eq!((read.dns_names, read.ip_addresses), (vec!["web.example.com".into()], vec!["10.0.0.1".into()]));
        assert!(Pki::read_request(b"nothing").is_err());
    }

    #[test]
    fn what_is_signed_lasts_as_long_as_was_asked_for_and_no_longer_than_the_authority() {
        let pki = Pki::in_memory(now()).unwrap();
        let usages = ["client auth".to_owned(), "digital signature".to_owned()];
        let hour = Duration::from_secs(3600);
        let signed = pki.sign_request(request().as_bytes(), &usages, hour, now()).unwrap();
        assert_eq!(Pki::expires(signed.as_bytes()), Some(now() + jiff::SignedDuration::from_hours(1)));
        let forever = pki.sign_request(request().as_bytes(), &usages, hour * 24 * 36500, now()).unwrap();
        assert_eq!(Pki::expires(forever.as_bytes()), Pki::expires(pki.ca_certificate().as_bytes()));
        let odd = pki.sign_request(request().as_bytes(), &["flying".to_owned()], hour, now());
        assert_eq!(odd.unwrap_err(), "unrecognized usage values: [\"flying\"]");
    }
}
