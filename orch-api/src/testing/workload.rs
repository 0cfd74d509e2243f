//! Controllers of pods: ReplicaSets and Deployments.

use super::{container, selector, text_map};
use k8s_openapi::{
    api::{
        apps::v1::{
            Deployment, DeploymentStatus, DeploymentStrategy, ReplicaSet, ReplicaSetStatus, RollingUpdateDeployment,
        },
        core::v1::PodTemplateSpec,
    },
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};

/// Adjectives of what makes pods of a template.
pub trait WorkloadFixture: Sized {
    /// Wants so many pods.
    #[must_use]
    fn replicas(self, replicas: i32) -> Self;
    /// Selects pods by these labels, and puts them on its template.
    #[must_use]
    fn selecting<const N: usize>(self, labels: [(&str, &str); N]) -> Self;
    /// Whose template has a container.
    #[must_use]
    fn template_container(self, name: &str, image: &str) -> Self;
    /// That has seen its own generation, and so many pods that are all ready and available.
    #[must_use]
    fn settled(self, replicas: i32) -> Self;
}

impl WorkloadFixture for ReplicaSet {
    fn replicas(mut self, replicas: i32) -> Self {
        self.spec.replicas = Some(replicas);
        self
    }

    fn selecting<const N: usize>(mut self, labels: [(&str, &str); N]) -> Self {
        let spec = &mut self.spec;
        spec.selector = selector(labels);
        label(spec.template.get_or_insert_default(), labels);
        self
    }

    fn template_container(mut self, name: &str, image: &str) -> Self {
        let template = self.spec.template.get_or_insert_default();
        container(template.spec.get_or_insert_default(), name, image);
        self
    }

    fn settled(mut self, replicas: i32) -> Self {
        self.status = Some(ReplicaSetStatus {
            replicas,
            ready_replicas: Some(replicas),
            available_replicas: Some(replicas),
            fully_labeled_replicas: Some(replicas),
            observed_generation: self.metadata.generation,
            ..ReplicaSetStatus::default()
        });
        self
    }
}

impl WorkloadFixture for Deployment {
    fn replicas(mut self, replicas: i32) -> Self {
        self.spec.replicas = Some(replicas);
        self
    }

    fn selecting<const N: usize>(mut self, labels: [(&str, &str); N]) -> Self {
        let spec = &mut self.spec;
        spec.selector = selector(labels);
        label(&mut spec.template, labels);
        self
    }

    fn template_container(mut self, name: &str, image: &str) -> Self {
        container(self.spec.template.spec.get_or_insert_default(), name, image);
        self
    }

    fn settled(mut self, replicas: i32) -> Self {
        self.status = Some(DeploymentStatus {
            replicas: Some(replicas),
            ready_replicas: Some(replicas),
            updated_replicas: Some(replicas),
            available_replicas: Some(replicas),
            observed_generation: self.metadata.generation,
            ..DeploymentStatus::default()
        });
        self
    }
}

/// A rolling update with these bounds, as numbers or percentages.
pub fn rolling_update(max_surge: &str, max_unavailable: &str) -> DeploymentStrategy {
    let bound = |text: &str| match text.parse() {
        Ok(number) => IntOrString::Int(number),
        Err(_) => IntOrString::String(text.into()),
    };
    DeploymentStrategy {
        type_: Some("RollingUpdate".into()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: Some(bound(max_surge)),
            max_unavailable: Some(bound(max_unavailable)),
        }),
    }
}

fn label<const N: usize>(template: &mut PodTemplateSpec, labels: [(&str, &str); N]) {
    let metadata = template.metadata.get_or_insert_with(ObjectMeta::default);
    metadata.labels.get_or_insert_default().extend(text_map(labels));
}
