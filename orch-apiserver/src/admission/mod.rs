//! Admission: plugins that change or refuse a write after it was authorized and decoded.
//!
//! ```text
//! Chain::mutate:   every plugin in order, and once more when a webhook or a policy asked for it (round)
//! Chain::validate: the same plugins, once the object is complete and valid
//! ```
//!
//! A built-in plugin is a file of this folder and a line in [`Chain::default_plugins`]. Webhooks are in `hooks`, admission
//! policies in `policies`; which writes they are asked about is in `matching`, their expressions are in `expression`.

mod certificates;
mod chain;
mod claim_resize;
mod default_class;
mod default_toleration_seconds;
pub(crate) mod derived;
mod expression;
pub(crate) mod hooks;
mod limit_ranger;
mod matching;
mod namespace_lifecycle;
mod node_restriction;
mod owner_references;
mod plugin;
mod pod_resize;
mod pod_security;
mod pod_topology;
pub(crate) mod policies;
mod priority;
mod quota;
mod review;
mod round;
mod runtime_class;
mod service_account;
mod shown;
mod storage_in_use;
mod taint_nodes;

pub use certificates::{
    CertificateApproval, CertificateSigning, CertificateSubjectRestriction, ClusterTrustBundleAttest,
};
pub use chain::Chain;
pub use claim_resize::PersistentVolumeClaimResize;
pub use default_class::{DefaultIngressClass, DefaultStorageClass};
pub use default_toleration_seconds::DefaultTolerationSeconds;
pub use hooks::{MutatingAdmissionWebhook, ValidatingAdmissionWebhook};
pub use limit_ranger::LimitRanger;
pub use namespace_lifecycle::NamespaceLifecycle;
pub use node_restriction::NodeRestriction;
pub use owner_references::OwnerReferencesPermissionEnforcement;
pub use plugin::{Plugin, View};
pub use pod_resize::PodResizeValidator;
pub use pod_security::PodSecurity;
pub use pod_topology::PodTopologyLabels;
pub use policies::{MutatingAdmissionPolicy, ValidatingAdmissionPolicy};
pub use priority::Priority;
pub use quota::ResourceQuota;
pub use review::{Operation, Options, Review};
pub use runtime_class::RuntimeClass;
pub(crate) use service_account::EXPIRATION_SECONDS;
pub use service_account::ServiceAccount;
pub use storage_in_use::StorageObjectInUseProtection;
pub use taint_nodes::TaintNodesByCondition;

use orch_api::Gvr;

pub(crate) const NAMESPACES: Gvr = Gvr::of("", "v1", "namespaces");
pub(crate) const SERVICE_ACCOUNTS: Gvr = Gvr::of("", "v1", "serviceaccounts");
pub(crate) const LIMIT_RANGES: Gvr = Gvr::of("", "v1", "limitranges");
pub(crate) const PRIORITY_CLASSES: Gvr = Gvr::of("scheduling.k8s.io", "v1", "priorityclasses");
pub(crate) const RESOURCE_QUOTAS: Gvr = Gvr::of("", "v1", "resourcequotas");
pub(crate) const PODS: Gvr = Gvr::of("", "v1", "pods");
pub(crate) const NODES: Gvr = Gvr::of("", "v1", "nodes");
pub(crate) const STORAGE_CLASSES: Gvr = Gvr::of("storage.k8s.io", "v1", "storageclasses");
pub(crate) const INGRESS_CLASSES: Gvr = Gvr::of("networking.k8s.io", "v1", "ingressclasses");
pub(crate) const RUNTIME_CLASSES: Gvr = Gvr::of("node.k8s.io", "v1", "runtimeclasses");
