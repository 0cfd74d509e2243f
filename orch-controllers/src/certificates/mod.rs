//! The loops of `certificates.k8s.io`: approving what kubelets ask for, signing what is approved, and taking away
//! what is old (`pkg/controller/certificates`).

mod approver;
mod cleaner;
mod pod_cleaner;
mod signer;
#[cfg(test)]
mod tests;
mod verify;

pub use approver::Approver;
pub use cleaner::Cleaner;
pub use pod_cleaner::PodCleaner;
pub use signer::Signer;

use k8s_openapi::api::certificates::v1::CertificateSigningRequest as Request;

/// The signer of clients of the API server.
const API_CLIENT: &str = "kubernetes.io/kube-apiserver-client";
/// The signer of kubelets as clients of the API server.
const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// The signer of kubelets as servers.
const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
/// The signer of what nobody vouches for.
const LEGACY: &str = "kubernetes.io/legacy-unknown";

fn has(request: &Request, kind: &str) -> bool {
    let conditions = request.status.iter().flat_map(|s| s.conditions.iter().flatten());
    conditions.into_iter().any(|c| c.type_ == kind)
}

fn is_issued(request: &Request) -> bool {
    request.status.as_ref().and_then(|s| s.certificate.as_ref()).is_some_and(|c| !c.0.is_empty())
}
