//! [`Kind`]: calls on the objects of one kind, in JSON.

use super::{
    watch::Watch,
    world::{PATIENCE, condition, has_condition},
};
use futures::StreamExt;
use orch::{
    api::{Gvr, Key, Scope, StatusError, kinds},
    store::{
        Client, Revision,
        client::{DeleteOptions, ListOptions, Patch, WatchEvent, WatchOptions, WriteOptions},
    },
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// How often a list is looked at that is waited for.
const PAUSE: Duration = Duration::from_millis(500);

/// The objects of one kind in one namespace (or, with an empty one, in none or in all), or a subresource of them.
#[derive(Clone)]
pub(super) struct Kind {
    client: Arc<dyn Client>,
    gvr: Gvr,
    namespace: Arc<str>,
    subresource: Option<&'static str>,
}

impl Kind {
    pub(super) fn new(client: Arc<dyn Client>, gvr: Gvr) -> Self {
        let namespaced = kinds::find(&gvr).is_none_or(|kind| kind.scope == Scope::Namespaced);
        let namespace = if namespaced { "default" } else { "" };
        Self { client, gvr, namespace: namespace.into(), subresource: None }
    }

    pub(super) fn within(&self, namespace: &str) -> Self {
        Self { namespace: namespace.into(), ..self.clone() }
    }

    /// Those of all namespaces.
    pub(super) fn everywhere(&self) -> Self {
        self.within("")
    }

    pub(super) fn sub(&self, subresource: &'static str) -> Self {
        Self { subresource: Some(subresource), ..self.clone() }
    }

    pub(super) fn key(&self, name: &str) -> Key {
        Key::new(&*self.namespace, name)
    }

    pub(super) async fn create(&self, body: Value) -> Value {
        self.try_create(body).await.unwrap()
    }

    /// Creates an object, or a subresource of the one whose name the body has.
    pub(super) async fn try_create(&self, body: Value) -> Result<Value, StatusError> {
        self.create_with(body, &WriteOptions::default()).await
    }

    pub(super) async fn create_with(&self, body: Value, options: &WriteOptions) -> Result<Value, StatusError> {
        let key = self.key_of(&body);
        self.client.create(&self.gvr, &key, self.subresource, body, options).await?.parse()
    }

    pub(super) async fn get(&self, name: &str) -> Value {
        self.try_get(name).await.unwrap()
    }

    pub(super) async fn try_get(&self, name: &str) -> Result<Value, StatusError> {
        self.client.get(&self.gvr, &self.key(name), self.subresource).await?.parse()
    }

    /// Patches strategically, as `kubectl patch` does.
    pub(super) async fn patch(&self, name: &str, patch: Value) -> Value {
        self.patch_with(name, Patch::Strategic(patch)).await.unwrap()
    }

    pub(super) async fn merge(&self, name: &str, patch: Value) -> Value {
        self.patch_with(name, Patch::Merge(patch)).await.unwrap()
    }

    pub(super) async fn patch_with(&self, name: &str, patch: Patch) -> Result<Value, StatusError> {
        self.patch_options(name, patch, &WriteOptions::default()).await
    }

    pub(super) async fn patch_options(
        &self,
        name: &str,
        patch: Patch,
        options: &WriteOptions,
    ) -> Result<Value, StatusError> {
        self.client.patch(&self.gvr, &self.key(name), self.subresource, patch, options).await?.parse()
    }

    pub(super) async fn replace(&self, body: Value) -> Value {
        self.try_replace(body).await.unwrap()
    }

    pub(super) async fn try_replace(&self, body: Value) -> Result<Value, StatusError> {
        let key = self.key_of(&body);
        self.client.update(&self.gvr, &key, self.subresource, body, &WriteOptions::default()).await?.parse()
    }

    /// Changes an object as it is now; again after a conflict.
    pub(super) async fn update(&self, name: &str, change: impl Fn(&mut Value)) -> Value {
        loop {
            let mut body = self.get(name).await;
            change(&mut body);
            match self.try_replace(body).await {
                Err(error) if error.is_conflict() => {}
                other => return other.unwrap(),
            }
        }
    }

    pub(super) async fn delete(&self, name: &str) {
        self.delete_with(name, &DeleteOptions::default()).await;
    }

    pub(super) async fn delete_now(&self, name: &str) {
        let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
        self.delete_with(name, &now).await;
    }

    pub(super) async fn delete_with(&self, name: &str, options: &DeleteOptions) {
        self.client.delete(&self.gvr, &self.key(name), options).await.unwrap();
    }

    /// Deletes an object and waits until it is gone.
    pub(super) async fn end(&self, name: &str) {
        self.delete(name).await;
        self.until_gone(name).await;
    }

    /// The objects with these labels.
    pub(super) async fn list(&self, labels: &str) -> Vec<Value> {
        let found = self.client.list(&self.gvr, &self.select(labels)).await.unwrap();
        found.items.iter().map(|item| item.parse().unwrap()).collect()
    }

    pub(super) async fn delete_all(&self, labels: &str) {
        self.client.delete_collection(&self.gvr, &self.select(labels), &DeleteOptions::default()).await.unwrap();
    }

    /// Deletes the objects with these labels and waits until they are gone.
    pub(super) async fn end_all(&self, labels: &str) {
        self.delete_all(labels).await;
        self.until("the end of all", labels, <[Value]>::is_empty).await;
    }

    /// Waits until the objects with these labels are as they should be, looking twice a second.
    pub(super) async fn until(&self, what: &str, labels: &str, holds: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let begun = tokio::time::Instant::now();
        loop {
            let found = self.list(labels).await;
            if holds(&found) {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}; there is {}", json!(found));
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until one object is as it should be, and sees every state of it.
    pub(super) async fn until_one(&self, what: &str, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let waiting = async {
            loop {
                let mut events = self.watch_one(name).await;
                while let Some(Ok(event)) = events.next().await {
                    if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event {
                        last = object.parse().unwrap();
                        if holds(&last) {
                            return last.clone();
                        }
                    }
                }
            }
        };
        let done = tokio::time::timeout(PATIENCE, waiting).await.ok();
        done.unwrap_or_else(|| panic!("{what}: not within {PATIENCE:?}; it is {last}"))
    }

    pub(super) async fn until_gone(&self, name: &str) {
        let begun = tokio::time::Instant::now();
        while let Ok(found) = self.try_get(name).await {
            assert!(begun.elapsed() < PATIENCE, "it should have gone: {found}");
            tokio::time::sleep(PAUSE / 5).await;
        }
    }

    /// What happens to the objects with these labels after a revision; with 0, their state first.
    pub(super) async fn watch(&self, labels: &str, after: u64) -> Watch {
        let options = WatchOptions {
            namespace: self.namespace.clone(),
            labels: labels.into(),
            after: (after > 0).then_some(Revision(after)),
            ..WatchOptions::default()
        };
        Watch::new(self.client.watch(&self.gvr, &options).await.unwrap())
    }

    /// Reads, replaces and patches the status of an object; every write is seen by the next read
    /// (`should validate … Status endpoints`).
    pub(super) async fn status_is_served(&self, name: &str) {
        let status = self.sub("status");
        assert_eq!(status.get(name).await["metadata"]["name"], name);
        let updated = status
            .update(name, |object| {
                let conditions = object["status"].as_object_mut().unwrap().entry("conditions").or_insert(json!([]));
                conditions.as_array_mut().unwrap().push(condition("StatusUpdate"));
            })
            .await;
        assert!(has_condition(&updated, "StatusUpdate"));
        self.until_one("the updated status", name, |object| has_condition(object, "StatusUpdate")).await;
        let patched = status.patch(name, json!({"status": {"conditions": [condition("StatusPatched")]}})).await;
        assert!(has_condition(&patched, "StatusPatched"));
        self.until_one("the patched status", name, |object| has_condition(object, "StatusPatched")).await;
    }

    async fn watch_one(&self, name: &str) -> orch::store::client::WatchStream {
        let fields = format!("metadata.name={name}");
        let options = WatchOptions { namespace: self.namespace.clone(), fields, ..WatchOptions::default() };
        self.client.watch(&self.gvr, &options).await.unwrap()
    }

    fn select(&self, labels: &str) -> ListOptions {
        ListOptions { namespace: self.namespace.clone(), labels: labels.into(), ..ListOptions::default() }
    }

    /// Where a body belongs: to its own namespace if it has one, for kinds that do.
    fn key_of(&self, body: &Value) -> Key {
        let text = |field: &str| body["metadata"][field].as_str();
        Key::new(text("namespace").unwrap_or(&self.namespace), text("name").unwrap_or_default())
    }
}
