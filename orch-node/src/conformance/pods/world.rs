//! [`World`]: the cluster that pods are made in.

use crate::image::TOOLBOX_IMAGE;
use k8s_openapi::api::core::v1::{ConfigMap, ContainerStatus, Event, Pod, Secret};
use orch_api::{Key, Object};
use orch_runtime::node::container::{Container, ContainerRuntime, ExecRequest};
use orch_store::{Client, ClientExt, client::DeleteOptions};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::io::AsyncReadExt;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// A cluster with a scheduler and one node.
pub struct World {
    /// Its API.
    pub client: Arc<dyn Client>,
    /// The node's runtime.
    pub runtime: Arc<dyn ContainerRuntime>,
}

/// A container `main` of the toolbox image.
pub(super) fn main(command: &[&str]) -> Value {
    container("main", command)
}

pub(super) fn container(name: &str, command: &[&str]) -> Value {
    json!({"name": name, "image": TOOLBOX_IMAGE, "command": command})
}

impl World {
    pub(super) async fn pod(&self, name: &str, annotations: Value, mut spec: Value) {
        if spec["terminationGracePeriodSeconds"].is_null() {
            spec["terminationGracePeriodSeconds"] = json!(5);
        }
        let meta = json!({"name": name, "namespace": "default", "annotations": annotations});
        let pod: Pod = serde_json::from_value(json!({"metadata": meta, "spec": spec})).unwrap();
        self.add(&pod).await;
    }

    pub(super) async fn config_map(&self, name: &str, data: Value) {
        let meta = json!({"name": name, "namespace": "default"});
        let map: ConfigMap = serde_json::from_value(json!({"metadata": meta, "data": data})).unwrap();
        self.add(&map).await;
    }

    pub(super) async fn secret(&self, name: &str, data: Value) {
        let meta = json!({"name": name, "namespace": "default"});
        let secret: Secret = serde_json::from_value(json!({"metadata": meta, "stringData": data})).unwrap();
        self.add(&secret).await;
    }

    /// Creates an object; the namespace's service account may come a moment later than the namespace.
    async fn add<K: Object>(&self, object: &K) {
        let mut last = None;
        for _ in 0..200 {
            match self.client.add(object).await {
                Ok(_) => return,
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(LOOK).await;
        }
        panic!("{}: {last:?}", object.key());
    }

    /// Waits until the pod is as wanted.
    pub(super) async fn until(&self, name: &str, what: &str, mut test: impl FnMut(&Pod) -> bool) -> Arc<Pod> {
        let mut last = None;
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < PATIENCE {
            let pod = self.client.find::<Pod>(&Key::new("default", name)).await.unwrap();
            match pod {
                Some(pod) if test(&pod) => return pod,
                pod => last = pod,
            }
            tokio::time::sleep(LOOK).await;
        }
        let status = last.and_then(|p| p.status.clone());
        panic!("pod {name}: {what} never came: {}", serde_json::to_string_pretty(&status).unwrap());
    }

    /// Waits for something that is no pod.
    pub(super) async fn until_true(&self, what: &str, mut test: impl AsyncFnMut() -> bool) {
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < PATIENCE {
            if test().await {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
        panic!("{what} never came");
    }

    pub(super) async fn phase(&self, name: &str, wanted: &str) -> Arc<Pod> {
        self.until(name, wanted, |pod| phase(pod) == wanted).await
    }

    pub(super) async fn ready(&self, name: &str) -> Arc<Pod> {
        self.until(name, "ready", is_ready).await
    }

    /// Deletes the pod and waits until it and its sandboxes are gone.
    pub(super) async fn delete(&self, name: &str) {
        let key = Key::new("default", name);
        let Some(pod) = self.client.find::<Pod>(&key).await.unwrap() else { return };
        self.client.delete(&Pod::gvr(), &key, &DeleteOptions::default()).await.unwrap();
        let uid = pod.metadata.uid.clone().unwrap();
        self.until_true(&format!("the end of {name}"), async || {
            let object = self.client.find::<Pod>(&key).await.unwrap().is_some();
            let sandboxes = self.runtime.list().await.unwrap();
            !object && sandboxes.iter().all(|s| s.uid != uid)
        })
        .await;
    }

    /// The container that runs now, or ran last.
    pub(super) async fn newest(&self, pod: &str, container: &str) -> Container {
        let all = self.runtime.list().await.unwrap();
        let of = all.into_iter().filter(|s| s.name == pod).flat_map(|s| s.containers);
        of.filter(|c| c.name == container).max_by_key(|c| c.attempt).unwrap()
    }

    /// What a container has written, without times.
    pub(super) async fn log(&self, pod: &str, container: &str) -> String {
        let path = self.newest(pod, container).await.log_path;
        let text = std::fs::read(path).unwrap_or_default();
        let lines = text.split(|b| *b == b'\n').filter_map(crate::logs::parse);
        lines.map(|l| String::from_utf8_lossy(l.text).into_owned() + "\n").collect()
    }

    /// Runs a command in the container `main`: exit code and output.
    pub(super) async fn exec(&self, pod: &str, command: &[&str]) -> (i32, String) {
        let id = self.newest(pod, "main").await.id;
        let command = command.iter().map(|w| (*w).to_owned()).collect();
        let mut session = self.runtime.exec(&id, ExecRequest { command, ..ExecRequest::default() }).await.unwrap();
        let mut out = String::new();
        session.stdout.read_to_string(&mut out).await.unwrap();
        (session.exit.await.unwrap(), out)
    }

    /// Waits for an event about a pod.
    pub(super) async fn event(&self, pod: &str, reason: &str) {
        self.until_true(&format!("{reason} of {pod}"), async || {
            let events = self.client.read_all::<Event>("default").await.unwrap();
            events.iter().any(|e| e.involved_object.name.as_deref() == Some(pod) && e.reason.as_deref() == Some(reason))
        })
        .await;
    }
}

pub(super) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or_default()
}

pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|s| s.conditions.iter().flatten());
    conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True")
}

pub(super) fn main_status(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.iter().find(|c| c.name == "main")
}

/// Exit code and reason of `main`, once it has ended.
pub(super) fn ended(pod: &Pod) -> Option<(i32, String)> {
    let end = main_status(pod)?.state.as_ref()?.terminated.as_ref()?;
    Some((end.exit_code, end.reason.clone().unwrap_or_default()))
}

/// Exit code and reason of the run of `main` before this one.
pub(super) fn ended_before(pod: &Pod) -> Option<(i32, String)> {
    let end = main_status(pod)?.last_state.as_ref()?.terminated.as_ref()?;
    Some((end.exit_code, end.reason.clone().unwrap_or_default()))
}

pub(super) fn waiting(pod: &Pod) -> Option<&str> {
    main_status(pod)?.state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}

pub(super) fn restarts(pod: &Pod) -> i32 {
    main_status(pod).map_or(0, |c| c.restart_count)
}
