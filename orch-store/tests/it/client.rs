//! The typed calls over a bare client, under a paused clock.

use futures::StreamExt;
use orch_api::{Key, Object, k8s_openapi::api::core::v1::ConfigMap};
use orch_store::{
    Ambient, ClientExt,
    backend::MemoryBackend,
    client::{DeleteOptions, ListOptions, TypedEvent, WatchOptions},
    testing::BareClient,
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

fn client() -> BareClient {
    BareClient::new(Arc::new(MemoryBackend::new()), Ambient::seeded(1))
}

fn map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"namespace": "n", "name": name}, "data": {"k": value}})).unwrap()
}

fn value(map: &ConfigMap) -> &str {
    map.data.as_ref().and_then(|data| data.get("k")).map_or("", String::as_str)
}

#[tokio::test(start_paused = true)]
async fn an_object_lives_through_all_typed_calls() {
    let client = client();
    let created = client.add(&map("a", "1")).await.unwrap();
    assert!(!created.uid().is_empty());
    assert!(client.add(&map("a", "1")).await.unwrap_err().is_already_exists());
    let key = created.key();
    assert_eq!(value(&client.read::<ConfigMap>(&key).await.unwrap()), "1");
    let merged = client.merge::<ConfigMap>(&key, json!({"data": {"k": "2"}})).await.unwrap();
    assert_eq!(value(&merged), "2");
    assert!(client.replace(&*created).await.unwrap_err().is_conflict(), "the first revision is stale");
    client.replace(&map("a", "3")).await.unwrap();
    assert_eq!(client.read_all::<ConfigMap>("n").await.unwrap().len(), 1);
    assert_eq!(client.select::<ConfigMap>(&ListOptions::default()).await.unwrap().len(), 1);
    client.remove::<ConfigMap>(&key).await.unwrap();
    assert!(client.find::<ConfigMap>(&key).await.unwrap().is_none());
    assert!(client.remove::<ConfigMap>(&key).await.unwrap_err().is_not_found());
    assert!(!client.remove_with::<ConfigMap>(&key, &DeleteOptions::default()).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn concurrent_modifications_are_all_applied() {
    let client = client();
    let key = client.add(&map("a", "0")).await.unwrap().key();
    let tasks: Vec<_> = (0..5)
        .map(|_| {
            let (client, key) = (client.clone(), key.clone());
            tokio::spawn(async move {
                let increment = |map: &mut ConfigMap| {
                    let next = value(map).parse::<u32>().unwrap() + 1;
                    map.data.as_mut().unwrap().insert("k".into(), next.to_string());
                };
                client.modify(&key, increment).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let last = client.read::<ConfigMap>(&key).await.unwrap();
    assert_eq!(value(&last), "5");
    let same = client.modify(&key, |_: &mut ConfigMap| {}).await.unwrap();
    assert_eq!(same.metadata.resource_version, last.metadata.resource_version, "nothing to change, nothing written");
}

#[tokio::test(start_paused = true)]
async fn waiting_sees_the_state_first_and_then_every_change() {
    let client = client();
    let key = Key::new("n", "a");
    let absent = client.wait_for::<ConfigMap, _>(&key, |map| map.is_none()).await.unwrap();
    assert!(absent.is_none());
    let waiter = {
        let (client, key) = (client.clone(), key.clone());
        tokio::spawn(async move {
            let mut seen = Vec::new();
            let found = client.wait_for::<ConfigMap, _>(&key, |map| {
                seen.push(map.map(|map| value(map).to_owned()));
                map.is_some_and(|map| value(map) == "2")
            });
            let found = found.await.unwrap().unwrap();
            (value(&found).to_owned(), seen)
        })
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    client.add(&map("b", "2")).await.unwrap();
    client.add(&map("a", "1")).await.unwrap();
    client.replace(&map("a", "2")).await.unwrap();
    let (found, seen) = waiter.await.unwrap();
    assert_eq!(found, "2");
    assert_eq!(seen, [None, Some("1".into()), Some("2".into())]);
    let gone = tokio::spawn({
        let (client, key) = (client.clone(), key.clone());
        async move { client.wait_for::<ConfigMap, _>(&key, |map| map.is_none()).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    client.remove::<ConfigMap>(&key).await.unwrap();
    assert!(gone.await.unwrap().unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn typed_events_follow_a_collection() {
    let client = client();
    client.add(&map("a", "1")).await.unwrap();
    let options = WatchOptions { initial_events: true, ..WatchOptions::default() };
    let mut events = client.follow::<ConfigMap>(&options).await.unwrap();
    assert!(matches!(events.next().await, Some(Ok(TypedEvent::Added(map))) if value(&map) == "1"));
    assert!(matches!(events.next().await, Some(Ok(TypedEvent::Bookmark { initial_events_end: true, .. }))));
    client.replace(&map("a", "2")).await.unwrap();
    assert!(matches!(events.next().await, Some(Ok(TypedEvent::Modified(map))) if value(&map) == "2"));
    client.remove::<ConfigMap>(&Key::new("n", "a")).await.unwrap();
    assert!(matches!(events.next().await, Some(Ok(TypedEvent::Deleted(map))) if value(&map) == "2"));
}
