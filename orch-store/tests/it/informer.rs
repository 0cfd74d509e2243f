//! Shared informers over a bare client, under a paused clock.

use async_trait::async_trait;
use futures::StreamExt;
use orch_api::{Gvr, Key, Reason, StatusError};
use orch_store::{
    Ambient, Client, Informer, Informers, Revision, Stored,
    backend::MemoryBackend,
    client::{Around, DeleteOptions, ListOptions, Page, Patch, Result, WatchOptions, WatchStream, WriteOptions},
    informer::Delta,
    testing::BareClient,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc::UnboundedReceiver;

const PODS: Gvr = Gvr::of("", "v1", "pods");
const NODES: Gvr = Gvr::of("", "v1", "nodes");

struct World {
    client: Arc<Faulty>,
    informers: Informers,
    pods: Informer,
}

impl World {
    fn new() -> Self {
        let ambient = Ambient::seeded(1);
        let client = Arc::new(Faulty::new(BareClient::new(Arc::new(MemoryBackend::new()), ambient.clone())));
        let informers = Informers::new(client.clone(), ambient);
        let pods = informers.get(&PODS);
        Self { client, informers, pods }
    }

    async fn create(&self, name: &str, owner: &str) -> Arc<Stored> {
        let body = json!({"metadata": {"name": name, "namespace": "n", "ownerReferences": [{"uid": owner}]}});
        self.client.create(&PODS, &Key::new("n", name), None, body, &WriteOptions::default()).await.unwrap()
    }

    async fn label(&self, name: &str, value: &str) -> Arc<Stored> {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"app": value}}}));
        self.client.patch(&PODS, &Key::new("n", name), None, patch, &WriteOptions::default()).await.unwrap()
    }

    async fn delete(&self, name: &str) -> Arc<Stored> {
        self.client.delete(&PODS, &Key::new("n", name), &DeleteOptions::default()).await.unwrap()
    }

    async fn other(&self) -> Revision {
        let name = format!("n{}", self.client.inner.cache().revision());
        let body = json!({"metadata": {"name": name}});
        let node = self.client.create(&NODES, &Key::cluster(name), None, body, &WriteOptions::default()).await;
        node.unwrap().revision
    }

    fn names(&self) -> String {
        names(self.pods.list(""))
    }
}

fn names(objects: Vec<Arc<Stored>>) -> String {
    objects.iter().map(|o| o.key.name.to_string()).collect::<Vec<_>>().join(" ")
}

fn drain(deltas: &mut UnboundedReceiver<Delta>) -> String {
    let mut said = Vec::new();
    while let Ok(delta) = deltas.try_recv() {
        said.push(match (delta.old, delta.new) {
            (None, Some(new)) => format!("+{}", new.key.name),
            (Some(old), Some(new)) => {
                assert!(old.revision < new.revision);
                format!("~{}", new.key.name)
            }
            (Some(old), None) => format!("-{}", old.key.name),
            (None, None) => "nothing".into(),
        });
    }
    said.join(" ")
}

/// A client whose watches can be made to end, fail and stay silent.
struct Faulty {
    inner: BareClient,
    faults: Mutex<Faults>,
    watches: AtomicUsize,
    lists: AtomicUsize,
}

#[derive(Default)]
struct Faults {
    /// Refuse watches that begin with the state, as old servers do.
    no_watch_list: bool,
    /// Answers for the next watches.
    refusals: Vec<StatusError>,
    /// Ends all current watches when dropped.
    breaker: tokio_util::sync::CancellationToken,
    /// Ends each watch after so many events, with 410.
    cut_after: Option<usize>,
}

impl Faulty {
    fn new(inner: BareClient) -> Self {
        Self { inner, faults: Mutex::default(), watches: AtomicUsize::new(0), lists: AtomicUsize::new(0) }
    }

    fn break_watches(&self) {
        std::mem::take(&mut self.faults.lock().breaker).cancel();
    }
}

#[async_trait]
impl Around for Faulty {
    fn inner(&self) -> Result<Arc<dyn Client>> {
        Ok(Arc::new(self.inner.clone()))
    }

    async fn read_page(&self, resource: &Gvr, options: &ListOptions) -> Result<Page> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        self.inner.list(resource, options).await
    }

    async fn begin_watch(&self, resource: &Gvr, options: &WatchOptions) -> Result<WatchStream> {
        self.watches.fetch_add(1, Ordering::Relaxed);
        let (breaker, cut_after) = {
            let mut faults = self.faults.lock();
            if options.initial_events && faults.no_watch_list {
                return Err(StatusError::new(Reason::Invalid, "sendInitialEvents: Forbidden"));
            }
            if let Some(refusal) = faults.refusals.pop() {
                return Err(refusal);
            }
            (faults.breaker.clone(), faults.cut_after.filter(|_| !options.initial_events))
        };
        let events = self.inner.watch(resource, options).await?;
        let events = events.take_until(async move { breaker.cancelled().await });
        Ok(match cut_after {
            Some(n) => {
                let cut = futures::stream::iter([Err(StatusError::expired("cut"))]);
                events.take(n).chain(cut).boxed()
            }
            None => events.boxed(),
        })
    }
}

