//! The two kinds that keep a number of pods alike: the ReplicaSet, and the ReplicationController that came before it
//! (`pkg/controller/replication/conversion.go`).

use k8s_openapi::{
    api::{
        apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus},
        core::v1::{
            PodTemplateSpec, ReplicationController, ReplicationControllerCondition, ReplicationControllerStatus,
        },
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use orch_api::Object;
use std::borrow::Cow;

/// A kind that keeps a number of pods alike.
pub trait Replicas: Object + Clone {
    /// The name of its loop.
    const NAME: &'static str;
    /// What the loop does.
    const ABOUT: &'static str;
    /// Under which name the loop records events.
    const COMPONENT: &'static str;
    /// Whether its status counts pods that are being deleted.
    const COUNTS_TERMINATING: bool;

    /// Which pods.
    fn selector(&self) -> Cow<'_, LabelSelector>;
    /// How many.
    fn wanted(&self) -> i32;
    /// What they are made of.
    fn template(&self) -> Option<&PodTemplateSpec>;
    /// How long a pod is ready before it counts as available, in seconds.
    fn min_ready_seconds(&self) -> i32;
    /// The status.
    fn status(&self) -> ReplicaSetStatus;
    /// The same object with another status.
    #[must_use]
    fn with_status(&self, status: ReplicaSetStatus) -> Self;
}

impl Replicas for ReplicaSet {
    const NAME: &'static str = "replicaset";
    const ABOUT: &'static str = "Keeps the number of pods that a ReplicaSet asks for.";
    const COMPONENT: &'static str = "replicaset-controller";
    const COUNTS_TERMINATING: bool = true;

    fn selector(&self) -> Cow<'_, LabelSelector> {
        Cow::Borrowed(&self.spec.selector)
    }

    fn wanted(&self) -> i32 {
        self.spec.replicas.unwrap_or(1)
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.template.as_ref()
    }

    fn min_ready_seconds(&self) -> i32 {
        self.spec.min_ready_seconds.unwrap_or(0)
    }

    fn status(&self) -> ReplicaSetStatus {
        self.status.clone().unwrap_or_default()
    }

    fn with_status(&self, status: ReplicaSetStatus) -> Self {
        Self { status: Some(status), ..self.clone() }
    }
}

impl Replicas for ReplicationController {
    const NAME: &'static str = "replicationcontroller";
    const ABOUT: &'static str = "Keeps the number of pods that a ReplicationController asks for.";
    const COMPONENT: &'static str = "replication-controller";
    const COUNTS_TERMINATING: bool = false;

    fn selector(&self) -> Cow<'_, LabelSelector> {
        let match_labels = self.spec.as_ref().and_then(|spec| spec.selector.clone());
        Cow::Owned(LabelSelector { match_labels, match_expressions: None })
    }

    fn wanted(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref()?.template.as_ref()
    }

    fn min_ready_seconds(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0)
    }

    fn status(&self) -> ReplicaSetStatus {
        let status = self.status.clone().unwrap_or_default();
        let condition = |c: ReplicationControllerCondition| ReplicaSetCondition {
            type_: Some(c.type_),
            status: Some(c.status),
            reason: c.reason,
            message: c.message,
            last_transition_time: c.last_transition_time,
        };
        ReplicaSetStatus {
            replicas: status.replicas,
            fully_labeled_replicas: status.fully_labeled_replicas,
            ready_replicas: status.ready_replicas,
            available_replicas: status.available_replicas,
            observed_generation: status.observed_generation,
            conditions: status.conditions.map(|conditions| conditions.into_iter().map(condition).collect()),
            terminating_replicas: None,
        }
    }

    fn with_status(&self, status: ReplicaSetStatus) -> Self {
        let condition = |c: ReplicaSetCondition| ReplicationControllerCondition {
            type_: c.type_.unwrap_or_default(),
            status: c.status.unwrap_or_default(),
            reason: c.reason,
            message: c.message,
            last_transition_time: c.last_transition_time,
        };
        let status = ReplicationControllerStatus {
            replicas: status.replicas,
            fully_labeled_replicas: status.fully_labeled_replicas,
            ready_replicas: status.ready_replicas,
            available_replicas: status.available_replicas,
            observed_generation: status.observed_generation,
            conditions: status.conditions.map(|conditions| conditions.into_iter().map(condition).collect()),
        };
        Self { status: Some(status), ..self.clone() }
    }
}
