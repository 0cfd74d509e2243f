use super::*;
use crate::http::Answer;
use crate::{Context, Error, Requeue, queue::Priority};
use async_trait::async_trait;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::ConfigMap};
use orch_api::{Key, Object};
use orch_store::{ClientExt, Informers, backend::MemoryBackend, testing::BareClient};
use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::oneshot;

/// Notes where it found which object, and signs it.
#[derive(Clone, Default)]
struct Signer {
    name: &'static str,
    seen: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Reconciler for Signer {
    type Kind = ConfigMap;

    async fn reconcile(&self, map: Arc<ConfigMap>, ctx: &Context) -> Result<Requeue, Error> {
        self.seen.lock().push(format!("{}/{}", ctx.cluster, map.key().name));
        let mut signed = (*map).clone();
        let data = signed.data.get_or_insert_default();
        if data.contains_key("signed-by") {
            return Ok(Requeue::OnChange);
        }
        data.insert("signed-by".into(), self.name.into());
        let written = ctx.client.replace(&signed).await?;
        let found: Arc<ConfigMap> = ctx.fresh().await.get(&map.key()).unwrap();
        assert!(found.metadata.resource_version == written.metadata.resource_version, "reads its own write");
        Ok(Requeue::OnChange)
    }
}

struct World {
    ambient: Ambient,
    client: Arc<dyn Client>,
    caches: Caches,
}

impl World {
    fn new() -> Self {
        let ambient = Ambient::seeded(1);
        let client: Arc<dyn Client> = Arc::new(BareClient::new(Arc::new(MemoryBackend::new()), ambient.clone()));
        let caches = Caches::new(Informers::new(client.clone(), ambient.clone()));
        Self { ambient, client, caches }
    }

    fn signer(&self, name: &'static str) -> (Manager, Signer) {
        let signer = Signer { name, seen: Arc::default() };
        let watches = Watches::root::<ConfigMap>();
        let election = Election::new(Key::new("default", "signer"), name);
        let ambient = self.ambient.child(name);
        (Manager::new(&self.caches, &ambient).lead(election).reconciler("signer", watches, signer.clone()), signer)
    }

    /// Runs a manager; the sender ends it, the receiver says how it ended.
    fn run(&self, manager: Manager) -> (oneshot::Sender<()>, oneshot::Receiver<Result<(), ManagerError>>) {
        let ((stop, stopped), (end, ended)) = (oneshot::channel::<()>(), oneshot::channel());
        self.ambient.tasks.spawn_graceful(async move {
            let result = manager.run(async { drop(stopped.await) }).await;
            let _ = end.send(result);
        });
        (stop, ended)
    }

    async fn add(&self, name: &str) {
        let mut map = ConfigMap::default();
        (map.metadata.name, map.metadata.namespace) = (Some(name.into()), Some("default".into()));
        self.client.add(&map).await.unwrap();
    }

