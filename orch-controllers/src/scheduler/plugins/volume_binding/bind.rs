//! Saying in the API what was decided, and waiting until the binder has done its part (`binder.go`, `BindPodVolumes`).

use super::find::Bindings;
use futures::{StreamExt, stream::BoxStream};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use orch_api::{Key, Object, StatusError};
use orch_runtime::{
    scheduler::{Binding, NodeInfo},
    storage::{ClaimInfo, VolumeInfo, marks, reaches},
};
use orch_store::{
    Revision, Stored,
    client::{ListOptions, Patch, WatchEvent, WatchOptions, WriteOptions},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// How long a pod waits for its volumes before it is scheduled anew.
const PATIENCE: Duration = Duration::from_secs(600);

/// Reserves volumes, asks for new ones, and waits until all claims are bound.
pub(super) async fn perform(binding: &Binding<'_>, bindings: &Bindings) -> Result<(), StatusError> {
    let mut waits = Vec::new();
    for (volume, claim) in &bindings.bind {
        let reserved = reserve(binding, volume, claim).await?;
        waits.push(Wait { claim: claim.clone(), volume: Some((volume.name.clone(), reserved)), since: Revision(0) });
    }
    for claim in &bindings.provision {
        let since = select_node(binding, claim).await?;
        waits.push(Wait { claim: claim.clone(), volume: None, since });
    }
    let all = futures::future::try_join_all(waits.iter().map(|wait| wait.run(binding)));
    match tokio::time::timeout(PATIENCE, all).await {
        Ok(done) => done.map(drop).map_err(|words| StatusError::internal(format_args!("binding volumes: {words}"))),
        Err(_) => Err(StatusError::internal("binding volumes: context deadline exceeded")),
    }
}

/// Reserves a volume for a claim, if it is as it was seen.
async fn reserve(binding: &Binding<'_>, volume: &VolumeInfo, claim: &ClaimInfo) -> Result<Revision, StatusError> {
    let reserved = volume.claim.is_some();
    let annotations = if reserved { json!({}) } else { json!({ marks::BOUND_BY_CONTROLLER: "yes" }) };
    let change = json!({
        "metadata": {
            "uid": &*volume.uid, "resourceVersion": volume.revision.to_string(), "annotations": annotations,
        },
        "spec": { "claimRef": {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": &*claim.key.namespace,
            "name": &*claim.key.name, "uid": &*claim.uid, "resourceVersion": claim.revision.to_string(),
        } },
    });
    let key = Key::cluster(volume.name.clone());
    patch(binding, &PersistentVolume::gvr(), &key, change).await
}

/// Says for which node the volume of a claim is to be made, if the claim is as it was seen.
async fn select_node(binding: &Binding<'_>, claim: &ClaimInfo) -> Result<Revision, StatusError> {
    let change = json!({ "metadata": {
        "uid": &*claim.uid, "resourceVersion": claim.revision.to_string(),
        "annotations": { marks::SELECTED_NODE: &**binding.node },
    } });
    patch(binding, &PersistentVolumeClaim::gvr(), &claim.key, change).await
}

async fn patch(
    binding: &Binding<'_>,
    gvr: &orch_api::Gvr,
    key: &Key,
    change: serde_json::Value,
) -> Result<Revision, StatusError> {
    let options = WriteOptions { field_manager: "kube-scheduler".into(), ..WriteOptions::default() };
    let written = binding.client.patch(gvr, key, None, Patch::Merge(change), &options).await?;
    Ok(written.revision)
}

/// A claim that is waited for.
struct Wait {
    claim: Arc<ClaimInfo>,
    /// The volume that was reserved for it, as of which revision; `None` when one is made.
    volume: Option<(Arc<str>, Revision)>,
    /// The revision of the claim that asked for a volume.
    since: Revision,
}

impl Wait {
    /// Looks at every state of the claim until it is bound, or until it is certain that it will not be: then the words.
    /// A volume that changes does so before its claim or makes the binder change the claim; so one watch is enough, and
    /// what it misses the volume's own state tells at the next look.
    async fn run(&self, binding: &Binding<'_>) -> Result<(), String> {
        loop {
            let mut events = match watch(binding, &self.claim.key).await {
                Ok(events) => events,
                Err(error) => {
                    tracing::debug!(%error, claim = %self.claim.key, "a claim cannot be followed");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            loop {
                if self.look(binding).await? {
                    return Ok(());
                }
                match tokio::time::timeout(LOOK_AGAIN, events.next()).await {
                    Ok(Some(Ok(_))) | Err(_) => {}
                    Ok(Some(Err(_)) | None) => break,
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether the claim is bound (`checkBindings`). Looks at the API itself, since the caches lag and hold what was only
    /// promised.
    async fn look(&self, binding: &Binding<'_>) -> Result<bool, String> {
        if gone(binding).await {
            return Err("pod does not exist any more".into());
        }
        let claim = match get(binding, &PersistentVolumeClaim::gvr(), &self.claim.key).await {
            Ok(Some(found)) => ClaimInfo::read(&found),
            Ok(None) => {
                let what = if self.volume.is_some() { "binding" } else { "provisioning pvc" };
                let name = &self.claim.key.name;
                return Err(format!("failed to check {what}: persistentvolumeclaim {name:?} not found"));
            }
            Err(_) => return Ok(false),
        };
        let name = match &self.volume {
            Some((name, _)) => name.clone(),
            None => {
                if claim.revision >= self.since && claim.selected_node.as_ref() != Some(binding.node) {
                    return Err(format!("provisioning failed for PVC {:?}", claim.key.name));
                }
                claim.volume.clone()
            }
        };
        if name.is_empty() {
            return Ok(false);
        }
        let volume = match get(binding, &PersistentVolume::gvr(), &Key::cluster(name.clone())).await {
            Ok(Some(found)) => VolumeInfo::read(&found),
            Ok(None) if self.volume.is_some() => {
                return Err(format!("failed to check binding: persistentvolume {name:?} not found"));
            }
            _ => return Ok(false),
        };
        let node = binding.informers.of::<Node>().get(&Key::cluster(binding.node.clone()));
        let node = node.and_then(|stored| stored.decode::<Node>().ok());
        let node = node.ok_or_else(|| format!("failed to get node {:?}", binding.node))?;
        if !reaches(&NodeInfo::read(&node), &volume) {
            let words = "no matching NodeSelectorTerms";
            return Err(format!("pv {name:?} node affinity doesn't match node {:?}: {words}", binding.node));
        }
        if self.volume.is_some() && volume.claim.as_ref().is_none_or(|of| of.uid.is_empty()) {
            return Err(format!("ClaimRef got reset for pv {name:?}"));
        }
        Ok(claim.is_bound())
    }
}

/// How long to wait before a watch that ended is begun again.
const PAUSE: Duration = Duration::from_millis(100);
/// After this long the state is looked at although the claim did not change: the pod or the volume may be gone.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

async fn gone(binding: &Binding<'_>) -> bool {
    match binding.client.get(&Pod::gvr(), &binding.pod.key, None).await {
        Ok(pod) => pod.meta.uid != binding.pod.uid || pod.meta.is_deleting(),
        Err(error) => error.is_not_found(),
    }
}

async fn get(binding: &Binding<'_>, gvr: &orch_api::Gvr, key: &Key) -> Result<Option<Arc<Stored>>, StatusError> {
    match binding.client.get(gvr, key, None).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

type Events = BoxStream<'static, orch_store::client::Result<WatchEvent>>;

async fn watch(binding: &Binding<'_>, key: &Key) -> orch_store::client::Result<Events> {
    let (namespace, fields) = (key.namespace.clone(), format!("metadata.name={}", key.name));
    let list = ListOptions { namespace: namespace.clone(), fields: fields.clone(), ..ListOptions::default() };
    let page = binding.client.list(&PersistentVolumeClaim::gvr(), &list).await?;
    let options = WatchOptions { namespace, fields, after: Some(page.revision), ..WatchOptions::default() };
    Ok(binding.client.watch(&PersistentVolumeClaim::gvr(), &options).await?.boxed())
}