#[tokio::test(start_paused = true)]
async fn the_state_and_every_change_reach_readers_and_subscribers() {
    let world = World::new();
    world.create("a", "u1").await;
    world.pods.synced().await;
    assert_eq!(world.names(), "a");
    let mut deltas = world.pods.subscribe();
    world.create("b", "u1").await;
    world.label("a", "x").await;
    let last = world.delete("b").await;
    world.pods.caught_up(last.revision).await;
    assert_eq!(drain(&mut deltas), "+a +b ~a -b");
    assert_eq!(world.names(), "a");
    assert_eq!(world.client.watches.load(Ordering::Relaxed), 1, "one watch serves all");
}

#[tokio::test(start_paused = true)]
async fn a_lost_watch_is_resumed_and_no_delta_is_lost_or_repeated() {
    let world = World::new();
    let mut deltas = world.pods.subscribe();
    world.create("a", "").await;
    world.pods.synced().await;
    for round in 0..10 {
        world.client.break_watches();
        let name = format!("p{round}");
        world.create(&name, "").await;
        world.label("a", &name).await;
        let last = world.delete(&name).await;
        world.pods.caught_up(last.revision).await;
        let said = drain(&mut deltas);
        assert_eq!(said.trim_start_matches("+a "), format!("+{name} ~a -{name}"));
    }
    assert_eq!(world.client.lists.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn after_410_a_re_list_emits_exactly_the_difference() {
    let world = World::new();
    for name in ["kept", "changed", "deleted"] {
        world.create(name, "").await;
    }
    world.pods.synced().await;
    let mut deltas = world.pods.subscribe();
    drain(&mut deltas);
    // While the informer is away: too far behind to resume.
    world.client.faults.lock().refusals = vec![StatusError::expired("too old")];
    world.client.break_watches();
    world.create("new", "").await;
    world.label("changed", "x").await;
    let last = world.delete("deleted").await;
    world.pods.caught_up(last.revision).await;
    assert_eq!(drain(&mut deltas), "-deleted ~changed +new");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_cut_again_and_again_still_converges() {
    let world = World::new();
    world.client.faults.lock().cut_after = Some(1);
    world.pods.synced().await;
    for i in 0..20 {
        world.create(&format!("p{i:02}"), "").await;
    }
    let last = world.delete("p07").await;
    world.pods.caught_up(last.revision).await;
    assert_eq!(world.pods.len(), 19);
}

#[tokio::test(start_paused = true)]
async fn a_server_without_watch_list_is_listed() {
    let world = World::new();
    world.client.faults.lock().no_watch_list = true;
    world.create("a", "").await;
    world.pods.synced().await;
    assert_eq!(world.names(), "a");
    let b = world.create("b", "").await;
    world.pods.seen(&b.key, b.revision).await;
    assert_eq!(world.names(), "a b");
    assert_eq!(world.client.lists.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_is_asked_ever_less_often() {
    let world = World::new();
    world.client.faults.lock().refusals = vec![StatusError::new(Reason::Forbidden, "no"); 1000];
    tokio::time::sleep(Duration::from_secs(600)).await;
    let asked = world.client.watches.load(Ordering::Relaxed);
    assert!((20..60).contains(&asked), "asked {asked} times in ten minutes");
    assert!(!world.pods.has_synced());
    world.client.faults.lock().refusals.clear();
    world.pods.synced().await;
}

#[tokio::test(start_paused = true)]
async fn a_quiet_resource_catches_up_with_writes_of_others() {
    let world = World::new();
    world.create("a", "").await;
    world.pods.synced().await;
    for _ in 0..5 {
        let newest = world.other().await;
        assert!(world.pods.revision() < newest);
        tokio::time::timeout(Duration::from_secs(1), world.pods.caught_up(newest)).await.unwrap();
    }
    let never = world.pods.caught_up(Revision(u64::MAX));
    assert!(tokio::time::timeout(Duration::from_secs(10), never).await.is_err());
    let asked = world.client.watches.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(world.client.watches.load(Ordering::Relaxed), asked, "nothing is asked while nobody waits");
}

#[tokio::test(start_paused = true)]
async fn one_reads_ones_own_writes() {
    let world = World::new();
    for i in 0..50 {
        let name = format!("p{i}");
        let created = world.create(&name, "").await;
        world.pods.seen(&created.key, created.revision).await;
        assert_eq!(world.pods.get(&created.key).unwrap().revision, created.revision);
        let deleted = world.delete(&name).await;
        world.pods.seen(&created.key, deleted.revision).await;
        assert!(world.pods.get(&created.key).is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn objects_are_found_by_owner_and_by_index() {
    let world = World::new();
    world.pods.synced().await;
    world.create("a", "u1").await;
    world.create("b", "u2").await;
    let by_app = |object: &Stored| object.meta.labels.get("app").map(Arc::from).into_iter().collect();
    world.label("a", "x").await;
    world.pods.index("app", by_app);
    let last = world.label("b", "x").await;
    world.pods.caught_up(last.revision).await;
    assert_eq!(names(world.pods.owned_by("u1")), "a");
    assert_eq!(names(world.pods.by_index("app", "x")), "a b");
    world.label("a", "y").await;
    let last = world.delete("b").await;
    world.pods.caught_up(last.revision).await;
    assert_eq!(names(world.pods.by_index("app", "x")), "");
    assert_eq!(names(world.pods.by_index("app", "y")), "a");
    assert_eq!(names(world.pods.by_index("none", "y")), "");
    assert_eq!(names(world.pods.owned_by("u2")), "");
}

#[tokio::test(start_paused = true)]
async fn a_projection_is_computed_once_per_revision() {
    static COMPUTED: AtomicUsize = AtomicUsize::new(0);
    fn app(object: &Stored) -> String {
        COMPUTED.fetch_add(1, Ordering::Relaxed);
        object.meta.labels.get("app").unwrap_or_default().to_owned()
    }
    let world = World::new();
    world.create("a", "u1").await;
    world.pods.synced().await;
    let apps = world.pods.project(app);
    let again = world.pods.project(app);
    let labelled = world.label("a", "x").await;
    world.pods.seen(&labelled.key, labelled.revision).await;
    for _ in 0..3 {
        assert_eq!(*apps.get(&labelled.key).unwrap(), "x");
        assert_eq!(*again.owned_by("u1")[0].1, "x");
    }
    assert_eq!(COMPUTED.load(Ordering::Relaxed), 2);
    let last = world.delete("a").await;
    world.pods.caught_up(last.revision).await;
    assert!(apps.get(&labelled.key).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_namespace_can_be_followed_alone() {
    let world = World::new();
    world.create("a", "").await;
    let elsewhere = world.informers.with_namespace("elsewhere").get(&PODS);
    let here = world.informers.with_namespace("n").get(&PODS);
    elsewhere.synced().await;
    here.synced().await;
    assert_eq!((elsewhere.len(), here.len()), (0, 1));
    let last = world.create("b", "").await;
    elsewhere.caught_up(last.revision).await;
    assert!(elsewhere.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_resource_is_no_longer_followed() {
    let world = World::new();
    world.pods.synced().await;
    world.informers.forget(&PODS);
    tokio::task::yield_now().await;
    world.create("a", "").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.pods.is_empty());
    let again = world.informers.get(&PODS);
    again.synced().await;
    assert_eq!(again.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn metadata_shares_the_whole_objects_where_they_are_here_already() {
    let world = World::new();
    world.informers.metadata(&PODS).synced().await;
    world.informers.metadata(&NODES).synced().await;
    assert_eq!(world.client.watches.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_needs_is_not_kept_and_a_panic_keeps_it_all() {
    for lists in [false, true] {
        let world = World::new();
        world.client.faults.lock().no_watch_list = lists;
        assert!(!world.informers.transform(&PODS, |_| {}), "it is followed already");
        assert!(world.informers.transform(&NODES, |node| {
            assert!(node["metadata"]["name"] != "bad", "no idea");
            node["spec"] = Value::Null;
            node["metadata"] = Value::Null;
        }));
        for name in ["good", "bad"] {
            let body = json!({"metadata": {"name": name, "labels": {"a": "b"}}, "spec": {"podCIDR": "10.0.0.0/24"}});
            world.client.create(&NODES, &Key::cluster(name), None, body, &WriteOptions::default()).await.unwrap();
        }
        let nodes = world.informers.get(&NODES);
        nodes.synced().await;
        let body = json!({"metadata": {"name": "late"}, "spec": {"podCIDR": "10.0.0.0/24"}});
        let late =
            world.client.create(&NODES, &Key::cluster("late"), None, body, &WriteOptions::default()).await.unwrap();
        nodes.seen(&Key::cluster("late"), late.revision).await;
        assert_eq!(names(nodes.list("")), "bad good late");
        let kept = |name: &str| nodes.get(&Key::cluster(name)).unwrap();
        assert_eq!(kept("good").json, r#"{"metadata":null,"spec":null}"#);
        assert_eq!(kept("late").revision, late.revision, "a key keeps its place in time");
        assert!(kept("good").meta.labels.contains_key("a"), "what is extracted stays");
        assert!(kept("bad").json.len() > 50);
        assert_eq!(nodes.bytes(), kept("bad").json.len() + kept("good").json.len() + kept("late").json.len());
    }
}