    async fn signed(&self, name: &str) -> Option<String> {
        let key = Key::new("default", name);
        let is_signed = |map: Option<&ConfigMap>| map.is_some_and(|map| map.data.is_some());
        let map = tokio::time::timeout(Duration::from_secs(300), self.client.wait_for(&key, is_signed)).await;
        map.expect("signed in time").unwrap()?.data.clone()?.remove("signed-by")
    }
}

#[tokio::test(start_paused = true)]
async fn a_standby_is_warm_writes_nothing_and_takes_over() {
    let world = World::new();
    let (first, _) = world.signer("first");
    let (stop, ended) = world.run(first);
    world.add("a").await;
    assert_eq!(world.signed("a").await.as_deref(), Some("first"));
    let (second, seen) = world.signer("second");
    let (stop_second, _) = world.run(second);
    world.add("b").await;
    assert_eq!(world.signed("b").await.as_deref(), Some("first"));
    assert!(seen.seen.lock().is_empty());
    stop.send(()).unwrap();
    ended.await.unwrap().unwrap();
    world.add("c").await;
    assert_eq!(world.signed("c").await.as_deref(), Some("second"));
    drop(stop_second);
}

#[tokio::test(start_paused = true)]
async fn a_manager_whose_lease_is_taken_ends_and_says_so() {
    let world = World::new();
    let (manager, _) = world.signer("first");
    let (_stop, ended) = world.run(manager);
    world.add("a").await;
    world.signed("a").await;
    let key = Key::new("default", "signer");
    world
        .client
        .modify::<Lease, _>(&key, |lease| {
            lease.spec.as_mut().unwrap().holder_identity = Some("usurper".into());
        })
        .await
        .unwrap();
    let error = ended.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the lease default/signer was lost");
}

#[tokio::test(start_paused = true)]
async fn one_reconciler_runs_over_two_clusters_and_is_told_which() {
    let (west, east) = (World::new(), World::new());
    let signer = Signer { name: "both", seen: Arc::default() };
    let manager = Manager::new(&west.caches, &west.ambient).cluster("east", &east.caches).reconciler(
        "signer",
        Watches::root::<ConfigMap>(),
        signer.clone(),
    );
    let _running = west.run(manager);
    west.add("a").await;
    east.add("b").await;
    west.signed("a").await;
    east.signed("b").await;
    let mut seen = signer.seen.lock().clone();
    seen.dedup();
    seen.sort();
    assert_eq!(seen.first().map(String::as_str), Some("/a"));
    assert_eq!(seen.last().map(String::as_str), Some("east/b"));
}

#[tokio::test(start_paused = true)]
async fn an_election_whose_times_contradict_each_other_does_not_begin() {
    let world = World::new();
    let (manager, _) = world.signer("first");
    let bad = Election { renew_deadline: Duration::from_secs(20), ..manager.election.clone().unwrap() };
    let error = manager.lead(bad).run(std::future::pending()).await.unwrap_err();
    assert_eq!(error.to_string(), "leader election: the lease duration must be greater than the renew deadline");
}

#[tokio::test(start_paused = true)]
async fn health_readiness_and_metrics_tell_of_the_loops() {
    let world = World::new();
    let (manager, _) = world.signer("first");
    let mut endpoints = manager.endpoints();
    endpoints.add_ready("disk", || Err("full".into()));
    assert_eq!(endpoints.answer("/healthz", "").status, 200);
    assert_eq!(endpoints.answer("/healthz/ping", "verbose"), Answer::text(200, "[+]ping ok\nhealthz check passed\n"));
    assert_eq!(
        endpoints.answer("/readyz", ""),
        Answer::text(500, "[+]ping ok\n[-]disk failed: full\nreadyz check failed\n")
    );
    assert_eq!(endpoints.answer("/healthz/nothing", "").status, 404);
    let _running = world.run(manager);
    world.add("a").await;
    world.signed("a").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let text = String::from_utf8(endpoints.answer("/metrics", "").body.to_vec()).unwrap();
    for line in [
        "workqueue_depth{name=\"signer\",controller=\"signer\"} 0.0",
        "controller_runtime_reconcile_total{controller=\"signer\",result=\"success\"} ",
        "controller_runtime_max_concurrent_reconciles{controller=\"signer\"} 5.0",
        "leader_election_master_status{name=\"signer\"} 1.0",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_of_ones_own_is_used() {
    let world = World::new();
    let made = Arc::new(Mutex::new(0));
    let count = made.clone();
    let signer = Signer { name: "me", seen: Arc::default() };
    let manager = Manager::new(&world.caches, &world.ambient)
        .options(|options| {
            options.queue = Some(Arc::new(move |options: &Options| {
                *count.lock() += 1;
                let queue = crate::queue::Queue::new(options.backoff);
                crate::WorkQueue::add(&queue, Key::new("default", "ghost"), Priority::High);
                Arc::new(queue)
            }));
        })
        .reconciler("signer", Watches::root::<ConfigMap>(), signer);
    let _running = world.run(manager);
    world.add("a").await;
    world.signed("a").await;
    assert_eq!(*made.lock(), 1);
}

/// Writes under a generated name and is cut off, the first time.
struct CutOff {
    tries: Arc<Mutex<Vec<usize>>>,
}

#[async_trait]
impl Reconciler for CutOff {
    type Kind = ConfigMap;

    async fn reconcile(&self, map: Arc<ConfigMap>, ctx: &Context) -> Result<Requeue, Error> {
        if &*map.key().name != "root" {
            return Ok(Requeue::OnChange);
        }
        let found = ctx.view().list::<ConfigMap>("").len();
        self.tries.lock().push(found);
        if found == 1 {
            let mut child = ConfigMap::default();
            (child.metadata.name, child.metadata.namespace) = (Some("child".into()), Some("default".into()));
            ctx.client.add(&child).await?;
            std::future::pending::<()>().await;
        }
        Ok(Requeue::OnChange)
    }
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_that_timed_out_after_a_write_is_tried_again_only_when_the_caches_have_it() {
    let world = World::new();
    let tries = Arc::new(Mutex::new(Vec::new()));
    let manager = Manager::new(&world.caches, &world.ambient).reconciler(
        "cut-off",
        Watches::root::<ConfigMap>(),
        CutOff { tries: tries.clone() },
    );
    let _running = world.run(manager);
    world.add("root").await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(*tries.lock(), [1, 2]);
}

/// Notes what it is told to be gone.
#[derive(Clone, Default)]
struct Mourner(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Reconciler for Mourner {
    type Kind = ConfigMap;

    async fn reconcile(&self, _: Arc<ConfigMap>, _: &Context) -> Result<Requeue, Error> {
        Ok(Requeue::OnChange)
    }

    async fn gone(&self, key: &Key, _: &Context) -> Result<(), Error> {
        self.0.lock().push(key.name.to_string());
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_does_not_fit_its_type_is_not_taken_for_gone() {
    let (world, mourner) = (World::new(), Mourner::default());
    let watches = Watches::root::<ConfigMap>();
    let manager = Manager::new(&world.caches, &world.ambient).reconciler("mourner", watches, mourner.clone());
    let endpoints = manager.endpoints();
    let _running = world.run(manager);
    let misfit = serde_json::json!({"metadata": {"name": "misfit", "namespace": "default"}, "data": 5});
    let key = Key::new("default", "misfit");
    world.client.create(&ConfigMap::gvr(), &key, None, misfit, &Default::default()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(*mourner.0.lock(), [""; 0]);
    let text = String::from_utf8(endpoints.answer("/metrics", "").body.to_vec()).unwrap();
    assert!(text.contains("controller_runtime_terminal_reconcile_errors_total{controller=\"mourner\"} 1"), "{text}");
    world.client.remove::<ConfigMap>(&key).await.ok();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(*mourner.0.lock(), ["misfit"]);
}

/// Never comes to an end, as a reconcile that waits for a slow cloud.
struct Stuck;

#[async_trait]
impl Reconciler for Stuck {
    type Kind = ConfigMap;

    async fn reconcile(&self, _: Arc<ConfigMap>, _: &Context) -> Result<Requeue, Error> {
        std::future::pending().await
    }
}

/// In one test, since a signal meets the whole process. The time is real: signals come from outside.
#[tokio::test]
async fn a_signal_ends_a_manager_in_order_and_a_second_one_at_once() {
    let send = || {
        let id = std::process::id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    };
    let world = World::new();
    let (manager, _) = world.signer("orderly");
    let running = manager.run_until_signal();
    tokio::pin!(running);
    assert!(futures::poll!(&mut running).is_pending());
    send();
    tokio::time::timeout(Duration::from_secs(20), running).await.expect("it ends").unwrap();

    let manager = Manager::new(&world.caches, &world.ambient).reconciler("stuck", Watches::root::<ConfigMap>(), Stuck);
    world.add("a").await;
    let running = manager.run_until_signal();
    tokio::pin!(running);
    for _ in 0..2 {
        // Long enough to have begun with the object; the first signal alone would wait for it for half a minute.
        let early = tokio::time::timeout(Duration::from_millis(200), &mut running).await;
        assert!(early.is_err(), "{early:?}");
        send();
    }
    let ended = tokio::time::timeout(Duration::from_secs(10), running).await.expect("it ends at once");
    assert_eq!(ended.unwrap_err().to_string(), "interrupted before everything had ended");
}
