use super::*;
use crate::{Controller, Plan};
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::ConfigMap,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use orch_api::Object;
use orch_store::{Client, ClientExt, Informers, backend::MemoryBackend, testing::BareClient};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Gives every config map `source-…` a copy, which it owns.
#[derive(Default)]
struct Copier {
    planned: AtomicUsize,
}

impl Controller for Copier {
    const NAME: &'static str = "copier";
    const ABOUT: &'static str = "Copies config maps.";
    type World = (Arc<ConfigMap>, Option<Arc<ConfigMap>>);

    fn watches(&self) -> Watches {
        Watches::root::<ConfigMap>().owns::<ConfigMap>()
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<Self::World> {
        assert!(&*key.name != "source-bad", "this one cannot be looked at");
        let source: Arc<ConfigMap> = key.name.starts_with("source-").then(|| view.get(key))??;
        let copy = view.get(&Key::new(key.namespace.clone(), format!("copy-of-{}", key.name)));
        Some((source, copy))
    }

    fn plan(&self, (source, copy): &Self::World, _now: Timestamp) -> Plan {
        self.planned.fetch_add(1, Ordering::SeqCst);
        let mut plan = Plan::default();
        match copy {
            None => plan.create(&ConfigMap {
                metadata: ObjectMeta {
                    owner_references: Some(vec![OwnerReference {
                        api_version: "v1".into(),
                        kind: "ConfigMap".into(),
                        name: source.key().name.to_string(),
                        uid: source.uid().into(),
                        controller: Some(true),
                        block_owner_deletion: None,
                    }]),
                    ..meta(&format!("copy-of-{}", source.key().name))
                },
                data: source.data.clone(),
                ..ConfigMap::default()
            }),
            Some(copy) => {
                plan.update(&**copy, &ConfigMap { data: source.data.clone(), ..(**copy).clone() });
            }
        }
        plan
    }
}

fn meta(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.into()), namespace: Some("default".into()), ..ObjectMeta::default() }
}

fn source(name: &str, value: &str) -> ConfigMap {
    let data = Some(BTreeMap::from([("key".to_owned(), value.to_owned())]));
    ConfigMap { metadata: meta(name), data, ..ConfigMap::default() }
}

/// A running controller over a real store and real informers.
struct Fixture {
    client: Arc<dyn Client>,
    controller: Arc<Copier>,
    ambient: Ambient,
}

impl Fixture {
    fn start() -> Self {
        let ambient = Ambient::seeded(1);
        let client: Arc<dyn Client> = Arc::new(BareClient::new(Arc::new(MemoryBackend::new()), ambient.clone()));
        let caches = Caches::new(Informers::new(client.clone(), ambient.clone()));
        let controller = Arc::new(Copier::default());
        let running = run(controller.clone(), caches, ambient.clone(), Options::default());
        ambient.tasks.spawn_graceful(running);
        Self { client, controller, ambient }
    }

    /// Waits until the copy of a source holds this.
    async fn copied(&self, name: &str, value: &str) {
        let key = Key::new("default", format!("copy-of-{name}"));
        let holds = async {
            loop {
                let copy = self.client.find::<ConfigMap>(&key).await.unwrap();
                if copy.is_some_and(|c| c.data == source(name, value).data) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), holds).await.expect("copied in time");
    }
}

