//! Nodes and namespaces.

use super::{CREATED, quantities};
use crate::conditions;
use k8s_openapi::api::core::v1::{
    Namespace, NamespaceSpec, NamespaceStatus, Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, Taint,
};

/// Adjectives of a node.
pub trait NodeFixture: Sized {
    /// Whose agent says that it is ready.
    #[must_use]
    fn ready(self) -> Self;
    /// Whose agent says that it is not ready.
    #[must_use]
    fn not_ready(self) -> Self;
    /// With so much CPU, memory and so many pods, all of it to give away.
    #[must_use]
    fn capacity(self, cpu: &str, memory: &str, pods: &str) -> Self;
    /// With a taint.
    #[must_use]
    fn tainted(self, key: &str, value: &str, effect: &str) -> Self;
    /// That takes no new pods.
    #[must_use]
    fn cordoned(self) -> Self;
    /// With an internal address.
    #[must_use]
    fn address(self, ip: &str) -> Self;
}

impl NodeFixture for Node {
    fn ready(self) -> Self {
        with_ready(self, "True")
    }

    fn not_ready(self) -> Self {
        with_ready(self, "False")
    }

    fn capacity(mut self, cpu: &str, memory: &str, pods: &str) -> Self {
        let all = quantities([("cpu", cpu), ("memory", memory), ("pods", pods)]);
        let status = self.status.get_or_insert_with(NodeStatus::default);
        (status.capacity, status.allocatable) = (Some(all.clone()), Some(all));
        self
    }

    fn tainted(mut self, key: &str, value: &str, effect: &str) -> Self {
        self.spec.get_or_insert_with(NodeSpec::default).taints.get_or_insert_default().push(Taint {
            key: key.into(),
            value: (!value.is_empty()).then(|| value.into()),
            effect: effect.into(),
            ..Taint::default()
        });
        self
    }

    fn cordoned(mut self) -> Self {
        self.spec.get_or_insert_default().unschedulable = Some(true);
        self.tainted("node.kubernetes.io/unschedulable", "", "NoSchedule")
    }

    fn address(mut self, ip: &str) -> Self {
        let addresses = self.status.get_or_insert_default().addresses.get_or_insert_default();
        addresses.push(NodeAddress { type_: "InternalIP".into(), address: ip.into() });
        self
    }
}

fn with_ready(mut node: Node, state: &str) -> Node {
    let condition = NodeCondition { type_: "Ready".into(), status: state.into(), ..NodeCondition::default() };
    let conditions = node.status.get_or_insert_default().conditions.get_or_insert_default();
    conditions::set(conditions, condition, CREATED);
    node
}

/// Adjectives of a namespace.
pub trait NamespaceFixture: Sized {
    /// In use.
    #[must_use]
    fn active(self) -> Self;
    /// Being deleted, with the finalizer that empties it.
    #[must_use]
    fn terminating(self) -> Self;
}

impl NamespaceFixture for Namespace {
    fn active(mut self) -> Self {
        self.spec = Some(NamespaceSpec { finalizers: Some(vec!["kubernetes".into()]) });
        self.status = Some(NamespaceStatus { phase: Some("Active".into()), ..NamespaceStatus::default() });
        self
    }

    fn terminating(self) -> Self {
        let mut namespace = super::Fixture::deleting(self.active(), 60);
        namespace.status.get_or_insert_default().phase = Some("Terminating".into());
        namespace
    }
}
