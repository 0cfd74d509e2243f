//! The certificate authority: makes itself, then signs servers and clients.

use super::{Credential, PkiError, Secret, inspect};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

const CA_DAYS: i64 = 3650;
const LEAF_DAYS: i64 = 365;

/// Who a certificate is for.
#[derive(Clone, Debug)]
pub struct Subject {
    common_name: String,
    organization: String,
    names: Vec<String>,
    serves: bool,
}

impl Subject {
    /// A client: its user name and its group, which may be empty.
    pub fn client(user: &str, group: &str) -> Self {
        Self { common_name: user.to_owned(), organization: group.to_owned(), names: Vec::new(), serves: false }
    }

    /// A server that is reached by these DNS names and IP addresses.
    pub fn serving(common_name: &str, names: Vec<String>) -> Self {
        Self { common_name: common_name.to_owned(), organization: String::new(), names, serves: true }
    }

    /// A kubelet, which is a client of the API server and serves logs and exec by the given names.
    pub fn node(node: &str, names: Vec<String>) -> Self {
        Self {
            common_name: format!("system:node:{node}"),
            organization: "system:nodes".to_owned(),
            names,
            serves: true,
        }
    }

    /// Whether the certificate is for this subject.
    pub(super) fn describes(&self, certificate: &str) -> bool {
        inspect::is_for(certificate, &self.common_name, &self.organization) && inspect::covers(certificate, &self.names)
    }
}

/// The authority with its key.
pub(super) struct Authority {
    pub(super) credential: Credential,
    pub(super) issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority.
    pub(super) fn make(now: Timestamp) -> Result<Credential, PkiError> {
        let key = KeyPair::generate()?;
        let mut params = params("kubernetes", "", Vec::new(), now, CA_DAYS)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?.pem();
        Ok(Credential { certificate, key: Secret::new(key.serialize_pem()) })
    }

    /// The authority of that certificate and key.
    pub(super) fn new(credential: Credential) -> Result<Self, PkiError> {
        let malformed = |why: rcgen::Error| PkiError::Malformed { what: "ca".into(), why: why.to_string() };
        let key = KeyPair::from_pem(credential.key.reveal()).map_err(malformed)?;
        let issuer = Issuer::from_ca_cert_pem(&credential.certificate, key).map_err(malformed)?;
        Ok(Self { credential, issuer })
    }

    /// A certificate for the subject, with a new key.
    pub(super) fn issue(&self, subject: &Subject, now: Timestamp) -> Result<Credential, PkiError> {
        let key = KeyPair::generate()?;
        let Subject { common_name, organization, names, serves } = subject;
        let mut params = params(common_name, organization, names.clone(), now, LEAF_DAYS)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if *serves {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Credential { certificate, key: Secret::new(key.serialize_pem()) })
    }

    /// Whether this authority signed the certificate.
    pub(super) fn signed(&self, certificate: &str) -> bool {
        inspect::is_signed_by(certificate, &self.credential.certificate)
    }
}

fn params(
    common_name: &str,
    organization: &str,
    names: Vec<String>,
    now: Timestamp,
    days: i64,
) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::new(names)?;
    let mut name = DistinguishedName::new();
    if !organization.is_empty() {
        name.push(DnType::OrganizationName, organization);
    }
    name.push(DnType::CommonName, common_name);
    params.distinguished_name = name;
    // A day of grace for clocks that differ.
    let ((year, month, first), (end_year, end_month, last)) = (day(now, -1), day(now, days));
    params.not_before = rcgen::date_time_ymd(year, month, first);
    params.not_after = rcgen::date_time_ymd(end_year, end_month, last);
    Ok(params)
}

/// Year, month and day, so many days from now.
fn day(now: Timestamp, days: i64) -> (i32, u8, u8) {
    let date = now.to_zoned(TimeZone::UTC).date().saturating_add(days.days());
    (i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
}
