//! `test/e2e/apimachinery/watch.go`.

use super::*;
use crate::conformance::watch::Watch;
use std::time::Duration;

const MAPS: Gvr = Gvr::of("", "v1", "configmaps");

fn map(name: &str, label: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"watch-this-configmap": label}}})
}

fn labelled(label: &str) -> String {
    format!("watch-this-configmap in ({label})")
}

async fn mutate(maps: &Kind, name: &str, value: &str) -> Value {
    maps.update(name, |map| map["data"] = json!({"mutation": value})).await
}

async fn relabel(maps: &Kind, name: &str, label: &str) -> Value {
    maps.update(name, |map| map["metadata"]["labels"]["watch-this-configmap"] = label.into()).await
}

/// The watch shows this object next.
async fn shows(watch: &mut Watch, kind: &str, object: &Value) {
    let (seen, shown) = watch.next().await;
    assert_eq!((seen, &shown), (kind, object));
}

async fn shows_deleted(watch: &mut Watch, name: &str) {
    let (seen, shown) = watch.next().await;
    assert_eq!((seen, super::name(&shown).as_str()), ("DELETED", name));
}

async fn shows_nothing(watch: &mut Watch) {
    let waited = tokio::time::timeout(Duration::from_secs(10), watch.next()).await;
    assert!(waited.is_err(), "{:?}", waited.unwrap());
}

/// [sig-api-machinery] Watchers should observe add, update, and delete watch notifications on configmaps [Conformance]
#[tokio::test(start_paused = true)]
async fn watchers_see_what_their_selectors_match() {
    let here = World::without_controllers().await;
    let maps = here.of(&MAPS);
    let mut a = maps.watch(&labelled("multiple-watchers-A"), 0).await;
    let mut b = maps.watch(&labelled("multiple-watchers-B"), 0).await;
    let mut both = maps.watch(&labelled("multiple-watchers-A,multiple-watchers-B"), 0).await;

    let first = maps.create(map("a", "multiple-watchers-A")).await;
    shows(&mut a, "ADDED", &first).await;
    shows(&mut both, "ADDED", &first).await;
    for value in ["1", "2"] {
        let changed = mutate(&maps, "a", value).await;
        shows(&mut a, "MODIFIED", &changed).await;
        shows(&mut both, "MODIFIED", &changed).await;
    }
    maps.delete("a").await;
    shows_deleted(&mut a, "a").await;
    shows_deleted(&mut both, "a").await;

    let second = maps.create(map("b", "multiple-watchers-B")).await;
    shows(&mut b, "ADDED", &second).await;
    shows(&mut both, "ADDED", &second).await;
    shows_nothing(&mut a).await;
    maps.delete("b").await;
    shows_deleted(&mut b, "b").await;
    shows_deleted(&mut both, "b").await;
    shows_nothing(&mut a).await;
}

/// [sig-api-machinery] Watchers should be able to start watching from a specific resource version [Conformance]
#[tokio::test(start_paused = true)]
async fn a_watch_begins_in_the_past() {
    let here = World::without_controllers().await;
    let maps = here.of(&MAPS);
    maps.create(map("past", "from-resource-version")).await;
    let first = mutate(&maps, "past", "1").await;
    let second = mutate(&maps, "past", "2").await;
    maps.delete("past").await;
    let mut watch = maps.watch(&labelled("from-resource-version"), revision(&first)).await;
    shows(&mut watch, "MODIFIED", &second).await;
    shows_deleted(&mut watch, "past").await;
}

/// [sig-api-machinery] Watchers should be able to restart watching from the last resource version observed by the previous watch [Conformance]
#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_where_another_one_ended() {
    let here = World::without_controllers().await;
    let maps = here.of(&MAPS);
    let selector = labelled("watch-closed-and-restarted");
    let mut first = maps.watch(&selector, 0).await;
    let made = maps.create(map("closed", "watch-closed-and-restarted")).await;
    mutate(&maps, "closed", "1").await;
    shows(&mut first, "ADDED", &made).await;
    let (kind, last) = first.next().await;
    assert_eq!(kind, "MODIFIED");
    drop(first);
    let meanwhile = mutate(&maps, "closed", "2").await;
    let mut second = maps.watch(&selector, revision(&last)).await;
    maps.delete("closed").await;
    shows(&mut second, "MODIFIED", &meanwhile).await;
    shows_deleted(&mut second, "closed").await;
}

/// [sig-api-machinery] Watchers should observe an object deletion if it stops meeting the requirements of the selector [Conformance]
#[tokio::test(start_paused = true)]
async fn what_no_longer_matches_is_deleted_for_a_watcher() {
    let here = World::without_controllers().await;
    let maps = here.of(&MAPS);
    let mut watch = maps.watch(&labelled("label-changed-and-restored"), 0).await;
    let made = maps.create(map("changed", "label-changed-and-restored")).await;
    let first = mutate(&maps, "changed", "1").await;
    relabel(&maps, "changed", "wrong-value").await;
    shows(&mut watch, "ADDED", &made).await;
    shows(&mut watch, "MODIFIED", &first).await;
    shows_deleted(&mut watch, "changed").await;
    mutate(&maps, "changed", "2").await;
    shows_nothing(&mut watch).await;
    let restored = relabel(&maps, "changed", "label-changed-and-restored").await;
    let third = mutate(&maps, "changed", "3").await;
    maps.delete("changed").await;
    shows(&mut watch, "ADDED", &restored).await;
    shows(&mut watch, "MODIFIED", &third).await;
    shows_deleted(&mut watch, "changed").await;
}

/// Creates, changes and deletes objects, all mixed, until the cluster ends.
async fn keeps_busy(maps: Kind) {
    let mut live = std::collections::BTreeSet::new();
    for step in 0_usize.. {
        // A cheap hash: the order of writes does not matter, that they are mixed does.
        let (number, what) = ((step * 7919) % 13, (step * 104_729) % 3);
        let name = format!("busy-{number}");
        match (live.contains(&number), what) {
            (false, _) => {
                live.insert(number);
                maps.create(json!({"metadata": {"name": name}})).await;
            }
            (true, 0) => {
                live.remove(&number);
                maps.delete(&name).await;
            }
            (true, _) => drop(mutate(&maps, &name, &step.to_string()).await),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// [sig-api-machinery] Watchers should receive events on concurrent watches in same order [Conformance]
#[tokio::test(start_paused = true)]
async fn watches_agree_on_the_order_of_events() {
    let here = World::without_controllers().await;
    let maps = here.of(&MAPS);
    here.0.ambient().tasks.spawn(keeps_busy(maps.clone()));
    let mut at = revision(&here.kind::<k8s_openapi::api::core::v1::Namespace>().get("default").await);
    let mut watches = Vec::new();
    for _ in 0..100 {
        watches.push(maps.watch("", at).await);
        let mut seen = Vec::new();
        for watch in &mut watches {
            seen.push(revision(&watch.next().await.1));
        }
        at = seen[0];
        assert!(seen.iter().all(|revision| *revision == at), "{seen:?}");
    }
}
