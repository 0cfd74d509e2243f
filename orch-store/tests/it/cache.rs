//! The watch cache over the memory backend, under a paused clock. The tests that carry a number are
//! for etcd's watch bugs of that number.

use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use orch_api::Key;
use orch_store::{
    Ambient, Backend, Revision, WatchCache,
    backend::{Around, BackendError, Batches, Condition, Durability, MemoryBackend, Txn, Write},
    cache::{Filter, Limits, Options, ResourceCache, WatchStart, Watcher},
    client::{ReadAt, WatchEvent},
    testing::encode,
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

const PODS: &str = "/registry/pods/";

struct World {
    backend: Arc<dyn Backend>,
    cache: WatchCache,
    pods: Arc<ResourceCache>,
}

impl World {
    /// A cache that has loaded an empty resource.
    async fn new() -> Self {
        Self::with_window(Limits::default()).await
    }

    async fn with_window(window: Limits) -> Self {
        Self::over(Arc::new(MemoryBackend::new()), window).await
    }

    async fn over(backend: Arc<dyn Backend>, window: Limits) -> Self {
        let options = Options { window, ..Options::default() };
        let cache = WatchCache::with_options(backend.clone(), Ambient::seeded(1), options);
        let pods = cache.resource(PODS);
        pods.snapshot(ReadAt::Latest).await.unwrap();
        Self { backend, cache, pods }
    }

    async fn put(&self, key: &str, app: &str) -> Revision {
        let (namespace, name) = key.rsplit('/').next().zip(key.split('/').next()).map(|(n, ns)| (ns, n)).unwrap();
        let body = json!({"metadata": {"name": name, "namespace": namespace, "labels": {"app": app}}});
        self.write(&format!("{PODS}{key}"), Some(encode(body).unwrap())).await
    }

    async fn delete(&self, key: &str) -> Revision {
        self.write(&format!("{PODS}{key}"), None).await
    }

    /// A write of another resource.
    async fn other(&self) -> Revision {
        self.write("/registry/nodes/n", Some(encode(json!({"metadata": {"name": "n"}})).unwrap())).await
    }

    async fn write(&self, key: &str, value: Option<orch_store::backend::Value>) -> Revision {
        let write = Write { key: key.into(), condition: Condition::Any, value, durability: Durability::Buffered };
        self.backend.commit(Txn { writes: vec![write] }).await.unwrap()
    }

    fn after(&self, revision: u64) -> Watcher {
        self.pods.watch(WatchStart::After(Revision(revision)), None, None).unwrap()
    }

    async fn list(&self, at: ReadAt) -> Result<String, BackendError> {
        let snapshot = self.pods.snapshot(at).await?;
        Ok(snapshot.iter(None, None).map(|o| format!("{o:?}")).collect::<Vec<_>>().join(" "))
    }

    /// What the watcher says until it has nothing more to say at once.
    async fn drain(&self, watcher: &mut Watcher) -> String {
        let newest = self.backend.revision().await.unwrap();
        self.cache.caught_up(newest).await.unwrap();
        let mut said = Vec::new();
        while let Some(Some(event)) = watcher.next().now_or_never() {
            said.push(show(event));
        }
        said.join(" ")
    }
}

fn show(event: Result<WatchEvent, BackendError>) -> String {
    match event {
        Ok(WatchEvent::Added(object)) => format!("+{object:?}"),
        Ok(WatchEvent::Modified(object)) => format!("~{object:?}"),
        Ok(WatchEvent::Deleted(object)) => format!("-{object:?}"),
        Ok(WatchEvent::Bookmark { revision, initial_events_end: true }) => format!("end@{revision}"),
        Ok(WatchEvent::Bookmark { revision, .. }) => format!("mark@{revision}"),
        Err(BackendError::Compacted { .. }) => "gone".into(),
        Err(error) => error.to_string(),
    }
}

fn app(name: &'static str) -> Option<Filter> {
    Some(Filter::new(move |object| object.meta.labels.get("app") == Some(name)))
}

#[tokio::test(start_paused = true)]
async fn a_read_sees_every_write_that_was_acknowledged_before() {
    let world = World::new().await;
    for i in 0..100 {
        let revision = world.put("default/web", "a").await;
        let read = world.pods.get(&Key::new("default", "web"), ReadAt::Latest).await.unwrap().unwrap();
        assert_eq!(read.revision, revision, "write {i}");
    }
    world.delete("default/web").await;
    assert!(world.pods.get(&Key::new("default", "web"), ReadAt::Latest).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_list_carries_the_revision_of_the_store_even_when_the_resource_is_quiet() {
    let world = World::new().await;
    world.put("default/web", "a").await;
    let newest = world.other().await;
    assert_eq!(world.pods.snapshot(ReadAt::Latest).await.unwrap().revision, newest);
}

#[tokio::test(start_paused = true)]
async fn exact_revisions_of_the_window_can_be_listed() {
    let world = World::with_window(Limits { events: 3, bytes: 1 << 20 }).await;
    world.put("default/a", "x").await;
    world.put("default/b", "x").await;
    world.put("default/a", "y").await;
    world.delete("default/b").await;
    let at = |revision| world.list(ReadAt::Exact(Revision(revision)));
    assert_eq!(at(4).await.unwrap(), "default/a@3");
    assert_eq!(at(3).await.unwrap(), "default/a@3 default/b@2");
    assert_eq!(at(2).await.unwrap(), "default/a@1 default/b@2");
    assert_eq!(at(1).await.unwrap(), "default/a@1");
    assert!(matches!(at(0).await, Err(BackendError::Compacted { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_list_goes_on_page_by_page_however_much_happens_meanwhile() {
    let world = World::with_window(Limits { events: 3, bytes: 1 << 20 }).await;
    for name in ["a", "b", "c", "d"] {
        world.put(&format!("n/{name}"), "x").await;
    }
    let first = world.pods.snapshot(ReadAt::Latest).await.unwrap();
    world.pods.keep(&first);
    for _ in 0..100 {
        world.put("n/b", "y").await;
    }
    world.delete("n/c").await;
    world.pods.snapshot(ReadAt::Latest).await.unwrap();
    tokio::time::advance(Duration::from_secs(200)).await;
    assert_eq!(world.list(ReadAt::Exact(first.revision)).await.unwrap(), "n/a@1 n/b@2 n/c@3 n/d@4");
    tokio::time::advance(Duration::from_secs(101)).await;
    world.put("n/b", "z").await;
    world.pods.snapshot(ReadAt::Latest).await.unwrap();
    assert!(matches!(world.list(ReadAt::Exact(first.revision)).await, Err(BackendError::Compacted { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_never_comes_is_refused_after_a_while() {
    let world = World::new().await;
    let refused = world.list(ReadAt::NotOlderThan(Revision(99))).await;
    assert!(matches!(refused, Err(BackendError::Future { requested: Revision(99), .. })));
}

/// A store whose watches tell of a write five seconds late, as on a machine that has no time for them.
struct Late(MemoryBackend);

#[async_trait]
impl Around for Late {
    fn inner(&self) -> &dyn Backend {
        &self.0
    }

    async fn begin_watch(&self, prefix: &str, after: Revision) -> Result<Batches, BackendError> {
        let batches = self.0.watch(prefix, after).await?;
        let late = batches.then(|batch| async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            batch
        });
        Ok(late.boxed())
    }
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_the_store_has_is_waited_for_though_the_cache_is_late() {
    let world = World::over(Arc::new(Late(MemoryBackend::new())), Limits::default()).await;
    let revision = world.put("default/a", "x").await;
    assert_eq!(world.list(ReadAt::NotOlderThan(revision)).await.unwrap(), "default/a@1");
}

#[tokio::test(start_paused = true)]
async fn a_watch_delivers_every_event_once_and_in_order() {
    let world = World::new().await;
    let mut watcher = world.after(0);
    world.put("default/a", "x").await;
    world.put("kube-system/b", "x").await;
    world.put("default/a", "y").await;
    world.delete("default/a").await;
    assert_eq!(world.drain(&mut watcher).await, "+default/a@1 +kube-system/b@2 ~default/a@3 -default/a@4");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_object_tells_the_revision_that_deleted_it_in_its_json() {
    let world = World::new().await;
    world.put("default/a", "x").await;
    let mut watcher = world.after(1);
    world.delete("default/a").await;
    let Some(Ok(WatchEvent::Deleted(last))) = watcher.next().await else { panic!("a deletion is expected") };
    let json: serde_json::Value = last.parse().unwrap();
    assert_eq!(json["metadata"]["resourceVersion"], "2");
    assert_eq!(json["metadata"]["labels"]["app"], "x");
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_a_namespace_sees_only_its_objects() {
    let world = World::new().await;
    let mut watcher = world.pods.watch(WatchStart::After(Revision(0)), Some("b"), None).unwrap();
    world.put("a/1", "x").await;
    world.put("b/1", "x").await;
    world.delete("a/1").await;
    world.delete("b/1").await;
    assert_eq!(world.drain(&mut watcher).await, "+b/1@2 -b/1@4");
}

#[tokio::test(start_paused = true)]
async fn objects_come_and_go_as_they_begin_and_cease_to_match_a_selector() {
    let world = World::new().await;
    let mut watcher = world.pods.watch(WatchStart::After(Revision(0)), None, app("x")).unwrap();
    world.put("n/p", "y").await;
    world.put("n/p", "x").await;
    world.put("n/p", "x").await;
    world.put("n/p", "y").await;
    world.put("n/p", "y").await;
    world.put("n/p", "x").await;
    world.delete("n/p").await;
    assert_eq!(world.drain(&mut watcher).await, "+n/p@2 ~n/p@3 -n/p@4 +n/p@6 -n/p@7");
}

#[tokio::test(start_paused = true)]
async fn what_leaves_a_selector_is_shown_as_it_was_at_the_revision_at_which_it_left() {
    let world = World::new().await;
    world.put("n/p", "x").await;
    let mut watcher = world.pods.watch(WatchStart::After(Revision(1)), None, app("x")).unwrap();
    world.put("n/p", "y").await;
    let Some(Ok(WatchEvent::Deleted(left))) = watcher.next().await else { panic!("a deletion is expected") };
    assert_eq!((left.revision, left.meta.labels.get("app")), (Revision(2), Some("x")));
}

#[tokio::test(start_paused = true)]
async fn initial_events_end_with_a_bookmark_and_nothing_is_lost_or_repeated_after_it() {
    let world = World::new().await;
    world.put("n/a", "x").await;
    world.put("n/b", "y").await;
    world.other().await;
    let mut watcher = world.pods.watch(WatchStart::Initial(ReadAt::Latest), None, None).unwrap();
    assert_eq!(show(watcher.next().await.unwrap()), "+n/a@1");
    world.put("n/c", "x").await;
    world.delete("n/b").await;
    assert_eq!(world.drain(&mut watcher).await, "+n/b@2 end@3 +n/c@4 -n/b@5");
}

#[tokio::test(start_paused = true)]
async fn a_large_initial_state_is_sent_whole() {
    let world = World::new().await;
    for i in 0..1000 {
        world.put(&format!("n/{i:04}"), if i % 2 == 0 { "x" } else { "y" }).await;
    }
    let mut watcher = world.pods.watch(WatchStart::Initial(ReadAt::Latest), Some("n"), app("x")).unwrap();
    let said = world.drain(&mut watcher).await;
    assert_eq!(said.matches('+').count(), 500);
    assert!(said.ends_with("end@1000"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_watcher_is_cut_off_and_the_others_go_on() {
    let world = World::with_window(Limits { events: 10, bytes: 1 << 20 }).await;
    let (mut slow, mut quick) = (world.after(0), world.after(0));
    world.put("n/p", "0").await;
    assert_eq!(world.drain(&mut slow).await, "+n/p@1");
    for _ in 0..20 {
        world.put("n/p", "x").await;
        assert!(world.drain(&mut quick).await.contains("n/p@"));
    }
    assert_eq!(world.drain(&mut slow).await, "gone");
    assert!(slow.next().await.is_none(), "the stream ends with its error");
}

#[tokio::test(start_paused = true)]
async fn a_watch_can_be_resumed_from_every_revision_of_the_window() {
    let world = World::new().await;
    for i in 0..20 {
        world.put(&format!("n/{}", i % 3), "x").await;
    }
    world.delete("n/1").await;
    let mut whole = world.after(0);
    let all = world.drain(&mut whole).await;
    let events: Vec<&str> = all.split(' ').collect();
    for revision in 0..=21 {
        let mut resumed = world.after(revision);
        assert_eq!(world.drain(&mut resumed).await, events[revision as usize..].join(" "));
    }
}

#[tokio::test(start_paused = true)]
async fn etcd_15220_a_bookmark_is_never_ahead_of_an_undelivered_event() {
    let world = World::new().await;
    let mut watcher = world.after(0).with_bookmarks();
    let mut newest = 0;
    for round in 0..50 {
        // Writes race with the timer: they are committed, but not all of them dealt out, when it rings.
        tokio::time::advance(Duration::from_secs(if round % 2 == 0 { 60 } else { 59 })).await;
        newest = world.put("n/p", "x").await.0;
        world.other().await;
        let mut delivered = 0;
        while let Some(Some(event)) = watcher.next().now_or_never() {
            match event.unwrap() {
                WatchEvent::Bookmark { revision, .. } => {
                    assert!(revision.0 >= delivered);
                    assert!(revision.0 < newest || delivered == newest, "bookmark {revision} before event {newest}");
                }
                event => {
                    assert!(event.revision().0 > delivered);
                    delivered = event.revision().0;
                }
            }
        }
    }
    world.other().await;
    assert!(world.drain(&mut watcher).await.is_empty() || newest > 0);
}

#[tokio::test(start_paused = true)]
async fn bookmarks_advance_while_only_other_resources_are_written() {
    let world = World::new().await;
    let mut watcher = world.after(0).with_bookmarks();
    world.put("n/p", "x").await;
    assert_eq!(show(watcher.next().await.unwrap()), "+n/p@1");
    world.other().await;
    assert_eq!(show(watcher.next().await.unwrap()), "mark@2");
    let mut plain = world.after(2);
    assert!(tokio::time::timeout(Duration::from_secs(3600), plain.next()).await.is_err(), "only who asked gets them");
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_with_its_timeout_and_a_last_bookmark() {
    let world = World::new().await;
    let mut watcher = world.after(0).with_bookmarks().with_timeout(Duration::ZERO);
    world.put("n/p", "x").await;
    let newest = world.other().await;
    world.cache.caught_up(newest).await.unwrap();
    let said: Vec<String> = watcher.by_ref().map(show).collect().await;
    assert_eq!(said, ["+n/p@1", "mark@2"]);
    let mut plain = world.after(0).with_timeout(Duration::from_secs(5));
    assert_eq!(show(plain.next().await.unwrap()), "+n/p@1");
    assert!(plain.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn etcd_19179_a_watch_from_the_oldest_revision_of_the_window_misses_no_deletion() {
    let world = World::with_window(Limits { events: 2, bytes: 1 << 20 }).await;
    world.put("n/p", "x").await;
    world.put("n/q", "x").await;
    world.delete("n/p").await;
    world.pods.snapshot(ReadAt::Latest).await.unwrap();
    // The window holds 2 and 3; 1 is its floor.
    let mut watcher = world.after(1);
    assert_eq!(world.drain(&mut watcher).await, "+n/q@2 -n/p@3");
    let refused = world.pods.watch(WatchStart::After(Revision(0)), None, None);
    assert!(matches!(refused, Err(BackendError::Compacted { oldest: Revision(1), .. })));
}

#[tokio::test(start_paused = true)]
async fn etcd_18089_compacting_the_store_at_a_deletion_drops_no_event() {
    let world = World::new().await;
    world.put("n/p", "x").await;
    let mut watcher = world.after(1);
    let deleted = world.delete("n/p").await;
    world.backend.compact(deleted).await.unwrap();
    world.put("n/p", "y").await;
    assert_eq!(world.drain(&mut watcher).await, "-n/p@2 +n/p@3");
}

#[tokio::test(start_paused = true)]
async fn etcd_20221_a_watch_of_the_future_delivers_nothing_older() {
    let world = World::new().await;
    world.put("n/p", "x").await;
    world.pods.snapshot(ReadAt::Latest).await.unwrap();
    let mut watcher = world.after(3).with_bookmarks();
    assert_eq!(
        show(watcher.next().now_or_never().map_or(Err(BackendError::Closed), Option::unwrap)),
        "the store is closed"
    );
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(world.drain(&mut watcher).await, "", "no bookmark tells a revision before the start");
    for _ in 0..4 {
        world.put("n/p", "x").await;
    }
    assert_eq!(world.drain(&mut watcher).await, "~n/p@4 ~n/p@5");
}

#[tokio::test(start_paused = true)]
async fn etcd_17247_a_transaction_of_several_keys_is_delivered_whole_and_once() {
    let world = World::new().await;
    let mut watcher = world.after(0);
    let write = |name: &str| Write {
        key: format!("{PODS}n/{name}").into(),
        condition: Condition::Any,
        value: Some(encode(json!({"metadata": {"name": name, "namespace": "n"}})).unwrap()),
        durability: Durability::Synced,
    };
    world.backend.commit(Txn { writes: vec![write("a"), write("b")] }).await.unwrap();
    assert_eq!(world.drain(&mut watcher).await, "+n/a@1 +n/b@1");
    let mut resumed = world.after(1);
    assert_eq!(world.drain(&mut resumed).await, "");
}

#[tokio::test(start_paused = true)]
async fn etcd_17529_a_feed_that_was_starved_catches_up_without_a_gap() {
    let world = World::with_window(Limits { events: 1 << 20, bytes: 1 << 30 }).await;
    let mut watcher = world.after(0);
    // More than the backend's watch buffers, without ever letting the feed run.
    for _ in 0..70_000 {
        world.put("n/p", "x").now_or_never().unwrap();
    }
    let newest = world.backend.revision().await.unwrap();
    world.cache.caught_up(newest).await.unwrap();
    let mut expected = 1;
    while expected <= newest.0 {
        match watcher.next().await {
            Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                assert_eq!(object.revision.0, expected);
                expected += 1;
            }
            other => panic!("unexpected {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_feed_whose_history_is_gone_starts_anew_and_ends_its_watches() {
    let world = World::over(Arc::new(MemoryBackend::with_history(100)), Limits::default()).await;
    let mut watcher = world.after(0);
    world.put("n/old", "x").await;
    assert_eq!(world.drain(&mut watcher).await, "+n/old@1");
    world.delete("n/old").now_or_never().unwrap();
    for _ in 0..70_000 {
        world.put("n/p", "x").now_or_never().unwrap();
    }
    let said: Vec<String> = watcher.by_ref().map(show).collect().await;
    assert_eq!(said[0], "-n/old@2");
    assert_eq!(said[said.len() - 1], "gone", "no gap goes unnoticed");
    assert_eq!(world.list(ReadAt::Latest).await.unwrap(), "n/p@70002");
    let mut resumed = world.after(70_002);
    world.delete("n/p").await;
    assert_eq!(world.drain(&mut resumed).await, "-n/p@70003");
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_is_first_used_amid_writes_misses_none() {
    let world = World::new().await;
    for i in 0..50 {
        let key = format!("/registry/things{i}/n/a");
        let value = || Some(encode(json!({"metadata": {"name": "a", "namespace": "n"}})).unwrap());
        world.write(&key, value()).await;
        let things = world.cache.resource(&format!("/registry/things{i}/"));
        let second = world.write(&key, value()).await;
        let read = things.get(&Key::new("n", "a"), ReadAt::Latest).await.unwrap().unwrap();
        assert_eq!(read.revision, second);
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_no_object_can_still_be_seen_and_deleted() {
    let world = World::new().await;
    let value = orch_store::backend::Value { json: "not json".into(), slot: None };
    world.write(&format!("{PODS}n/bad"), Some(value)).await;
    assert_eq!(world.list(ReadAt::Latest).await.unwrap(), "n/bad@1");
    world.delete("n/bad").await;
    assert_eq!(world.list(ReadAt::Latest).await.unwrap(), "");
}

#[tokio::test(start_paused = true)]
async fn closing_the_store_ends_reads_and_watches() {
    let world = World::new().await;
    let mut watcher = world.after(0);
    assert!(watcher.next().now_or_never().is_none());
    world.backend.close().await.unwrap();
    assert_eq!(show(watcher.next().await.unwrap()), "the store is closed");
    assert!(world.pods.get(&Key::new("n", "p"), ReadAt::Latest).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_resource_ends_its_watches_and_can_come_back() {
    let world = World::new().await;
    let mut watcher = world.after(0);
    world.cache.forget(PODS);
    assert_eq!(show(watcher.next().await.unwrap()), "the store is closed");
    world.put("n/p", "x").await;
    let again = world.cache.resource(PODS);
    assert_eq!(again.snapshot(ReadAt::Latest).await.unwrap().len(None), 1);
}

#[tokio::test(start_paused = true)]
async fn the_same_bytes_serve_every_reader() {
    let world = World::new().await;
    let (mut one, mut two) = (world.after(0), world.after(0));
    world.put("n/p", "x").await;
    let read = world.pods.get(&Key::new("n", "p"), ReadAt::Latest).await.unwrap().unwrap();
    for watcher in [&mut one, &mut two] {
        let Some(Ok(WatchEvent::Added(object))) = watcher.next().await else { panic!("an addition is expected") };
        assert!(Arc::ptr_eq(&object, &read));
    }
}

/// Writers, watchers that come and go, and reads, all at once on several threads: every watcher sees
/// exactly the history after its start, each event once and in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn watchers_that_come_and_go_amid_writes_all_see_the_same_history() {
    const KEYS: u64 = 8;
    const WRITES: u64 = 2_000;
    let world = Arc::new(World::with_window(Limits { events: 1 << 20, bytes: 1 << 30 }).await);
    let writers = (0..4u64).map(|writer| {
        let world = world.clone();
        tokio::spawn(async move {
            for i in 0..WRITES / 4 {
                let key = format!("n/{}", (i * 7 + writer) % KEYS);
                if i % 5 == 4 {
                    world.delete(&key).await
                } else {
                    world.put(&key, "x").await
                };
                if i % 16 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        })
    });
    let watchers = (0..40u64).map(|i| {
        let world = world.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_micros(i * 100)).await;
            let snapshot = world.pods.snapshot(ReadAt::Latest).await.unwrap();
            let mut watcher = world.after(snapshot.revision.0).with_bookmarks();
            let mut state: std::collections::BTreeMap<Key, Revision> =
                snapshot.iter(None, None).map(|o| (o.key.clone(), o.revision)).collect();
            let mut last = snapshot.revision;
            while last < Revision(WRITES) {
                let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(500), watcher.next()).await else {
                    break;
                };
                let (object, known) = match event.unwrap() {
                    WatchEvent::Added(object) => (object.clone(), state.insert(object.key.clone(), object.revision)),
                    WatchEvent::Modified(object) => (object.clone(), state.insert(object.key.clone(), object.revision)),
                    WatchEvent::Deleted(object) => (object.clone(), state.remove(&object.key)),
                    WatchEvent::Bookmark { .. } => continue,
                };
                assert!(object.revision > last, "{object:?} after {last}");
                assert!(known.is_none_or(|known| known < object.revision));
                last = object.revision;
            }
            state
        })
    });
    let (writers, watchers) = (writers.collect::<Vec<_>>(), watchers.collect::<Vec<_>>());
    for writer in writers {
        writer.await.unwrap();
    }
    let end = world.pods.snapshot(ReadAt::Latest).await.unwrap();
    let expected: Vec<_> = end.iter(None, None).map(|o| (o.key.clone(), o.revision)).collect();
    for watcher in watchers {
        assert_eq!(watcher.await.unwrap().into_iter().collect::<Vec<_>>(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_the_newest_state_has_its_state_when_it_has_begun() {
    let world = World::new().await;
    world.put("default/a", "x").await;
    let newest = || world.pods.watch(WatchStart::State(ReadAt::Latest), None, None).unwrap();
    let (mut begun, mut idle) = (newest(), newest());
    begun.begin().await.unwrap();
    world.put("default/a", "y").await;
    world.put("default/b", "x").await;
    assert_eq!(world.drain(&mut begun).await, "+default/a@1 ~default/a@2 +default/b@3");
    assert_eq!(world.drain(&mut idle).await, "+default/a@2 +default/b@3");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_has_been_under_way_too_long_cannot_go_on() {
    let world = World::new().await;
    let first = world.put("default/a", "x").await;
    world.pods.keep(&world.pods.snapshot(ReadAt::Exact(first)).await.unwrap());
    world.put("default/b", "x").await;
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert!(world.list(ReadAt::Exact(first)).await.is_ok());
    tokio::time::sleep(Duration::from_secs(200)).await;
    world.put("default/c", "x").await;
    assert!(matches!(world.list(ReadAt::Exact(first)).await, Err(BackendError::Compacted { .. })));
}
