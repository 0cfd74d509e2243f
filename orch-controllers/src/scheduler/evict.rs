//! Making room: each victim is told why it goes, and is deleted (`framework/preemption/executor.go`).

use super::{condition, state::Eviction};
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use orch_api::{Object, StatusError};
use orch_runtime::scheduler::PodInfo;
use orch_store::{
    Client,
    client::{DeleteOptions, Patch, WriteOptions},
};
use std::sync::Arc;

/// Has the victims go, and takes the node from the pods that were outbid. Returns the victims that go now (others were gone),
/// and the first error when not all could be told.
pub(super) async fn evict(
    client: &dyn Client,
    eviction: &Eviction,
    now: Timestamp,
) -> (Vec<Arc<PodInfo>>, Result<(), StatusError>) {
    for pod in eviction.outbid.iter().filter(|pod| !pod.nominated.is_empty()) {
        if let Err(error) = patch(client, pod, condition::of_nomination(pod, None)).await {
            tracing::debug!(%error, pod = %pod.key, "the nomination of a less important pod was not cleared");
        }
    }
    let victims = &eviction.room.victims;
    let told = join_all(victims.iter().map(|victim| tell(client, victim, &eviction.preemptor, now))).await;
    let going = victims.iter().zip(&told).filter(|(_, goes)| matches!(goes, Ok(true)));
    let going = going.map(|(victim, _)| victim.clone()).collect();
    (going, told.into_iter().find_map(Result::err).map_or(Ok(()), Err))
}

/// Writes to the status of this very pod.
pub(super) async fn patch(client: &dyn Client, pod: &PodInfo, patch: Patch) -> Result<(), StatusError> {
    let options = WriteOptions { field_manager: "kube-scheduler".into(), ..WriteOptions::default() };
    client.patch(&Pod::gvr(), &pod.key, Some("status"), patch, &options).await.map(drop)
}

/// False when the victim is gone already, and whoever has its name now is another.
async fn tell(client: &dyn Client, victim: &PodInfo, preemptor: &PodInfo, now: Timestamp) -> Result<bool, StatusError> {
    let gone = |error: StatusError| if error.is_not_found() || error.is_conflict() { Ok(false) } else { Err(error) };
    if let Err(error) = patch(client, victim, condition::of_victim(victim, preemptor, now)).await {
        return gone(error);
    }
    let options = DeleteOptions { uid: Some(victim.uid.clone()), ..DeleteOptions::default() };
    match client.delete(&Pod::gvr(), &victim.key, &options).await {
        Ok(_) => Ok(true),
        Err(error) => gone(error),
    }
}
