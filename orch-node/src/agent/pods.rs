//! The pods of a node: where they come from, and what happens to what the runtime runs already.

use super::{Pods, context::Node};
use crate::{
    follow::{Change, Selection, follow},
    logs::{Rotation, rotate},
    pod::{PodHandle, worker::PODS},
};
use futures::StreamExt;
use orch_api::Key;
use orch_runtime::node::container::{ContainerState, Sandbox};
use orch_store::{Informer, Informers};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// Where the pods of a node come from.
#[derive(Clone)]
pub enum PodFeed {
    /// A watch of the node's own, by `spec.nodeName`.
    Watch,
    /// The watch that all nodes of a process share.
    Shared(SharedPods),
}

/// One watch over all pods that hands each change to the node it concerns: for many nodes in one process.
#[derive(Clone, Default)]
pub struct SharedPods(Arc<Mutex<Routes>>);

#[derive(Default)]
struct Routes {
    by_node: BTreeMap<Arc<str>, Route>,
    /// Whether the first list has been handed out. Before that, a pod that is not known may still come.
    synced: bool,
}

#[derive(Default)]
struct Route {
    listener: Option<mpsc::UnboundedSender<Change>>,
    known: BTreeMap<Key, Arc<orch_store::Stored>>,
}

impl SharedPods {
    /// Starts the watch.
    pub fn start(informers: &Informers, tasks: &orch_store::Tasks) -> Self {
        let shared = Self::default();
        let informer = informers.get(&PODS);
        let routes = shared.clone();
        tasks.spawn_loop("pods of all nodes", move || routes.clone().follow(informer.clone()));
        shared
    }

    async fn follow(self, informer: Informer) {
        let mut deltas = informer.subscribe();
        informer.synced().await;
        while let Ok(delta) = deltas.try_recv() {
            self.route(&delta);
        }
        self.announce_synced();
        while let Some(delta) = deltas.recv().await {
            self.route(&delta);
        }
    }

    fn route(&self, delta: &orch_store::informer::Delta) {
        #[derive(serde::Deserialize, Default)]
        #[serde(default, rename_all = "camelCase")]
        struct Bound {
            spec: BoundSpec,
        }
        #[derive(serde::Deserialize, Default)]
        #[serde(default, rename_all = "camelCase")]
        struct BoundSpec {
            node_name: Arc<str>,
        }
        let (pod, gone) = match (&delta.new, &delta.old) {
            (Some(new), _) => (new, false),
            (None, Some(old)) => (old, true),
            (None, None) => return,
        };
        let Ok(bound) = pod.parse::<Bound>() else { return };
        if bound.spec.node_name.is_empty() {
            return;
        }
        let mut routes = self.0.lock();
        let route = routes.by_node.entry(bound.spec.node_name).or_default();
        let change = if gone { Change::Gone(pod.key.clone()) } else { Change::Put(pod.clone()) };
        match &change {
            Change::Put(pod) => drop(route.known.insert(pod.key.clone(), pod.clone())),
            Change::Gone(key) => drop(route.known.remove(key)),
            Change::Synced => {}
        }
        if let Some(listener) = &route.listener {
            drop(listener.send(change));
        }
    }

    fn listen(&self, node: &Arc<str>) -> mpsc::UnboundedReceiver<Change> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut routes = self.0.lock();
        let synced = routes.synced;
        let route = routes.by_node.entry(node.clone()).or_default();
        route.known.values().for_each(|pod| drop(sender.send(Change::Put(pod.clone()))));
        if synced {
            drop(sender.send(Change::Synced));
        }
        route.listener = Some(sender);
        receiver
    }

    fn announce_synced(&self) {
        let mut routes = self.0.lock();
        routes.synced = true;
        for listener in routes.by_node.values().filter_map(|r| r.listener.as_ref()) {
            drop(listener.send(Change::Synced));
        }
    }
}

/// Hands every change of the node's pods to their workers. What the runtime runs for pods that the API server
/// no longer knows is removed once the first list has been seen. Unless it is told what that is, it asks.
pub(super) async fn follow_pods(node: Arc<Node>, pods: Pods, feed: PodFeed, adopted: Option<Vec<Sandbox>>) {
    let adopted = match adopted {
        Some(adopted) => adopted,
        None => unknown(&node, &pods).await,
    };
    let mut manager = Manager { node: node.clone(), pods, keys: BTreeMap::new(), adopted: BTreeMap::new() };
    for sandbox in adopted {
        manager.adopted.entry(sandbox.uid.as_str().into()).or_default().push(sandbox);
    }
    match feed {
        PodFeed::Watch => {
            let which =
                Selection { resource: PODS, namespace: "".into(), fields: format!("spec.nodeName={}", node.name) };
            follow(node.client.clone(), which, node.ambient.clone(), move |change| manager.take(change)).await;
        }
        PodFeed::Shared(shared) => {
            let mut changes = shared.listen(&node.name);
            while let Some(change) = changes.recv().await {
                manager.take(change);
            }
        }
    }
}

