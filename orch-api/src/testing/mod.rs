//! Objects for tests that read like the situation:
//!
//! ```
//! use orch_api::testing::{Fixture, PodFixture, WorkloadFixture};
//! use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::Pod};
//!
//! let set = ReplicaSet::test("web").replicas(3);
//! let pod = Pod::test("web-1").labels([("app", "web")]).owned_by(&set).on_node("n1").ready();
//! assert_eq!(pod.metadata.namespace.as_deref(), Some("default"));
//! ```
//!
//! Everything is deterministic: the UID is made of the name, the creation time is [`CREATED`].

mod node;
mod pod;
mod service;
mod workload;

pub use node::{NamespaceFixture, NodeFixture};
pub use pod::PodFixture;
pub use service::ServiceFixture;
pub use workload::{WorkloadFixture, rolling_update};

use crate::{Object, kind::Scope, kinds, owner};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Container, PodSpec, ResourceRequirements},
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, Time},
    },
};
use std::collections::BTreeMap;

/// When every fixture was created: 2026-01-01T00:00:00Z.
pub const CREATED: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// An object of any kind with a name and chained adjectives for its metadata.
pub trait Fixture: Object + Default {
    /// An object as a server would return it: with namespace `default` where it has one, UID, creation time and
    /// resource version.
    fn test(name: &str) -> Self {
        let mut object = Self::default();
        let namespaced = kinds::find(&Self::gvr()).is_none_or(|kind| kind.scope == Scope::Namespaced);
        let meta = object.meta_mut();
        meta.name = Some(name.into());
        meta.namespace = namespaced.then(|| "default".into());
        meta.uid = Some(format!("uid-{name}"));
        meta.creation_timestamp = Some(Time(CREATED));
        meta.resource_version = Some("1".into());
        object
    }

    /// In another namespace than `default`.
    #[must_use]
    fn in_namespace(mut self, namespace: &str) -> Self {
        self.meta_mut().namespace = Some(namespace.into());
        self
    }

    /// With another UID than `uid-NAME`.
    #[must_use]
    fn with_uid(mut self, uid: &str) -> Self {
        self.meta_mut().uid = Some(uid.into());
        self
    }

    /// With these labels beside those it has.
    #[must_use]
    fn labels<const N: usize>(mut self, labels: [(&str, &str); N]) -> Self {
        self.meta_mut().labels.get_or_insert_default().extend(text_map(labels));
        self
    }

    /// With these annotations beside those it has.
    #[must_use]
    fn annotations<const N: usize>(mut self, annotations: [(&str, &str); N]) -> Self {
        self.meta_mut().annotations.get_or_insert_default().extend(text_map(annotations));
        self
    }

    /// Controlled by another object.
    #[must_use]
    fn owned_by<O: Object>(mut self, owner: &O) -> Self {
        self.meta_mut().owner_references.get_or_insert_default().push(owner::controller_reference(owner));
        self
    }

    /// With a finalizer.
    #[must_use]
    fn finalized_by(mut self, finalizer: &str) -> Self {
        self.meta_mut().finalizers.get_or_insert_default().push(finalizer.into());
        self
    }

    /// Being deleted, since this many seconds after its creation.
    #[must_use]
    fn deleting(mut self, after_seconds: i64) -> Self {
        self.meta_mut().deletion_timestamp = Some(later(after_seconds));
        self
    }

    /// Created this many seconds after [`CREATED`].
    #[must_use]
    fn created_after(mut self, seconds: i64) -> Self {
        self.meta_mut().creation_timestamp = Some(later(seconds));
        self
    }

    /// Of this generation.
    #[must_use]
    fn generation(mut self, generation: i64) -> Self {
        self.meta_mut().generation = Some(generation);
        self
    }
}

impl<K: Object + Default> Fixture for K {}

/// A moment this many seconds after [`CREATED`].
pub fn later(seconds: i64) -> Time {
    Time(Timestamp::from_second(CREATED.as_second().saturating_add(seconds)).unwrap_or(Timestamp::MAX))
}

/// A selector by labels.
pub fn selector<const N: usize>(labels: [(&str, &str); N]) -> LabelSelector {
    LabelSelector { match_labels: Some(text_map(labels)), ..LabelSelector::default() }
}

/// Quantities by resource name.
pub fn quantities<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, Quantity> {
    pairs.into_iter().map(|(name, text)| (name.into(), Quantity(text.into()))).collect()
}

fn text_map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}

/// The container of that name, made where it is missing.
fn container<'a>(spec: &'a mut PodSpec, name: &str, image: &str) -> &'a mut Container {
    let at = spec.containers.iter().position(|c| c.name == name).unwrap_or_else(|| {
        spec.containers.push(Container {
            name: name.into(),
            image: Some(image.into()),
            resources: Some(ResourceRequirements::default()),
            ..Container::default()
        });
        spec.containers.len() - 1
    });
    &mut spec.containers[at]
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::{
        apps::v1::{Deployment, ReplicaSet},
        core::v1::{Namespace, Node, Pod, Service},
    };

    #[test]
    fn a_fixture_reads_like_the_situation() {
        let set = ReplicaSet::test("web").replicas(3).selecting([("app", "web")]);
        let pod = Pod::test("web-1").labels([("app", "web")]).owned_by(&set).on_node("n1").ready();
        assert!(owner::is_controlled_by(&pod.metadata, "uid-web"));
        assert_eq!(pod.status.unwrap().phase.as_deref(), Some("Running"));
        assert_eq!(Node::test("n1").ready().metadata.namespace, None);
        assert_eq!(Namespace::test("a").terminating().status.unwrap().phase.as_deref(), Some("Terminating"));
        assert_eq!(Deployment::test("d").replicas(2).spec.replicas, Some(2));
        assert_eq!(Service::test("s").port(80, 8080).spec.unwrap().ports.unwrap().len(), 1);
    }
}
