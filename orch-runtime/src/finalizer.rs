//! [`finalizer`]: runs an application while an object lives and a clean-up before it goes (as `finalizer` of kube-rs).

use crate::{Context, Error, Requeue};
use orch_api::{Key, Object, StatusError};
use orch_store::{
    Client,
    client::{Patch, WriteOptions},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// What a reconciler is asked to do about an object with its finalizer.
#[derive(Clone, Debug)]
pub enum Stage<K> {
    /// The object lives, and bears the finalizer: from now on [`Stage::Cleanup`] will come.
    Apply(Arc<K>),
    /// The object is being deleted: remove what it stood for. When this succeeds the finalizer goes, and with the last
    /// one the object.
    Cleanup(Arc<K>),
}

/// Keeps a finalizer on an object and calls `reconcile` with its stage.
///
/// # Laws
///
/// - `Apply` is not called before the finalizer is stored, so that nothing is made which nobody would clean up.
/// - `Cleanup` is called again until it succeeds, and must therefore be idempotent.
/// - Finalizers of others are never touched: each change names the UID and the resource version that it read, and
///   is refused if somebody was faster.
/// - An object that is being deleted without the finalizer is none of our business.
///
/// ```no_run
/// # use orch_runtime::{Context, Error, Requeue, finalizer::{Stage, finalizer}};
/// # use k8s_openapi::api::core::v1::ConfigMap;
/// # use std::sync::Arc;
/// # async fn reconcile(object: Arc<ConfigMap>, ctx: &Context) -> Result<Requeue, Error> {
/// finalizer(ctx, object, "example.com/cleanup", async |stage| match stage {
///     Stage::Apply(object) => Ok(Requeue::OnChange),  // Create the bucket.
///     Stage::Cleanup(object) => Ok(Requeue::OnChange), // Delete the bucket.
/// })
/// .await
/// # }
/// ```
pub async fn finalizer<K: Object>(
    ctx: &Context,
    object: Arc<K>,
    name: &str,
    reconcile: impl AsyncFnOnce(Stage<K>) -> Result<Requeue, Error>,
) -> Result<Requeue, Error> {
    let finalizers = object.meta().finalizers.clone().unwrap_or_default();
    let bears = finalizers.iter().any(|f| f == name);
    match (object.is_deleting(), bears) {
        (false, true) => reconcile(Stage::Apply(object)).await,
        (false, false) => {
            let wanted = finalizers.into_iter().chain([name.to_owned()]).collect();
            let stored = set(&*ctx.client, &*object, wanted).await?;
            reconcile(Stage::Apply(stored)).await
        }
        (true, true) => {
            let requeue = reconcile(Stage::Cleanup(object.clone())).await?;
            if requeue != Requeue::OnChange {
                return Ok(requeue); // The clean-up is under way.
            }
            let wanted = finalizers.into_iter().filter(|f| f != name).collect();
            match set(&*ctx.client, &*object, wanted).await {
                Err(error) if !error.is_not_found() => Err(error.into()),
                _ => Ok(Requeue::OnChange),
            }
        }
        (true, false) => Ok(Requeue::OnChange),
    }
}

/// Puts the finalizers of exactly this revision of exactly this object.
async fn set<K: Object>(client: &dyn Client, object: &K, finalizers: Vec<String>) -> Result<Arc<K>, StatusError> {
    let key: Key = object.key();
    let patch: Value = json!({"metadata": {
        "uid": object.uid(),
        "resourceVersion": object.meta().resource_version,
        "finalizers": finalizers,
    }});
    client.patch(&K::gvr(), &key, None, Patch::Merge(patch), &WriteOptions::default()).await?.decode()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Caches;
    use k8s_openapi::api::core::v1::ConfigMap;
    use orch_store::{Ambient, ClientExt, Informers, backend::MemoryBackend, testing::BareClient};

    async fn world(finalizers: &[&str], deleting: bool) -> (Context, Arc<ConfigMap>) {
        let ambient = Ambient::seeded(1);
        let client: Arc<dyn Client> = Arc::new(BareClient::new(Arc::new(MemoryBackend::new()), ambient.clone()));
        let map = json!({"metadata": {"name": "a", "namespace": "default", "finalizers": finalizers,
            "deletionTimestamp": deleting.then_some("2026-01-01T00:00:00Z")}});
        let map = client.add::<ConfigMap>(&serde_json::from_value(map).unwrap()).await.unwrap();
        (Context::new(Caches::new(Informers::new(client, ambient.clone())), ambient, "test"), map)
    }

    #[track_caller]
    fn check(map: &ConfigMap, finalizers: &[&str]) {
        assert_eq!(map.metadata.finalizers.clone().unwrap_or_default(), finalizers);
    }

    #[tokio::test]
    async fn nothing_is_applied_before_the_finalizer_is_stored() {
        let (ctx, map) = world(&["other/one"], false).await;
        let stage = async |stage| match stage {
            Stage::Apply(map) => {
                check(&map, &["other/one", "a/b"]);
                Err(Error::Retry("it went wrong".into()))
            }
            Stage::Cleanup(_) => panic!("it lives"),
        };
        finalizer(&ctx, map, "a/b", stage).await.unwrap_err();
        check(&ctx.client.read::<ConfigMap>(&Key::new("default", "a")).await.unwrap(), &["other/one", "a/b"]);
    }

    #[tokio::test]
    async fn the_finalizer_stays_until_the_cleanup_succeeds_and_those_of_others_stay_anyway() {
        let (ctx, map) = world(&["a/b", "other/one"], true).await;
        let fails = async |_| Err(Error::Retry("the bucket is not empty".into()));
        finalizer(&ctx, map.clone(), "a/b", fails).await.unwrap_err();
        let key = Key::new("default", "a");
        check(&ctx.client.read::<ConfigMap>(&key).await.unwrap(), &["a/b", "other/one"]);
        finalizer(&ctx, map, "a/b", async |_| Ok(Requeue::OnChange)).await.unwrap();
        check(&ctx.client.read::<ConfigMap>(&key).await.unwrap(), &["other/one"]);
    }

    #[tokio::test]
    async fn a_stale_object_loses_no_finalizer_that_was_added_meanwhile() {
        let (ctx, stale) = world(&[], false).await;
        let mut newer = (*stale).clone();
        newer.metadata.finalizers = Some(vec!["other/one".into()]);
        ctx.client.replace(&newer).await.unwrap();
        let error = finalizer(&ctx, stale, "a/b", async |_| panic!("not applied")).await.unwrap_err();
        assert!(error.is_conflict(), "{error}");
    }
}