/// What the runtime runs and no worker has.
async fn unknown(node: &Node, pods: &Pods) -> Vec<Sandbox> {
    loop {
        match node.runtime.list().await {
            Ok(all) => return all.into_iter().filter(|sandbox| !pods.contains_key(sandbox.uid.as_str())).collect(),
            Err(error) => tracing::warn!(%error, "the runtime does not tell what it runs"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

struct Manager {
    node: Arc<Node>,
    pods: Pods,
    keys: BTreeMap<Key, Arc<str>>,
    adopted: BTreeMap<Arc<str>, Vec<Sandbox>>,
}

impl Manager {
    fn take(&mut self, change: Change) {
        match change {
            Change::Put(pod) => self.put(pod),
            Change::Gone(key) => self.gone(&key),
            Change::Synced => self.remove_orphans(),
        }
    }

    fn put(&mut self, pod: Arc<orch_store::Stored>) {
        let uid = pod.meta.uid.clone();
        let before = self.keys.insert(pod.key.clone(), uid.clone());
        if let Some(before) = before.filter(|b| *b != uid)
            && let Some(other) = self.pods.get(&before)
        {
            other.gone();
        }
        if let Some(handle) = self.pods.get(&uid) {
            return handle.update(pod);
        }
        let adopted = self.adopted.remove(&uid).unwrap_or_default();
        let (pods, ended) = (self.pods.clone(), uid.clone());
        let handle = PodHandle::start(&self.node, pod, adopted, move || drop(pods.remove(&ended)));
        self.pods.insert(uid, handle);
    }

    fn gone(&mut self, key: &Key) {
        if let Some(uid) = self.keys.remove(key)
            && let Some(handle) = self.pods.get(&uid)
        {
            handle.gone();
        }
    }

    /// `HandlePodCleanups`: nobody asks for these pods any more.
    fn remove_orphans(&mut self) {
        for (uid, sandboxes) in std::mem::take(&mut self.adopted) {
            let node = self.node.clone();
            self.node.ambient.tasks.spawn(async move { remove_orphan(&node, &uid, sandboxes).await });
        }
    }
}

async fn remove_orphan(node: &Node, uid: &str, sandboxes: Vec<Sandbox>) {
    for sandbox in sandboxes {
        tracing::info!(pod = format!("{}/{}", sandbox.namespace, sandbox.name), "removing a pod that nobody asks for");
        let running = sandbox.containers.iter().filter(|c| matches!(c.state, ContainerState::Running { .. }));
        futures::future::join_all(running.map(|c| node.runtime.stop_container(&c.id, Duration::from_secs(2)))).await;
        if let Err(error) = node.runtime.remove_sandbox(&sandbox.id).await {
            tracing::warn!(%error, sandbox = sandbox.id, "an orphaned sandbox was not removed");
        }
    }
    crate::volume::tear_down(node, uid).await;
}

/// Hands the runtime's events to the workers; looks at everything again when the stream ends.
pub(super) async fn follow_runtime(node: Arc<Node>, pods: Pods) {
    loop {
        let mut events = node.runtime.events();
        while let Some(event) = events.next().await {
            if let Some(handle) = pods.get(event.pod_uid.as_str()) {
                handle.runtime_changed();
            }
        }
        pods.iter().for_each(|handle| handle.runtime_changed());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Rotates the logs of running containers, every ten seconds as kubelet does; idle while no pod runs.
pub(super) async fn rotate_logs(node: Arc<Node>, pods: Pods, rule: Rotation) {
    loop {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let views: Vec<_> = pods.iter().map(|handle| handle.view()).collect();
        let running = views
            .iter()
            .flat_map(|v| &v.sandboxes)
            .flat_map(|s| &s.containers)
            .filter(|c| matches!(c.state, ContainerState::Running { .. }));
        for container in running {
            if let Err(error) = rotate(&*node.runtime, &container.id, &container.log_path, rule).await {
                tracing::warn!(%error, log = %container.log_path.display(), "a log was not rotated");
            }
        }
    }
}
