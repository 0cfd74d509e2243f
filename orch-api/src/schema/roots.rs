//! The types that a server reads and writes whole, and the JSON Schemas that schemars makes of them.

use k8s_openapi::{
    api::{
        admissionregistration::v1 as admission, apps::v1 as apps, authentication::v1 as authentication,
        authorization::v1 as authorization, autoscaling::v1 as autoscaling, autoscaling::v2 as autoscaling2,
        batch::v1 as batch, certificates::v1 as certificates, coordination::v1 as coordination, core::v1 as core,
        discovery::v1 as discovery, events::v1 as events, flowcontrol::v1 as flowcontrol, networking::v1 as networking,
        node::v1 as node, policy::v1 as policy, rbac::v1 as rbac, resource::v1 as resource,
        scheduling::v1 as scheduling, storage::v1 as storage, storagemigration::v1 as storagemigration,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions,
    apimachinery::pkg::apis::meta::v1 as meta,
    kube_aggregator::pkg::apis::apiregistration::v1 as apiregistration,
};
use schemars::{
    JsonSchema,
    generate::{SchemaGenerator, SchemaSettings},
};
use serde_json::{Map, Value};
use std::{borrow::Cow, collections::HashMap, sync::OnceLock};

/// The JSON Schemas of the type of that name and of all types that it mentions, by definition name.
/// References read `#/components/schemas/NAME`. `None` where no root has that name.
pub fn definitions(name: &str) -> Option<Map<String, Value>> {
    let add = *table().get(name)?;
    let mut generator = generator();
    add(&mut generator);
    Some(generator.take_definitions(false))
}

/// The JSON Schemas of every root and of all types that they mention. Costs some 10 ms.
pub fn all_definitions() -> Map<String, Value> {
    let mut generator = generator();
    table().values().for_each(|add| add(&mut generator));
    generator.take_definitions(false)
}

/// The names of the types that [`definitions`] knows.
pub fn names() -> impl Iterator<Item = &'static str> {
    table().keys().map(|name| &**name)
}

type Add = fn(&mut SchemaGenerator);

fn generator() -> SchemaGenerator {
    SchemaSettings::openapi3().with(|s| s.transforms.clear()).into_generator()
}

fn add<T: JsonSchema>(generator: &mut SchemaGenerator) {
    generator.subschema_for::<T>();
}

fn table() -> &'static HashMap<Cow<'static, str>, Add> {
    static TABLE: OnceLock<HashMap<Cow<'static, str>, Add>> = OnceLock::new();
    TABLE.get_or_init(rows)
}

macro_rules! rows {
    ($($kind:ty,)*) => {
        fn rows() -> HashMap<Cow<'static, str>, Add> {
            HashMap::from([$((<$kind>::schema_name(), add::<$kind> as Add)),*])
        }
    };
}

rows! {
    admission::MutatingAdmissionPolicy, admission::MutatingAdmissionPolicyBinding,
    admission::MutatingWebhookConfiguration, admission::ValidatingAdmissionPolicy,
    admission::ValidatingAdmissionPolicyBinding, admission::ValidatingWebhookConfiguration,
    apiextensions::CustomResourceDefinition, apiregistration::APIService,
    apps::ControllerRevision, apps::DaemonSet, apps::Deployment, apps::ReplicaSet, apps::StatefulSet,
    authentication::SelfSubjectReview, authentication::TokenRequest, authentication::TokenReview,
    authorization::LocalSubjectAccessReview, authorization::SelfSubjectAccessReview,
    authorization::SelfSubjectRulesReview, authorization::SubjectAccessReview,
    autoscaling::HorizontalPodAutoscaler, autoscaling::Scale, autoscaling2::HorizontalPodAutoscaler,
    batch::CronJob, batch::Job,
    certificates::CertificateSigningRequest, certificates::ClusterTrustBundle, certificates::PodCertificateRequest,
    coordination::Lease,
    core::Binding, core::ComponentStatus, core::ConfigMap, core::Endpoints, core::Event, core::LimitRange,
    core::Namespace, core::Node, core::PersistentVolume, core::PersistentVolumeClaim, core::Pod, core::PodTemplate,
    core::ReplicationController, core::ResourceQuota, core::Secret, core::Service, core::ServiceAccount,
    discovery::EndpointSlice, events::Event,
    flowcontrol::FlowSchema, flowcontrol::PriorityLevelConfiguration,
    meta::APIResourceList, meta::DeleteOptions, meta::Status,
    networking::Ingress, networking::IngressClass, networking::IPAddress, networking::NetworkPolicy,
    networking::ServiceCIDR,
    node::RuntimeClass, policy::Eviction, policy::PodDisruptionBudget,
    rbac::ClusterRole, rbac::ClusterRoleBinding, rbac::Role, rbac::RoleBinding,
    resource::DeviceClass, resource::DeviceTaintRule, resource::ResourceClaim, resource::ResourceClaimTemplate,
    resource::ResourceSlice,
    scheduling::PriorityClass,
    storage::CSIDriver, storage::CSINode, storage::CSIStorageCapacity, storage::StorageClass,
    storage::VolumeAttachment, storage::VolumeAttributesClass,
    storagemigration::StorageVersionMigration,
    crate::usage::NodeMetrics, crate::usage::PodMetrics,
}
