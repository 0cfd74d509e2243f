//! Whole pods on a simulated node, against the smallest client that keeps the laws of [`Client`].

use super::*;
use crate::{
    pod::worker::PODS,
    simulated::{Rules, SimulatedRuntime},
};
use async_trait::async_trait;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Event, Pod};
use orch_api::{Gvr, StatusError};
use orch_store::{
    Revision, Stored,
    client::{DeleteOptions, ListOptions, Page, Patch, Result, WatchEvent, WatchOptions, WatchStream, WriteOptions},
    testing,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::broadcast;

/// Objects in a map. Status writes, graceful deletion of pods and field selectors by name and node only.
pub(crate) struct MapClient {
    state: Mutex<State>,
    changes: broadcast::Sender<(Gvr, WatchEvent)>,
    clock: orch_store::Clock,
    /// So many updates panic.
    pub(crate) broken: AtomicU32,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<(Gvr, Key), Arc<Stored>>,
    revision: u64,
}

impl MapClient {
    pub(crate) fn new(ambient: &Ambient) -> Arc<Self> {
        let state = Mutex::default();
        Arc::new(Self { state, changes: broadcast::channel(4096).0, clock: ambient.clock.clone(), broken: 0.into() })
    }

    fn put(&self, gvr: &Gvr, key: &Key, mut body: Value) -> Arc<Stored> {
        let mut state = self.state.lock();
        state.revision += 1;
        body["metadata"]["resourceVersion"] = json!(state.revision.to_string());
        if body["metadata"]["uid"].is_null() {
            body["metadata"]["uid"] = json!(format!("uid-{}", state.revision));
        }
        let stored = Arc::new(Stored::from_json(body.to_string().into()).unwrap());
        let old = state.objects.insert((gvr.clone(), key.clone()), stored.clone());
        let event =
            if old.is_some() { WatchEvent::Modified(stored.clone()) } else { WatchEvent::Added(stored.clone()) };
        drop(self.changes.send((gvr.clone(), event)));
        stored
    }
}

fn matches(object: &Stored, namespace: &str, fields: &str) -> bool {
    if !namespace.is_empty() && *object.key.namespace != *namespace {
        return false;
    }
    match fields.split_once('=') {
        Some(("metadata.name", name)) => *object.key.name == *name,
        Some(("spec.nodeName", name)) => object.parse::<Value>().unwrap()["spec"]["nodeName"] == name,
        _ => true,
    }
}

#[async_trait]
impl Client for MapClient {
    async fn get(&self, gvr: &Gvr, key: &Key, _: Option<&str>) -> Result<Arc<Stored>> {
        let state = self.state.lock();
        let found = state.objects.get(&(gvr.clone(), key.clone())).cloned();
        found.ok_or_else(|| StatusError::not_found(gvr, &key.name))
    }

    async fn list(&self, gvr: &Gvr, options: &ListOptions) -> Result<Page> {
        let state = self.state.lock();
        let of = state.objects.iter().filter(|((g, _), _)| g == gvr).map(|(_, o)| o.clone());
        let items = of.filter(|o| matches(o, &options.namespace, &options.fields)).collect();
        Ok(Page { items, revision: Revision(state.revision), ..Page::default() })
    }

    async fn watch(&self, gvr: &Gvr, options: &WatchOptions) -> Result<WatchStream> {
        let (gvr, options, receiver) = (gvr.clone(), options.clone(), self.changes.subscribe());
        let stream = futures::stream::unfold(receiver, |mut r| async move { Some((r.recv().await.ok()?, r)) });
        Ok(Box::pin(stream.filter_map(move |(of, event)| {
            let wanted = of == gvr && event.object().is_some_and(|o| matches(o, &options.namespace, &options.fields));
            std::future::ready(wanted.then_some(Ok(event)))
        })))
    }

    async fn create(
        &self,
        gvr: &Gvr,
        key: &Key,
        sub: Option<&str>,
        body: Value,
        _: &WriteOptions,
    ) -> Result<Arc<Stored>> {
        if sub == Some("token") {
            let expires = self.clock.now() + jiff::SignedDuration::from_secs(3600);
            let token = format!("token-{}", self.clock.now().as_second());
            let body = json!({"status": {"token": token, "expirationTimestamp": crate::status::time(expires)}});
            return Ok(Arc::new(Stored::from_json(body.to_string().into()).unwrap()));
        }
        if self.get(gvr, key, None).await.is_ok() {
            return Err(StatusError::already_exists(gvr, &key.name));
        }
        Ok(self.put(gvr, key, body))
    }

    async fn update(
        &self,
        gvr: &Gvr,
        key: &Key,
        sub: Option<&str>,
        body: Value,
        _: &WriteOptions,
    ) -> Result<Arc<Stored>> {
        let broken = self.broken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok();
        assert!(*gvr != PODS || !broken, "this client is broken");
        let old = self.get(gvr, key, None).await?;
        let version = body["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        if !version.is_empty() && version != old.meta.resource_version.to_string() {
            return Err(StatusError::stale(gvr, &key.name));
        }
        let mut new = body;
        if sub == Some("status") {
            let mut kept: Value = old.parse()?;
            kept["status"] = new["status"].take();
            new = kept;
        }
        Ok(self.put(gvr, key, new))
    }

    async fn patch(
        &self,
        gvr: &Gvr,
        key: &Key,
        sub: Option<&str>,
        patch: Patch,
        options: &WriteOptions,
    ) -> Result<Arc<Stored>> {
        let mut body: Value = self.get(gvr, key, None).await?.parse()?;
        testing::apply(&mut body, patch)?;
        self.update(gvr, key, sub, body, options).await
    }

    async fn delete(&self, gvr: &Gvr, key: &Key, options: &DeleteOptions) -> Result<Arc<Stored>> {
        let old = self.get(gvr, key, None).await?;
        if options.uid.as_ref().is_some_and(|uid| *uid != old.meta.uid) {
            return Err(StatusError::conflict(gvr, &key.name, "the UID in the precondition does not match"));
        }
        let mut body: Value = old.parse()?;
        let grace =
            options.grace_period_seconds.or(body["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(30);
        if *gvr == PODS && grace > 0 {
            body["metadata"]["deletionTimestamp"] = json!(crate::status::time(self.clock.now()));
            body["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
            return Ok(self.put(gvr, key, body));
        }
        let mut state = self.state.lock();
        state.revision += 1;
        state.objects.remove(&(gvr.clone(), key.clone()));
        drop(self.changes.send((gvr.clone(), WatchEvent::Deleted(old.clone()))));
        Ok(old)
    }

    async fn delete_collection(&self, _: &Gvr, _: &ListOptions, _: &DeleteOptions) -> Result<()> {
        Err(StatusError::bad_request("not here"))
    }
}

/// A node, its runtime and its API.
pub(crate) struct World {
    pub(crate) client: Arc<MapClient>,
    pub(crate) runtime: SimulatedRuntime,
    pub(crate) agent: Agent,
    pub(crate) ambient: Ambient,
    pub(crate) dir: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new(rules: Rules) -> Self {
        let ambient = Ambient::seeded(7);
        let client = MapClient::new(&ambient);
        let runtime = SimulatedRuntime::new(rules, [10, 244, 0, 0].into(), ambient.clone());
        let dir = tempfile::tempdir().unwrap();
        let agent = start(&client, &runtime, &ambient, dir.path()).await;
        Self { client, runtime, agent, ambient, dir }
    }

    pub(crate) async fn restart_agent(&mut self) {
        self.agent.stop().await;
        self.agent = start(&self.client, &self.runtime, &self.ambient, self.dir.path()).await;
    }

    pub(crate) fn create(&self, spec: Value, annotations: Value) {
        let mut spec = spec;
        spec["nodeName"] = json!("n1");
        let meta =
            json!({"name": "web", "namespace": "default", "uid": "u", "annotations": annotations, "generation": 1});
        let body =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": {"phase": "Pending"}});
        self.client.put(&PODS, &key(), body);
    }

    pub(crate) async fn pod(&self) -> Option<Pod> {
        self.client.get(&PODS, &key(), None).await.ok().map(|p| p.parse().unwrap())
    }

    /// Waits in virtual time until the pod is as wanted.
    #[track_caller]
    pub(crate) fn until(&self, what: &'static str, mut test: impl FnMut(&Pod) -> bool) -> impl Future<Output = Pod> {
        let place = std::panic::Location::caller();
        async move {
            let mut last = None;
            for _ in 0..5000 {
                if let Some(pod) = self.pod().await {
                    if test(&pod) {
                        return pod;
                    }
                    last = Some(pod);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            panic!("{place}: {what} never came: {}", serde_json::to_string_pretty(&last).unwrap());
        }
    }

    pub(crate) async fn runtime_container(&self) -> orch_runtime::node::container::Container {
        self.runtime.list().await.unwrap()[0].containers[0].clone()
    }

    pub(crate) async fn events(&self) -> Vec<String> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let events = Gvr::of("", "v1", "events");
        let page = self.client.list(&events, &ListOptions::default()).await.unwrap();
        let mut all: Vec<(u64, Event)> = page.items.iter().map(|o| (o.revision.0, o.parse().unwrap())).collect();
        all.sort_by_key(|(revision, _)| *revision);
        let pods = all.into_iter().filter(|(_, e)| e.involved_object.kind.as_deref() == Some("Pod"));
        pods.map(|(_, e)| format!("{}: {}", e.reason.unwrap(), e.message.unwrap())).collect()
    }
}

pub(crate) fn key() -> Key {
    Key::new("default", "web")
}

async fn start(client: &Arc<MapClient>, runtime: &SimulatedRuntime, ambient: &Ambient, dir: &std::path::Path) -> Agent {
    let mut config = AgentConfig::new("n1", dir);
    config.addresses = vec![[192, 168, 0, 1].into()];
    let parts = AgentParts {
        client: client.clone(),
        objects: Objects::new(client.clone(), ambient.clone()),
        informers: None,
        runtime: Arc::new(runtime.clone()),
        prober: Arc::new(runtime.clone()),
        pods: PodFeed::Watch,
        ambient: ambient.clone(),
    };
    Agent::start(config, parts).await.unwrap()
}

fn one(extra: Value) -> Value {
    let mut container = json!({"name": "main", "image": "app:1"});
    testing::merge(&mut container, extra);
    json!({"containers": [container], "restartPolicy": "Always"})
}

fn ready(pod: &Pod) -> bool {
    condition(pod, "Ready") == "True"
}

fn condition(pod: &Pod, kind: &str) -> String {
    let all = pod.status.iter().flat_map(|s| s.conditions.iter().flatten());
    all.into_iter().find(|c| c.type_ == kind).map(|c| c.status.clone()).unwrap_or_default()
}

fn waiting(pod: &Pod) -> String {
    let state = pod.status.as_ref().unwrap().container_statuses.as_ref().and_then(|s| s[0].state.clone());
    let waiting = state.and_then(|s| s.waiting);
    waiting.map(|w| format!("{} {}", w.reason.unwrap_or_default(), w.message.unwrap_or_default())).unwrap_or_default()
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().unwrap().phase.as_deref().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_panics_is_followed_by_another_one_that_adopts_what_runs() {
    let world = World::new(Rules::default()).await;
    world.client.broken.store(3, Ordering::Relaxed);
    world.create(one(json!({})), json!({}));
    let pod = world.until("ready", ready).await;
    assert_eq!(world.client.broken.load(Ordering::Relaxed), 0);
    assert_eq!(pod.status.unwrap().container_statuses.unwrap()[0].restart_count, 0);
    let sandboxes = world.runtime.list().await.unwrap();
    assert_eq!((sandboxes.len(), sandboxes[0].containers.len()), (1, 1));
    let words = "FailedSync: error syncing pod: the pod's worker panicked: this client is broken";
    assert!(world.events().await.contains(&words.to_owned()), "{:?}", world.events().await);
}

#[tokio::test(start_paused = true)]
async fn a_pod_runs_becomes_ready_and_is_deleted() {
    let world = World::new(Rules::default()).await;
    world.create(one(json!({})), json!({}));
    let pod = world.until("ready", ready).await;
    let status = pod.status.as_ref().unwrap();
    assert_eq!(phase(&pod), "Running");
    assert_eq!((status.pod_ip.as_deref(), status.host_ip.as_deref()), (Some("10.244.0.2"), Some("192.168.0.1")));
    assert_eq!(status.qos_class.as_deref(), Some("BestEffort"));
    assert_eq!(status.observed_generation, Some(1));
    let main = &status.container_statuses.as_ref().unwrap()[0];
    assert!(main.container_id.as_ref().unwrap().starts_with("simulated://"));
    for kind in ["PodReadyToStartContainers", "Initialized", "ContainersReady", "PodScheduled"] {
        assert_eq!(condition(&pod, kind), "True", "{kind}");
    }
    world.client.delete(&PODS, &key(), &DeleteOptions::default()).await.unwrap();
    while world.pod().await.is_some() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(world.runtime.list().await.unwrap().is_empty());
    assert!(world.agent.pods().is_empty());
    let expected = [
        "Pulling: Pulling image \"app:1\"",
        "Pulled: Successfully pulled image \"app:1\" in 500ms (500ms including waiting). Image size: 10485760 bytes.",
        "Created: Container created",
        "Started: Container started",
        "Killing: Stopping container main",
    ];
    assert_eq!(world.events().await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_crashing_pod_backs_off_longer_each_time() {
    let world = World::new(Rules::default()).await;
    world.create(one(json!({})), json!({"simulated.orch.dev/run": "1", "simulated.orch.dev/exit-code": "3"}));
    let expected =
        |delay: &str| format!("CrashLoopBackOff back-off {delay} restarting failed container=main pod=web_default(u)");
    for delay in ["10s", "20s", "40s"] {
        let pod = world.until(delay, |p| waiting(p) == expected(delay)).await;
        let main = pod.status.as_ref().unwrap().container_statuses.as_ref().unwrap()[0].clone();
        let last = main.last_state.unwrap().terminated.unwrap();
        assert_eq!((last.exit_code, last.reason.as_deref()), (3, Some("Error")));
        assert_eq!(phase(&pod), "Running");
        assert!(!ready(&pod));
    }
    let sandbox = &world.runtime.list().await.unwrap()[0];
    assert!(sandbox.containers.len() <= 3, "dead containers are removed");
    assert!(
        world
            .events()
            .await
            .iter()
            .any(|e| { e == "BackOff: Back-off restarting failed container main in pod web_default(u)" })
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_never_restarts_ends_by_its_exit_codes() {
    for (code, expected, reason) in [("0", "Succeeded", "PodCompleted"), ("2", "Failed", "PodFailed")] {
        let world = World::new(Rules::default()).await;
        let mut spec = one(json!({}));
        spec["restartPolicy"] = json!("Never");
        world.create(spec, json!({"simulated.orch.dev/run": "1", "simulated.orch.dev/exit-code": code}));
        let pod = world.until(expected, |p| phase(p) == expected).await;
        let conditions = pod.status.as_ref().unwrap().conditions.as_ref().unwrap();
        let ready = conditions.iter().find(|c| c.type_ == "Ready").unwrap();
        assert_eq!((ready.status.as_str(), ready.reason.as_deref()), ("False", Some(reason)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_is_said_and_tried_again() {
    let rules = Rules { missing_images: vec![("nope".into(), "manifest unknown".into())], ..Rules::default() };
    let world = World::new(rules).await;
    world.create(one(json!({"image": "nope:1"})), json!({}));
    let words = "failed to pull image \"nope:1\": manifest unknown";
    world.until("ErrImagePull", |p| waiting(p) == format!("ErrImagePull {words}")).await;
    let waits = format!("ImagePullBackOff Back-off pulling image \"nope:1\": ErrImagePull: {words}");
    let pod = world.until("ImagePullBackOff", |p| waiting(p) == waits).await;
    assert_eq!(phase(&pod), "Pending");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let events = world.events().await;
    assert!(events.iter().any(|e| e == "BackOff: Back-off pulling image \"nope:1\""), "{events:?}");
    assert!(events.iter().any(|e| e == "Failed: Error: ImagePullBackOff"), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_missing_config_map_holds_the_container_until_it_appears() {
    let world = World::new(Rules::default()).await;
    world.create(one(json!({"envFrom": [{"configMapRef": {"name": "m"}}]})), json!({}));
    world.until("the error", |p| waiting(p) == "CreateContainerConfigError configmap \"m\" not found").await;
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "default"}, "data": {"a": "b"}});
    world.client.put(&crate::env::CONFIG_MAPS, &Key::new("default", "m"), map);
    world.until("ready", ready).await;
}

#[tokio::test(start_paused = true)]
async fn probes_decide_about_readiness_and_restarts() {
    let world = World::new(Rules::default()).await;
    let probe = json!({"tcpSocket": {"port": 80}, "periodSeconds": 1, "failureThreshold": 2});
    world.create(
        one(json!({"readinessProbe": probe, "livenessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 1, "initialDelaySeconds": 10}})),
        json!({"simulated.orch.dev/ready-after": "5", "simulated.orch.dev/unhealthy-after": "30"}),
    );
    let running = world.until("running", |p| phase(p) == "Running").await;
    assert!(!ready(&running));
    world.until("ready", ready).await;
    world.until("unready", |p| !ready(p)).await;
    let restarts = |p: &Pod| p.status.as_ref().unwrap().container_statuses.as_ref().unwrap()[0].restart_count;
    world.until("restarted", |p| restarts(p) == 1).await;
    let events = world.events().await;
    assert!(
        events.iter().any(|e| e == "Killing: Container main failed liveness probe, will be restarted"),
        "{events:?}"
    );
    assert!(events.iter().any(|e| e.starts_with("Unhealthy: Readiness probe failed: ")), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_agent_adopts_what_runs_and_removes_what_nobody_wants() {
    let mut world = World::new(Rules::default()).await;
    world.create(one(json!({"readinessProbe": {"tcpSocket": {"port": 80}}})), json!({}));
    let before = world.until("ready", ready).await;
    let orphan = orch_runtime::node::container::SandboxConfig { uid: "orphan".into(), ..Default::default() };
    world.runtime.run_sandbox(orphan).await.unwrap();
    world.restart_agent().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let after = world.pod().await.unwrap();
    assert_eq!(before.status, after.status);
    let left: Vec<_> = world.runtime.list().await.unwrap().into_iter().map(|s| s.uid).collect();
    assert_eq!(left, ["u"]);
}

#[tokio::test(start_paused = true)]
async fn volumes_are_written_and_follow_their_objects() {
    let world = World::new(Rules::default()).await;
    let maps = crate::env::CONFIG_MAPS;
    let map = |value: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "default"}, "data": {"k": value}});
    world.client.put(&maps, &Key::new("default", "m"), map("1"));
    let mut spec = one(json!({"volumeMounts": [{"name": "all", "mountPath": "/all"}]}));
    spec["volumes"] = json!([{"name": "all", "projected": {"sources": [
        {"configMap": {"name": "m"}},
        {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {"serviceAccountToken": {"path": "token"}}]}}]);
    world.create(spec, json!({}));
    world.until("ready", ready).await;
    let dir = world.dir.path().join("pods/u/volumes/all");
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    let first = read("token");
    assert_eq!((read("k"), read("name")), ("1".into(), "web".into()));
    world.client.put(&maps, &Key::new("default", "m"), map("2"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((read("k"), read("token")), ("2".into(), first.clone()));
    tokio::time::sleep(Duration::from_secs(3000)).await;
    assert_ne!(read("token"), first, "tokens are renewed before they expire");
    world.client.delete(&PODS, &key(), &DeleteOptions::default()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert!(!world.dir.path().join("pods/u").exists());
}

#[tokio::test(start_paused = true)]
async fn the_node_registers_and_renews_its_lease() {
    let world = World::new(Rules::default()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let node = world.client.get(&Gvr::of("", "v1", "nodes"), &Key::cluster("n1"), None).await.unwrap();
    assert_eq!(node.meta.labels.get("kubernetes.io/hostname"), Some("n1"));
    let body: Value = node.parse().unwrap();
    assert_eq!(body["status"]["conditions"][3]["type"], "Ready");
    assert_eq!(body["status"]["allocatable"]["pods"], "110");
    let lease = || async {
        let leases = Gvr::of("coordination.k8s.io", "v1", "leases");
        let found = world.client.get(&leases, &Key::new("kube-node-lease", "n1"), None).await.unwrap();
        found.parse::<Value>().unwrap()["spec"]["renewTime"].as_str().unwrap().to_owned()
    };
    let first = lease().await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_ne!(lease().await, first);
}

#[tokio::test(start_paused = true)]
async fn resources_that_others_advertise_on_a_node_stay() {
    let world = World::new(Rules::default()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (nodes, key) = (Gvr::of("", "v1", "nodes"), Key::cluster("n1"));
    let patch = Patch::Merge(json!({"status": {"capacity": {"example.com/foo": "5", "cpu": "1"}}}));
    world.client.patch(&nodes, &key, Some("status"), patch, &WriteOptions::default()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    let status = world.client.get(&nodes, &key, None).await.unwrap().parse::<Value>().unwrap()["status"].take();
    let of = |list: &str, name: &str| status[list][name].clone();
    assert_eq!((of("capacity", "example.com/foo"), of("allocatable", "example.com/foo")), (json!("5"), json!("5")));
    assert_eq!(of("capacity", "cpu"), json!("32"), "its own it knows better");
}

#[tokio::test(start_paused = true)]
async fn an_idle_pod_causes_no_writes() {
    let world = World::new(Rules::default()).await;
    world.create(one(json!({})), json!({}));
    world.until("ready", ready).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = world.client.get(&PODS, &key(), None).await.unwrap().revision;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(world.client.get(&PODS, &key(), None).await.unwrap().revision, before);
}
