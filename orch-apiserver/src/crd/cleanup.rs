//! The end of a definition: its objects go first, then the finalizer (`controller/finalizer/crd_finalizer.go`).

use super::status;
use crate::{
    authn::User,
    core::update::{Admits, Mode, Part},
    core::{Annotations, Call, Core, Warnings, json},
};
use futures::StreamExt;
use orch_api::{Gvr, Key, Kind, StatusError, crd::rows};
use orch_store::{
    cache::WatchStart,
    client::{DeleteOptions, ReadAt, WatchEvent, WriteOptions},
};
use serde_json::Value;
use std::sync::Arc;

/// What keeps a definition until its objects are gone.
pub(crate) const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Whether a definition waits for its objects to go.
pub(super) fn is_due(definition: &Value) -> bool {
    !json::meta(definition, "deletionTimestamp").is_empty()
        && json::items(definition, &["metadata", "finalizers"]).iter().any(|f| f == FINALIZER)
}

/// Deletes the objects of a definition, waits until they are gone, and sets the definition free. What fails is tried again
/// until it works or the definition is gone.
pub(super) async fn run(core: Arc<Core>, definition: Value) {
    let mut failures = 0;
    while let Err(error) = attempt(&core, &definition).await {
        if error.is_not_found() {
            return;
        }
        let name = json::meta(&definition, "name");
        tracing::warn!(definition = name, %error, "a custom resource definition could not be set free");
        tokio::time::sleep(super::pause(failures)).await;
        failures += 1;
    }
}

async fn attempt(core: &Core, definition: &Value) -> Result<(), StatusError> {
    let name = json::meta(definition, "name");
    let established = status::is_true(definition, "Established");
    say(core, name, "True", "InstanceDeletionInProgress", "CustomResource deletion is in progress", false).await?;
    let storage = rows(definition, true).into_iter().find(|row| row.storage).map(|row| row.kind);
    let (reason, message) = match (established, storage) {
        (true, Some(kind)) => {
            if let Err(error) = remove_all(core, &kind).await {
                let message = format!("could not issue all deletes: {}", error.message());
                say(core, name, "True", "InstanceDeletionFailed", &message, false).await?;
                return Err(error);
            }
            ("InstanceDeletionCompleted", "removed all instances")
        }
        _ => ("NeverEstablished", "resource was never established"),
    };
    say(core, name, "False", reason, message, true).await
}

/// Deletes every object of a kind and waits until the last one, which may have finalizers, is gone.
async fn remove_all(core: &Core, kind: &Arc<Kind>) -> Result<(), StatusError> {
    let resource = core.storage.resource(kind);
    let mut events = resource.watch(WatchStart::State(ReadAt::Latest), None, None).map_err(StatusError::internal)?;
    loop {
        let left = core.storage.all(kind, "").await?;
        if left.is_empty() {
            return Ok(());
        }
        for object in left.iter().filter(|object| object.meta.deletion_timestamp.is_none()) {
            let call = call(kind.clone(), Key::new(object.key.namespace.clone(), object.key.name.clone()), None);
            match core.delete(&call, &DeleteOptions::default()).await {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        if core.storage.all(kind, "").await?.is_empty() {
            return Ok(());
        }
        // Whatever holds the rest lets go with a write.
        while let Some(event) = events.next().await {
            if matches!(event, Ok(WatchEvent::Deleted(_)) | Err(_)) {
                break;
            }
        }
    }
}

/// Writes the condition `Terminating`, and with `free` takes the finalizer away.
async fn say(
    core: &Core,
    name: &str,
    status: &str,
    reason: &str,
    message: &str,
    free: bool,
) -> Result<(), StatusError> {
    let Some(kind) = core.registry.find(&DEFINITIONS) else { return Ok(()) };
    let call = call(kind, Key::cluster(name), Some("status"));
    let now = core.ambient.clock.now();
    let change = |live: &Value| {
        let mut new = live.clone();
        status::set(&mut new, "Terminating", status, reason, message, now);
        if free {
            let finalizers = json::list_mut(&mut new, &["metadata"], "finalizers");
            finalizers.retain(|f| f != FINALIZER);
        }
        Ok(new)
    };
    core.write(&call, QUIET, &WriteOptions::default(), &change).await.map(drop)
}

/// The server's own writes: checked by whoever makes them, and nobody else is asked.
pub(super) const QUIET: Mode = Mode { part: Part::Checked, applied: false, admits: Admits::Nothing };

/// Where definitions are.
pub(super) const DEFINITIONS: Gvr = Gvr::of("apiextensions.k8s.io", "v1", "customresourcedefinitions");

/// A call of the server itself.
pub(super) fn call(kind: Arc<Kind>, key: Key, subresource: Option<&str>) -> Call {
    Call {
        user: Arc::new(User::system("apiserver")),
        kind,
        key,
        subresource: subresource.map(Into::into),
        user_agent: "kube-apiserver".into(),
        warnings: Warnings::default(),
        annotations: Annotations::default(),
    }
}
