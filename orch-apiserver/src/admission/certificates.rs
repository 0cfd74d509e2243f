//! Who may approve, sign and vouch for whom (`plugin/pkg/admission/certificates`, `pkg/certauthorization`).

use super::{Operation, Plugin, Review, View};
use crate::{authz::Attributes, core::json};
use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use orch_api::StatusError;
use serde_json::Value;
use x509_parser::{
    certification_request::X509CertificationRequest,
    prelude::{AttributeTypeAndValue, FromDer},
};

const GROUP: &str = "certificates.k8s.io";
const REQUESTS: &str = "certificatesigningrequests";
const API_CLIENT: &str = "kubernetes.io/kube-apiserver-client";

/// The plugin `CertificateApproval`.
pub struct CertificateApproval;

#[async_trait]
impl Plugin for CertificateApproval {
    fn name(&self) -> &'static str {
        "CertificateApproval"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        review.is_of(GROUP, REQUESTS) && review.subresource() == "approval" && review.operation == Operation::Update
    }

    async fn validate(&self, view: &View<'_>, review: &Review<'_>, object: &Value) -> Result<(), StatusError> {
        let signer = signer(review.old.unwrap_or(&Value::Null));
        match may(view, review, "approve", signer) {
            true => Ok(()),
            false => {
                let why = format!("user not permitted to approve requests with signerName {signer:?}");
                Err(review.forbidden(object, why))
            }
        }
    }
}

/// The plugin `CertificateSigning`.
pub struct CertificateSigning;

#[async_trait]
impl Plugin for CertificateSigning {
    fn name(&self) -> &'static str {
        "CertificateSigning"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        review.is_of(GROUP, REQUESTS) && review.subresource() == "status" && review.operation == Operation::Update
    }

    async fn validate(&self, view: &View<'_>, review: &Review<'_>, object: &Value) -> Result<(), StatusError> {
        let old = review.old.unwrap_or(&Value::Null);
        let same = |field: &str| json::at(old, &["status", field]) == json::at(object, &["status", field]);
        if same("certificate") && same("conditions") {
            return Ok(());
        }
        let signer = signer(old);
        match may(view, review, "sign", signer) {
            true => Ok(()),
            false => {
                let why = format!("user not permitted to sign requests with signerName {signer:?}");
                Err(review.forbidden(object, why))
            }
        }
    }
}

/// The plugin `CertificateSubjectRestriction`.
pub struct CertificateSubjectRestriction;

#[async_trait]
impl Plugin for CertificateSubjectRestriction {
    fn name(&self) -> &'static str {
        "CertificateSubjectRestriction"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        review.is(GROUP, REQUESTS) && review.operation == Operation::Create
    }

    async fn validate(&self, _: &View<'_>, review: &Review<'_>, object: &Value) -> Result<(), StatusError> {
        if signer(object) != API_CLIENT {
            return Ok(());
        }
        let subject = subject_of(json::text(object, &["spec", "request"]))
            .map_err(|why| review.forbidden(object, format!("failed to parse CSR: {why}")))?;
        if subject.organizations.iter().any(|group| group == "system:masters") {
            let why = format!("use of {API_CLIENT} signer with system:masters group is not allowed");
            return Err(review.forbidden(object, why));
        }
        Ok(())
    }
}

/// The plugin `ClusterTrustBundleAttest`.
pub struct ClusterTrustBundleAttest;

#[async_trait]
impl Plugin for ClusterTrustBundleAttest {
    fn name(&self) -> &'static str {
        "ClusterTrustBundleAttest"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        review.is_of(GROUP, "clustertrustbundles") && matches!(review.operation, Operation::Create | Operation::Update)
    }

    async fn validate(&self, view: &View<'_>, review: &Review<'_>, object: &Value) -> Result<(), StatusError> {
        let signer = signer(object);
        if signer.is_empty() || review.old.is_some_and(|old| differs_in_garbage_alone(object, old)) {
            return Ok(());
        }
        match may(view, review, "attest", signer) {
            true => Ok(()),
            false => Err(review.forbidden(object, format!("user not permitted to attest for signerName {signer:?}"))),
        }
    }
}

fn signer(object: &Value) -> &str {
    json::text(object, &["spec", "signerName"])
}

/// Whether the user may do this with the signer, or with all signers of its domain.
fn may(view: &View<'_>, review: &Review<'_>, verb: &str, signer: &str) -> bool {
    let domain = format!("{}/*", signer.split('/').next().unwrap_or_default());
    [signer, &domain].into_iter().any(|name| {
        let mut asked = Attributes::resource(review.user(), verb, GROUP, "signers").named(name);
        asked.version = "*";
        view.authorize(&asked).is_allowed()
    })
}

/// Whether only what the garbage collector and storage migration touch has changed (`IsOnlyMutatingGCFields`).
fn differs_in_garbage_alone(new: &Value, old: &Value) -> bool {
    let stripped = |object: &Value| {
        let mut object = object.clone();
        for field in ["ownerReferences", "finalizers", "managedFields", "resourceVersion"] {
            json::remove(&mut object, &["metadata", field]);
        }
        object
    };
    stripped(new) == stripped(old)
}

/// Whom a certificate request is for.
pub(super) struct Subject {
    pub(super) common_name: String,
    pub(super) organizations: Vec<String>,
}

/// The subject of a certificate request, as it stands in the object: PEM in base64.
pub(super) fn subject_of(request: &str) -> Result<Subject, String> {
    let pem = STANDARD.decode(request).map_err(|why| why.to_string())?;
    let (_, block) = match x509_parser::pem::parse_x509_pem(&pem) {
        Ok(found) if found.1.label == "CERTIFICATE REQUEST" => found,
        _ => return Err("PEM block type must be CERTIFICATE REQUEST".into()),
    };
    let (_, request) = X509CertificationRequest::from_der(&block.contents).map_err(|why| why.to_string())?;
    let subject = &request.certification_request_info.subject;
    let text = |attribute: &AttributeTypeAndValue<'_>| attribute.as_str().map(str::to_owned).ok();
    Ok(Subject {
        common_name: subject.iter_common_name().filter_map(text).last().unwrap_or_default(),
        organizations: subject.iter_organization().filter_map(text).collect(),
    })
}
