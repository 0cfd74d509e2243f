//! Every built-in control loop.
//!
//! Each file is one loop: a [`Controller`](orch_runtime::Controller) whose `plan` is a pure function, with its
//! tests beside it. [`all`] is the list of them; `docs/controllers.md` is made from it. The laws that every
//! controller obeys are checked over the list, see [`orch_runtime::testing::laws`].

pub mod attributes_protection;
pub mod autoscaler;
pub mod bootstrap;
pub mod certificates;
pub mod claim_protection;
pub mod common;
pub mod cron_job;
pub mod daemon_set;
pub mod deployment;
pub mod disruption;
pub mod endpoint_slice;
pub mod endpoint_slice_mirroring;
pub mod endpoints;
pub mod ephemeral_volume;
pub mod garbage_collector;
pub mod job;
pub mod legacy_token_cleaner;
pub mod namespace;
pub mod node_ipam;
pub mod node_lifecycle;
pub mod node_ttl;
pub mod pod_garbage_collector;
pub mod policy_status;
pub mod replica_set;
pub mod resource_quota;
pub mod role_aggregation;
pub mod root_ca;
pub mod scheduler;
pub mod service_account;
pub mod service_account_token;
pub mod service_cidr;
pub mod service_ip;
pub mod stateful_set;
pub mod storage_migration;
pub mod taint_eviction;
pub mod trust_bundle;
pub mod ttl_after_finished;
mod upstream;
pub mod volume_binder;
pub mod volume_expand;
pub mod volume_protection;
pub mod volume_release;

#[cfg(test)]
mod fixtures;

#[cfg(test)]
mod tests;
use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::ReplicationController};
use orch_runtime::{
    ControlLoop, Discovery,
    autoscaling::{MetricsProvider, NoMetrics},
    certificates::{CertificateAuthority, NoAuthority},
    controller::of,
};
use orch_store::Clock;
use std::sync::Arc;
/// What the loops need to know of the cluster.
#[derive(Clone)]
pub struct Config {
    /// Which resources are served: for the loops that look at all of them.
    pub discovery: Arc<dyn Discovery>,
    /// The CA certificates of the API server, in PEM.
    pub root_ca: Arc<str>,
    /// Metrics that no node measures, by which workloads are scaled.
    pub metrics: Arc<dyn MetricsProvider>,
    /// Who signs certificates.
    pub authority: Arc<dyn CertificateAuthority>,
    /// The network of which nodes get parts for their pods, if there is one.
    pub node_network: Option<node_ipam::NodeNetwork>,
    /// Whether bootstrap tokens sign `cluster-info` and are deleted when they end.
    pub bootstrap_tokens: bool,
    /// By which certificates begin and end.
    pub clock: Clock,
    /// When the loops begin: before that nobody listened to the nodes.
    pub since: jiff::Timestamp,
}

impl Config {
    /// A cluster with nothing but what every cluster has.
    pub fn new(discovery: Arc<dyn Discovery>, root_ca: Arc<str>, clock: Clock) -> Self {
        Self {
            discovery,
            root_ca,
            metrics: Arc::new(NoMetrics),
            authority: Arc::new(NoAuthority),
            node_network: None,
            bootstrap_tokens: false,
            since: clock.now(),
            clock,
        }
    }
}

/// Every built-in loop.
pub fn all(config: &Config) -> Vec<Arc<dyn ControlLoop>> {
    let mut loops = vec![
        of(deployment::DeploymentController),
        of(replica_set::ReplicaSetController::<ReplicaSet>::default()),
        of(replica_set::ReplicaSetController::<ReplicationController>::default()),
        of(stateful_set::StatefulSetController),
        of(daemon_set::DaemonSetController::default()),
        of(job::JobController::default()),
        of(cron_job::CronJobController::default()),
        of(ttl_after_finished::TtlAfterFinished),
        of(pod_garbage_collector::PodGarbageCollector::default()),
        of(endpoint_slice::EndpointSliceController::default()),
        of(namespace::NamespaceController::new(config.discovery.clone())),
        of(node_lifecycle::NodeLifecycle::new(config.since)),
        of(taint_eviction::TaintEviction::default()),
        of(disruption::DisruptionController { discovery: config.discovery.clone() }),
        of(disruption::stale::StalePodDisruption),
        of(autoscaler::Autoscaler::new(config.discovery.clone(), config.metrics.clone())),
        of(resource_quota::ResourceQuotaController { discovery: config.discovery.clone() }),
        of(endpoints::EndpointsController::default()),
        of(endpoint_slice_mirroring::EndpointSliceMirroring),
        of(role_aggregation::RoleAggregation),
        of(node_ttl::NodeTtl),
        of(node_ipam::NodeIpam::new(config.node_network)),
        of(service_cidr::ServiceCidrController),
        of(service_ip::ServiceIps),
        of(service_account_token::ServiceAccountTokenController { ca: config.root_ca.clone() }),
        of(legacy_token_cleaner::LegacyTokenCleaner),
        of(certificates::Signer { authority: config.authority.clone(), clock: config.clock.clone() }),
        of(certificates::Approver { authority: config.authority.clone() }),
        of(certificates::Cleaner { authority: config.authority.clone() }),
        of(certificates::PodCleaner),
        of(trust_bundle::TrustBundlePublisher { ca: config.root_ca.clone() }),
        of(service_account::ServiceAccountController),
        of(root_ca::RootCaPublisher { ca: config.root_ca.clone() }),
        of(policy_status::PolicyStatus),
        of(storage_migration::StorageMigration::new(config.discovery.clone())),
        of(volume_binder::VolumeBinder),
        of(volume_release::VolumeRelease),
        of(volume_protection::VolumeProtection),
        of(claim_protection::ClaimProtection),
        of(attributes_protection::AttributesProtection),
        of(volume_expand::VolumeExpander),
        of(ephemeral_volume::EphemeralVolumes),
        Arc::new(garbage_collector::GarbageCollector { discovery: config.discovery.clone() }),
    ];
    if config.bootstrap_tokens {
        loops.push(of(bootstrap::BootstrapSigner));
        loops.push(of(bootstrap::TokenCleaner));
    }
    loops
}
/// The list as a table for people: `docs/controllers.md`.
pub fn table(loops: &[Arc<dyn ControlLoop>]) -> String {
    let mut out = String::from(
        "# Controllers\n\nMade from `orch_controllers::all()`; a test keeps it current (`UPDATE_EXPECT=1` writes it).\n\n\
         | name | what it does | of | owns | looks at | deletes |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for each in loops {
        let d = each.describe();
        let list = |kinds: &[String]| kinds.join(", ");
        let (owns, watches) = (list(&d.owns), list(&d.watches));
        out += &format!("| `{}` | {} | {} | {owns} | {watches} | {} |\n", d.name, d.about, d.root, d.deletes);
    }
    out + &upstream::missing(loops)
}
