//! [`World`]: a cluster in process under a paused clock, and what the tests ask of it.

use super::kind::Kind;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use orch::{
    Cluster,
    api::{Gvr, Object},
    store::Client,
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

pub(super) const PODS: Gvr = Gvr::of("", "v1", "pods");
pub(super) const NODES: Gvr = Gvr::of("", "v1", "nodes");
pub(super) const REVISIONS: Gvr = Gvr::of("apps", "v1", "controllerrevisions");
pub(super) const REPLICA_SETS: Gvr = Gvr::of("apps", "v1", "replicasets");

/// More virtual time than anything here needs.
pub(super) const PATIENCE: Duration = Duration::from_secs(1800);

/// A cluster with all controllers and simulated nodes.
pub(super) struct World(pub(super) Cluster);

impl World {
    /// With two nodes.
    pub(super) async fn start() -> Self {
        Self::with_nodes(2).await
    }

    pub(super) async fn with_nodes(nodes: u32) -> Self {
        Self(Cluster::builder().seed(1).simulated_nodes(nodes).build().await.unwrap())
    }

    /// An API server alone.
    pub(super) async fn without_controllers() -> Self {
        Self(Cluster::builder().seed(1).without_controllers().build().await.unwrap())
    }

    /// An API server alone that asks roles and bindings.
    pub(super) async fn with_roles() -> Self {
        Self(Cluster::builder().seed(1).without_controllers().rbac().build().await.unwrap())
    }

    pub(super) fn client(&self) -> Arc<dyn Client> {
        self.0.client()
    }

    /// The objects of a kind: those of the namespace `default`, where the kind has namespaces.
    pub(super) fn of(&self, gvr: &Gvr) -> Kind {
        Kind::new(self.client(), gvr.clone())
    }

    /// [`World::of`], by the type.
    pub(super) fn kind<K: Object>(&self) -> Kind {
        self.of(&K::gvr())
    }

    /// Waits until two nodes take pods.
    pub(super) async fn nodes_are_ready(&self) {
        let takes_pods = |node: &&Value| {
            let tainted = node["spec"]["taints"].as_array().is_some_and(|taints| !taints.is_empty());
            is_ready(node) && !tainted && node["spec"]["unschedulable"] != true
        };
        self.of(&NODES).until("ready nodes", "", |nodes| nodes.iter().filter(takes_pods).count() >= 2).await;
    }

    /// Makes a namespace whose pods have an account to run as.
    pub(super) async fn namespace(&self, name: &str) {
        self.kind::<Namespace>().create(json!({"metadata": {"name": name}})).await;
        let accounts = self.kind::<k8s_openapi::api::core::v1::ServiceAccount>().within(name);
        accounts.until_one("its account", "default", |_| true).await;
    }

    /// Waits until a pod runs and is ready.
    pub(super) async fn running(&self, name: &str) -> Value {
        self.kind::<Pod>()
            .until_one("a pod that runs", name, |pod| pod["status"]["phase"] == "Running" && is_ready(pod))
            .await
    }

    pub(super) async fn stop(self) {
        self.0.stop().await;
    }
}

/// A pod with these labels, in whatever namespace it is created.
pub(super) fn pod(name: &str, labels: Value) -> Value {
    json!({"metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "main", "image": "app:1"}], "terminationGracePeriodSeconds": 1}})
}

/// The template of pods with a label `name`.
pub(super) fn template(name: &str, image: &str) -> Value {
    json!({"metadata": {"labels": {"name": name}}, "spec": {
        "terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": image}]}})
}

/// A patch of the image.
pub(super) fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}})
}

pub(super) fn has_image(pod: &Value, image: &str) -> bool {
    pod["spec"]["containers"][0]["image"] == image
}

pub(super) fn is_ready(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_null() && has_condition_of(pod, "Ready", "True")
}

/// Whether all of so many pods are ready.
pub(super) fn all_ready(count: usize) -> impl Fn(&[Value]) -> bool {
    move |pods| pods.len() == count && pods.iter().all(is_ready)
}

pub(super) fn condition(kind: &str) -> Value {
    json!({"type": kind, "status": "True", "reason": "E2E", "message": "Set from e2e test"})
}

pub(super) fn has_condition(object: &Value, kind: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|condition| condition["type"] == kind))
}

fn has_condition_of(object: &Value, kind: &str, status: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|c| c["type"] == kind && c["status"] == status))
}

pub(super) fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

pub(super) fn revision(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

/// The name and kind of the managing controller.
pub(super) fn controller(object: &Value) -> Option<(String, String)> {
    let owners = object["metadata"]["ownerReferences"].as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    Some((owner["kind"].as_str()?.to_owned(), owner["name"].as_str()?.to_owned()))
}
