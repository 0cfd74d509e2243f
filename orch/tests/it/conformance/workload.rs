//! What the tests of workloads share: a cluster in process, and calls on it in JSON.

use orch::{
    Cluster,
    api::{Gvr, Key},
    store::{
        Client,
        client::{DeleteOptions, ListOptions, Patch, WriteOptions},
    },
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

pub(super) const PODS: Gvr = Gvr::of("", "v1", "pods");
pub(super) const NODES: Gvr = Gvr::of("", "v1", "nodes");
pub(super) const REVISIONS: Gvr = Gvr::of("apps", "v1", "controllerrevisions");
pub(super) const REPLICA_SETS: Gvr = Gvr::of("apps", "v1", "replicasets");

/// After so much virtual time a test has waited in vain.
const PATIENCE_SECONDS: u32 = 900;

/// A cluster with all controllers and simulated nodes.
pub(super) struct Here(Cluster);

impl Here {
    pub(super) async fn start(nodes: u32) -> Self {
        Self(Cluster::builder().seed(1).simulated_nodes(nodes).build().await.unwrap())
    }

    fn client(&self) -> Arc<dyn Client> {
        self.0.client()
    }

    pub(super) async fn create(&self, of: &Gvr, body: Value) -> Value {
        let name = body.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let made = self.client().create(of, &key(of, &name), None, body, &WriteOptions::default()).await;
        made.unwrap().parse().unwrap()
    }

    /// An object, or a subresource of one.
    pub(super) async fn get(&self, of: &Gvr, name: &str, subresource: Option<&str>) -> Value {
        self.client().get(of, &key(of, name), subresource).await.unwrap().parse().unwrap()
    }

    /// Patches strategically, as `kubectl patch` does.
    pub(super) async fn patch(&self, of: &Gvr, name: &str, subresource: Option<&str>, patch: Value) -> Value {
        let patch = Patch::Strategic(patch);
        let patched = self.client().patch(of, &key(of, name), subresource, patch, &WriteOptions::default()).await;
        patched.unwrap().parse().unwrap()
    }

    /// Changes an object, or a subresource of one, as it is now; again after a conflict.
    pub(super) async fn update(
        &self,
        of: &Gvr,
        name: &str,
        subresource: Option<&str>,
        change: impl Fn(&mut Value),
    ) -> Value {
        loop {
            let mut body = self.get(of, name, subresource.filter(|sub| *sub == "scale")).await;
            change(&mut body);
            match self.client().update(of, &key(of, name), subresource, body, &WriteOptions::default()).await {
                Err(error) if error.is_conflict() => {}
                other => return other.unwrap().parse().unwrap(),
            }
        }
    }

    pub(super) async fn delete(&self, of: &Gvr, name: &str) {
        self.client().delete(of, &key(of, name), &DeleteOptions::default()).await.unwrap();
    }

    /// The objects of the namespace with these labels.
    pub(super) async fn list(&self, of: &Gvr, labels: &str) -> Vec<Value> {
        let found = self.client().list(of, &select(of, labels)).await.unwrap();
        found.items.iter().map(|item| item.parse().unwrap()).collect()
    }

    pub(super) async fn delete_all(&self, of: &Gvr, labels: &str) {
        self.client().delete_collection(of, &select(of, labels), &DeleteOptions::default()).await.unwrap();
    }

    /// Waits until the objects with these labels are as they should be, looking twice a second.
    pub(super) async fn until(
        &self,
        what: &str,
        of: &Gvr,
        labels: &str,
        holds: impl Fn(&[Value]) -> bool,
    ) -> Vec<Value> {
        for _ in 0..2 * PATIENCE_SECONDS {
            let found = self.list(of, labels).await;
            if holds(&found) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let found = self.list(of, labels).await;
        panic!("{what}: not within {PATIENCE_SECONDS} s; there is {}", json!(found));
    }

    /// Waits until one object is as it should be.
    pub(super) async fn until_one(&self, what: &str, of: &Gvr, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let is_it = |object: &&Value| object["metadata"]["name"] == name && holds(object);
        let found = self.until(what, of, "", |all| all.iter().any(|object| is_it(&object))).await;
        found.iter().find(is_it).unwrap().clone()
    }

    /// Reads, replaces and patches the status of an object; every write is seen by the next read
    /// (`should validate … Status endpoints`).
    pub(super) async fn status_is_served(&self, of: &Gvr, name: &str) {
        let read = self.get(of, name, Some("status")).await;
        assert_eq!(read["metadata"]["name"], name);
        let updated = self
            .update(of, name, Some("status"), |object| {
                let conditions = object["status"].as_object_mut().unwrap().entry("conditions").or_insert(json!([]));
                conditions.as_array_mut().unwrap().push(condition("StatusUpdate"));
            })
            .await;
        assert!(has_condition(&updated, "StatusUpdate"));
        let seen = |kind: &'static str| move |object: &Value| has_condition(object, kind);
        self.until_one("the updated status", of, name, seen("StatusUpdate")).await;
        let patch = json!({"status": {"conditions": [condition("StatusPatched")]}});
        let patched = self.patch(of, name, Some("status"), patch).await;
        assert!(has_condition(&patched, "StatusPatched"));
        self.until_one("the patched status", of, name, seen("StatusPatched")).await;
    }

    pub(super) async fn stop(self) {
        self.0.stop().await;
    }
}

fn condition(kind: &str) -> Value {
    json!({"type": kind, "status": "True", "reason": "E2E", "message": "Set from e2e test"})
}

pub(super) fn has_condition(object: &Value, kind: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|condition| condition["type"] == kind))
}

fn key(of: &Gvr, name: &str) -> Key {
    if *of == NODES { Key::cluster(name) } else { Key::new("default", name) }
}

fn select(of: &Gvr, labels: &str) -> ListOptions {
    let namespace = if *of == NODES { "" } else { "default" };
    ListOptions { namespace: namespace.into(), labels: labels.into(), ..ListOptions::default() }
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
    let conditions = pod["status"]["conditions"].as_array();
    pod["metadata"]["deletionTimestamp"].is_null()
        && conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
}

/// Whether all of so many pods are ready.
pub(super) fn all_ready(count: usize) -> impl Fn(&[Value]) -> bool {
    move |pods| pods.len() == count && pods.iter().all(is_ready)
}

pub(super) fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

/// The name and kind of the managing controller.
pub(super) fn controller(object: &Value) -> Option<(String, String)> {
    let owners = object["metadata"]["ownerReferences"].as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    Some((owner["kind"].as_str()?.to_owned(), owner["name"].as_str()?.to_owned()))
}