#[tokio::test(start_paused = true)]
async fn a_controller_follows_its_roots_and_what_they_own() {
    let fixture = Fixture::start();
    let created = fixture.client.add(&source("source-a", "1")).await.unwrap();
    fixture.copied("source-a", "1").await;
    let changed = ConfigMap { data: source("", "2").data, ..(*created).clone() };
    fixture.client.replace(&changed).await.unwrap();
    fixture.copied("source-a", "2").await;
    fixture.client.remove::<ConfigMap>(&Key::new("default", "copy-of-source-a")).await.unwrap();
    fixture.copied("source-a", "2").await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_over_one_key_leaves_the_others_alone() {
    let fixture = Fixture::start();
    fixture.client.add(&source("source-bad", "1")).await.unwrap();
    fixture.client.add(&source("source-good", "1")).await.unwrap();
    fixture.copied("source-good", "1").await;
}

#[tokio::test(start_paused = true)]
async fn a_settled_world_is_not_planned_again() {
    let fixture = Fixture::start();
    fixture.client.add(&source("source-a", "1")).await.unwrap();
    fixture.copied("source-a", "1").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let settled = fixture.controller.planned.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(fixture.controller.planned.load(Ordering::SeqCst), settled);
    assert!(settled <= 3, "planned {settled} times for one create");
}

#[tokio::test(start_paused = true)]
async fn a_loop_ends_when_its_ambience_does() {
    let fixture = Fixture::start();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stopped = tokio::time::timeout(Duration::from_secs(60), fixture.ambient.tasks.stop()).await;
    assert!(stopped.is_ok());
}

/// What a loop of hand-made work does with a key.
type Does =
    Arc<dyn Fn(Key, Journal) -> futures::future::BoxFuture<'static, Result<Option<Duration>, Error>> + Send + Sync>;

struct HandMade(Does);

#[async_trait]
impl Work for HandMade {
    async fn process(&self, key: &Key, journal: &Journal) -> Result<Option<Duration>, Error> {
        (self.0)(key.clone(), journal.clone()).await
    }
}

/// A loop over config maps whose work is a function; what it was called with comes out of the receiver.
struct Loop {
    client: Arc<dyn Client>,
    ambient: Ambient,
    seen: tokio::sync::mpsc::UnboundedReceiver<Key>,
    prometheus: crate::metrics::Prometheus,
}

impl Loop {
    fn start(watches: Watches, change: impl FnOnce(&mut Options), works: std::time::Duration) -> Self {
        let ambient = Ambient::seeded(1);
        let client: Arc<dyn Client> = Arc::new(BareClient::new(Arc::new(MemoryBackend::new()), ambient.clone()));
        let caches = Caches::new(Informers::new(client.clone(), ambient.clone()));
        Self::over(client, caches, ambient, watches, change, works)
    }

    fn over(
        client: Arc<dyn Client>,
        caches: Caches,
        ambient: Ambient,
        watches: Watches,
        change: impl FnOnce(&mut Options),
        works: std::time::Duration,
    ) -> Self {
        let (sender, seen) = tokio::sync::mpsc::unbounded_channel();
        let work: Does = Arc::new(move |key, _| {
            let sender = sender.clone();
            Box::pin(async move {
                tokio::time::sleep(works).await;
                sender.send(key).unwrap();
                Ok(None)
            })
        });
        let prometheus = crate::metrics::Prometheus::new();
        let mut options = Options { meter: Arc::new(prometheus.clone()), ..Options::default() };
        change(&mut options);
        let running = run_erased("hand-made", Arc::new(HandMade(work)), watches, caches, ambient.clone(), options);
        ambient.tasks.spawn_graceful(running);
        Self { client, ambient, seen, prometheus }
    }

    async fn add(&self, name: &str) -> Arc<ConfigMap> {
        self.client.add(&source(name, "1")).await.unwrap()
    }

    async fn next(&mut self) -> String {
        let next = tokio::time::timeout(Duration::from_secs(600), self.seen.recv()).await;
        next.expect("in time").unwrap().name.to_string()
    }

    /// What comes within a second.
    async fn soon(&mut self) -> Vec<String> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        std::iter::from_fn(|| self.seen.try_recv().ok()).map(|key| key.name.to_string()).collect()
    }
}

const AT_ONCE: Duration = Duration::ZERO;

