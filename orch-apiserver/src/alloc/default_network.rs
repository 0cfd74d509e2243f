//! The ServiceCIDR `kubernetes`: the networks that the server was told of, as an object
//! (`pkg/controlplane/controller/defaultservicecidr`).

use super::{NETWORKS, ServiceAllocators, networks::DEFAULT};
use crate::core::{Core, Storage, encode, json, meta, storage::Written};
use futures::StreamExt;
use orch_api::{Key, Kind, StatusError};
use orch_store::{
    Ambient,
    cache::WatchStart,
    client::{ReadAt, WatchEvent},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// How long to wait before a write that failed, or a watch that ended, is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// The object.
pub(crate) fn default_network(services: &ServiceAllocators) -> Value {
    let cidrs: Vec<String> = services.cidrs().iter().map(ToString::to_string).collect();
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": DEFAULT},
        "spec": {"cidrs": cidrs}})
}

/// Adds the second network to one that has the first alone, and makes it again whenever somebody has deleted it.
pub(crate) async fn keep_default_network(services: &ServiceAllocators, core: &Core) -> Result<(), StatusError> {
    let Some(kind) = core.registry.find(&NETWORKS) else { return Ok(()) };
    let (storage, ambient, wanted) = (core.storage.clone(), core.ambient.clone(), default_network(services));
    widen(&storage, &kind, &wanted).await?;
    core.ambient.tasks.spawn_loop("the default network of Services", move || {
        let (storage, kind, ambient, wanted) = (storage.clone(), kind.clone(), ambient.clone(), wanted.clone());
        async move { keep(&storage, &kind, &ambient, &wanted).await }
    });
    Ok(())
}

async fn widen(storage: &Storage, kind: &Arc<Kind>, wanted: &Value) -> Result<(), StatusError> {
    loop {
        let Some(stored) = storage.find(kind, &Key::cluster(DEFAULT)).await? else { return Ok(()) };
        let mut object: Value = stored.parse()?;
        let (have, want) = (json::items(&object, &["spec", "cidrs"]), json::items(wanted, &["spec", "cidrs"]));
        if have.len() != 1 || want.len() != 2 || have.first() != want.first() {
            return Ok(());
        }
        json::set(&mut object, &["spec", "cidrs"], want.to_vec());
        if let Written::Done(_) = storage.replace(kind, &stored, encode::encode(&object)?, false).await? {
            return Ok(());
        }
    }
}

async fn keep(storage: &Storage, kind: &Arc<Kind>, ambient: &Ambient, wanted: &Value) {
    let resource = storage.resource(kind);
    while let Ok(mut events) = resource.watch(WatchStart::State(ReadAt::Any), None, None) {
        ensure(storage, kind, ambient, wanted).await;
        while let Some(Ok(event)) = events.next().await {
            if matches!(event, WatchEvent::Deleted(gone) if *gone.key.name == *DEFAULT) {
                ensure(storage, kind, ambient, wanted).await;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn ensure(storage: &Storage, kind: &Arc<Kind>, ambient: &Ambient, wanted: &Value) {
    while let Err(error) = make(storage, kind, ambient, wanted.clone()).await {
        tracing::warn!(%error, "the default ServiceCIDR can not be created");
        tokio::time::sleep(PAUSE).await;
    }
}

async fn make(storage: &Storage, kind: &Arc<Kind>, ambient: &Ambient, mut object: Value) -> Result<(), StatusError> {
    if storage.find(kind, &Key::cluster(DEFAULT)).await?.is_some() {
        return Ok(());
    }
    meta::fill(&mut object, ambient.clock.now(), &ambient.chance);
    orch_api::strategy::prepare_create(kind, &mut object);
    match storage.insert(kind, &Key::cluster(DEFAULT), encode::encode(&object)?, false).await {
        Err(error) if !error.is_already_exists() => Err(error),
        _ => Ok(()),
    }
}