#[tokio::test(start_paused = true)]
async fn a_mapper_that_panics_loses_its_change_and_nothing_else() {
    let watches = Watches::root::<ConfigMap>().only(|delta| {
        let key = delta.key().unwrap();
        assert!(&*key.name != "bad", "no idea");
        true
    });
    let mut running = Loop::start(watches, |_| {}, AT_ONCE);
    running.add("bad").await;
    running.add("good").await;
    assert_eq!(running.next().await, "good");
    let text = running.prometheus.text();
    assert!(text.contains("controller_runtime_watch_panics_total{controller=\"hand-made\"} 1"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_index_that_panics_lacks_one_object_and_nothing_else() {
    let values = |stored: &orch_store::Stored| -> Vec<Arc<str>> {
        assert!(&*stored.key.name != "bad", "no idea");
        vec!["all".into()]
    };
    let ambient = Ambient::seeded(1);
    let client: Arc<dyn Client> = Arc::new(BareClient::new(Arc::new(MemoryBackend::new()), ambient.clone()));
    let caches = Caches::new(Informers::new(client.clone(), ambient.clone()));
    let watches = Watches::root::<ConfigMap>().index("all", values);
    let mut running = Loop::over(client, caches.clone(), ambient, watches, |_| {}, AT_ONCE);
    running.add("bad").await;
    running.add("good").await;
    running.soon().await;
    let found = View::live(&caches).by_index::<ConfigMap>("all", "all");
    assert_eq!(found.iter().map(|map| map.key().name.to_string()).collect::<Vec<_>>(), ["good"]);
    assert_eq!(View::live(&caches).list::<ConfigMap>("").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_changes_is_one_reconcile_where_it_is_debounced() {
    let watches = Watches::root::<ConfigMap>().debounce(Duration::from_millis(500));
    let mut running = Loop::start(watches, |_| {}, AT_ONCE);
    let mut map = running.add("a").await;
    for n in 0..20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        map = running
            .client
            .replace(&ConfigMap { data: source("", &n.to_string()).data, ..(*map).clone() })
            .await
            .unwrap();
    }
    assert_eq!(running.soon().await, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn keys_come_from_streams_as_well() {
    let keys = futures::stream::iter([Key::new("default", "from-afar")]);
    let mut running = Loop::start(Watches::root::<ConfigMap>().stream("afar", keys), |_| {}, AT_ONCE);
    assert_eq!(running.next().await, "from-afar");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_wants_now_overtakes_what_was_there_when_the_loop_began() {
    let ambient = Ambient::seeded(1);
    let client: Arc<dyn Client> = Arc::new(BareClient::new(Arc::new(MemoryBackend::new()), ambient.clone()));
    for n in 0..10 {
        client.add(&source(&format!("old-{n}"), "1")).await.unwrap();
    }
    let caches = Caches::new(Informers::new(client.clone(), ambient.clone()));
    let one = |options: &mut Options| options.concurrency = 1;
    let mut running =
        Loop::over(client, caches, ambient, Watches::root::<ConfigMap>(), one, Duration::from_millis(100));
    assert_eq!(running.next().await, "old-0");
    running.add("new").await;
    let order: Vec<String> = running.soon().await.into_iter().take(3).collect();
    assert!(order.contains(&"new".to_owned()), "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn a_limited_queue_hands_out_its_burst_and_then_at_its_rate() {
    let limit = crate::queue::RateLimit { every: Duration::from_secs(10), burst: 2 };
    let mut running = Loop::start(Watches::root::<ConfigMap>(), |options| options.limit = Some(limit), AT_ONCE);
    for name in ["a", "b", "c", "d"] {
        running.add(name).await;
    }
    assert_eq!(running.soon().await.len(), 2);
    let began = tokio::time::Instant::now();
    running.next().await;
    running.next().await;
    assert_eq!(began.elapsed().as_secs_f64().round() as u64, 19);
}

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_what_runs_but_waits_no_longer_than_the_drain_timeout() {
    for (works, ends) in [(5, 5), (3600, 30)] {
        let mut running = Loop::start(Watches::root::<ConfigMap>(), |_| {}, Duration::from_secs(works));
        tokio::time::sleep(Duration::from_secs(1)).await;
        running.add("a").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let began = tokio::time::Instant::now();
        running.ambient.tasks.stop().await;
        assert_eq!(began.elapsed().as_secs_f64().round() as u64, ends);
        assert_eq!(running.seen.try_recv().is_ok(), works == 5);
    }
}

#[tokio::test(start_paused = true)]
async fn two_loops_over_one_kind_share_one_watch_also_where_one_needs_only_metadata() {
    let ambient = Ambient::seeded(1);
    let client: Arc<dyn Client> = Arc::new(BareClient::new(Arc::new(MemoryBackend::new()), ambient.clone()));
    let counted = Arc::new(Counted { inner: client.clone(), watches: AtomicUsize::new(0) });
    let caches = Caches::new(Informers::new(counted.clone(), ambient.clone()));
    let whole = Watches::root::<ConfigMap>();
    let mut first = Loop::over(client.clone(), caches.clone(), ambient.clone(), whole.clone(), |_| {}, AT_ONCE);
    let mut second = Loop::over(client.clone(), caches.clone(), ambient.clone(), whole, |_| {}, AT_ONCE);
    let metadata = Watches::root::<ConfigMap>().metadata_only();
    let mut third = Loop::over(client, caches, ambient, metadata, |_| {}, AT_ONCE);
    first.add("a").await;
    assert_eq!((first.next().await, second.next().await, third.next().await), ("a".into(), "a".into(), "a".into()));
    assert_eq!(counted.watches.load(Ordering::SeqCst), 1);
}

/// Counts the watches that are opened.
struct Counted {
    inner: Arc<dyn Client>,
    watches: AtomicUsize,
}

#[async_trait]
impl orch_store::client::Around for Counted {
    fn inner(&self) -> orch_store::client::Result<Arc<dyn Client>> {
        Ok(self.inner.clone())
    }

    async fn begin_watch(
        &self,
        resource: &orch_api::Gvr,
        options: &orch_store::client::WatchOptions,
    ) -> orch_store::client::Result<orch_store::client::WatchStream> {
        self.watches.fetch_add(1, Ordering::SeqCst);
        self.inner.watch(resource, options).await
    }
}

/// A client whose watches tell everything ten seconds late.
struct Late(Arc<dyn Client>);

#[async_trait]
impl orch_store::client::Around for Late {
    fn inner(&self) -> orch_store::client::Result<Arc<dyn Client>> {
        Ok(self.0.clone())
    }

    async fn begin_watch(
        &self,
        resource: &orch_api::Gvr,
        options: &orch_store::client::WatchOptions,
    ) -> orch_store::client::Result<orch_store::client::WatchStream> {
        let events = self.0.watch(resource, options).await?;
        let late = events.then(|event| async move {
            tokio::time::sleep(Duration::from_secs(10)).await;
            event
        });
        Ok(late.boxed())
    }
}

/// Creates a child under a name that nobody foresees, and then panics or never returns, the first time.
#[tokio::test(start_paused = true)]
async fn what_was_written_before_a_panic_or_a_timeout_is_seen_before_the_next_try() {
    for panics in [true, false] {
        let ambient = Ambient::seeded(1);
        let client: Arc<dyn Client> = Arc::new(BareClient::new(Arc::new(MemoryBackend::new()), ambient.clone()));
        let informers = Informers::new(Arc::new(Late(client.clone())), ambient.clone());
        let caches = Caches::new(informers);
        let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let (writer, reader) = (client.clone(), caches.clone());
        let work: Does = Arc::new(move |key, journal| {
            let (writer, reader, sender) = (writer.clone(), reader.clone(), sender.clone());
            Box::pin(async move {
                let there = View::live(&reader).list::<ConfigMap>("").len();
                if &*key.name != "root" {
                    return Ok(None);
                }
                sender.send(there).unwrap();
                if there == 1 {
                    let child = orch_store::client::encode(&source("child", "1")).unwrap();
                    let key = Key::new("default", "child");
                    let made = writer.create(&ConfigMap::gvr(), &key, None, child, &Default::default()).await?;
                    journal.note(&ConfigMap::gvr(), made.revision);
                    assert!(!panics, "no idea");
                    std::future::pending::<()>().await;
                }
                Ok(None)
            })
        });
        let options = Options { timeout: Duration::from_secs(1), ..Options::default() };
        let watches = Watches::root::<ConfigMap>();
        let running = run_erased("cut-off", Arc::new(HandMade(work)), watches, caches, ambient.clone(), options);
        ambient.tasks.spawn_graceful(running);
        client.add(&source("root", "1")).await.unwrap();
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!((seen.try_recv(), seen.try_recv()), (Ok(1), Ok(2)), "panics: {panics}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_loop_over_metadata_reads_what_wakes_it_also_when_another_one_wants_whole_objects() {
    let ambient = Ambient::seeded(1);
    let client: Arc<dyn Client> = Arc::new(BareClient::new(Arc::new(MemoryBackend::new()), ambient.clone()));
    // Whole objects come late, metadata at once.
    let mixed = Arc::new(Mixed { late: Late(client.clone()), inner: client.clone() });
    let caches = Caches::new(Informers::new(mixed, ambient.clone()));
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let watches = Watches::root::<ConfigMap>().metadata_only();
    let reader = caches.of(&watches);
    let work: Does = Arc::new(move |key, _| {
        let (reader, sender) = (reader.clone(), sender.clone());
        Box::pin(async move {
            let there = View::live(&reader).stored(&ConfigMap::gvr(), &key).is_some();
            sender.send((key.name.to_string(), there)).unwrap();
            Ok(None)
        })
    });
    let running =
        run_erased("metadata", Arc::new(HandMade(work)), watches, caches.clone(), ambient.clone(), Options::default());
    ambient.tasks.spawn_graceful(running);
    client.add(&source("a", "1")).await.unwrap();
    assert_eq!(seen.recv().await, Some(("a".to_owned(), true)));
    caches.informers().of::<ConfigMap>().synced().await;
    client.add(&source("b", "1")).await.unwrap();
    assert_eq!(seen.recv().await, Some(("b".to_owned(), true)), "what is read is as far as what woke");
}

struct Mixed {
    late: Late,
    inner: Arc<dyn Client>,
}

#[async_trait]
impl orch_store::client::Around for Mixed {
    fn inner(&self) -> orch_store::client::Result<Arc<dyn Client>> {
        Ok(self.inner.clone())
    }

    async fn begin_watch(
        &self,
        resource: &orch_api::Gvr,
        options: &orch_store::client::WatchOptions,
    ) -> orch_store::client::Result<orch_store::client::WatchStream> {
        let from: &dyn Client = if options.metadata_only { &*self.inner } else { &self.late };
        from.watch(resource, options).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_whose_first_list_is_not_urgent_can_be_made_so() {
    let ambient = Ambient::seeded(1);
    let client: Arc<dyn Client> = Arc::new(BareClient::new(Arc::new(MemoryBackend::new()), ambient.clone()));
    for n in 0..10 {
        client.add(&source(&format!("old-{n}"), "1")).await.unwrap();
    }
    let caches = Caches::new(Informers::new(client.clone(), ambient.clone()));
    let one = |options: &mut Options| options.concurrency = 1;
    let watches = Watches::root::<ConfigMap>().priority(crate::Priority::Normal);
    let mut running = Loop::over(client, caches, ambient, watches, one, Duration::from_millis(100));
    assert_eq!(running.next().await, "old-0");
    running.add("new").await;
    let order = running.soon().await;
    assert!(!order.contains(&"new".to_owned()), "{order:?}");
    assert_eq!(running.next().await, "new");
}

/// Says something when it has done its work, which takes five seconds.
struct Speaks;

#[async_trait]
impl crate::Reconciler for Speaks {
    type Kind = ConfigMap;

    async fn reconcile(&self, map: Arc<ConfigMap>, ctx: &crate::Context) -> Result<crate::Requeue, Error> {
        tokio::time::sleep(Duration::from_secs(5)).await;
        ctx.recorder.record(crate::plan::Notice::normal(&*map, "Done", "that was it"));
        Ok(crate::Requeue::OnChange)
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_loop_says_while_it_is_stopped_is_written() {
    let ambient = Ambient::seeded(1);
    // What the loop stands on outlives it.
    let ground = Ambient { tasks: orch_store::Tasks::new(), ..ambient.clone() };
    let client: Arc<dyn Client> = Arc::new(BareClient::new(Arc::new(MemoryBackend::new()), ground.clone()));
    let caches = Caches::new(Informers::new(client.clone(), ground));
    let watches = Watches::root::<ConfigMap>();
    let running = crate::reconciler::run("speaks", Speaks, watches, caches, ambient.clone(), Options::default());
    ambient.tasks.spawn_graceful(running);
    client.add(&source("a", "1")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    ambient.tasks.stop().await;
    let events = client.read_all::<k8s_openapi::api::core::v1::Event>("default").await.unwrap();
    assert_eq!(events.iter().filter_map(|e| e.reason.as_deref()).collect::<Vec<_>>(), ["Done"]);
}
