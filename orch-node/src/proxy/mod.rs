//! The service proxy: leads the addresses of Services to their pods.
//!
//! ```text
//! Services, EndpointSlices ─► plan: pure ─► Ruleset ─► ServiceProxy: nftables | userspace
//! ```
//!
//! A [`Ruleset`] says for each front (address and port) which backends it leads to. An implementation brings
//! the machine from the last ruleset to the next in one step; how is its business. The [`Planner`] keeps the
//! ruleset in step with the cluster, so that what a change costs grows with the change.

mod chooser;
mod model;
mod nftables;
mod plan;
mod planner;
mod script;
#[cfg(test)]
mod tests;
mod userspace;

pub use model::{Endpoint, Service, ServicePort, Slice};
pub use nftables::{Nftables, NftablesOptions};
pub use plan::{Backend, Front, Proto, Rule, Ruleset, plan};
pub use planner::{Changes, Planner};
pub use userspace::Userspace;

use crate::event::{Recorder, Severity};
use async_trait::async_trait;
use k8s_openapi::api::{core::v1, discovery::v1 as discovery};
use orch_store::{Ambient, Informers, Stored, informer::Delta, panics::keep};
use std::time::Duration;

/// Changes are collected for this long, so that a rollout is a few transactions and not hundreds.
const SETTLE: Duration = Duration::from_millis(5);
/// A ruleset that could not be applied is tried again after this long.
const RETRY: Duration = Duration::from_secs(1);

/// Brings a ruleset to the machine.
///
/// # Laws
///
/// - **Atomic.** A connection sees the old rules or the new, never a part.
/// - Connections that are established go on to their backend while it exists.
/// - After an error the machine is as it was, and the same ruleset may be applied again.
#[async_trait]
pub trait ServiceProxy: Send + Sync + 'static {
    /// Makes the machine obey these rules and no older ones of ours, whoever applied them.
    async fn apply(&self, rules: &Ruleset) -> Result<(), ProxyError>;

    /// Changes some of the rules that this value applied. After an error, [`ServiceProxy::apply`] comes next.
    async fn change(&self, changes: &Changes) -> Result<(), ProxyError>;

    /// Fronts that this machine cannot serve whatever is tried, each said once and why. They are no errors of
    /// `apply` and `change`, which go on without them.
    fn take_refused(&self) -> Vec<(Front, String)> {
        Vec::new()
    }
}

/// The machine refused.
#[derive(Clone, Debug, thiserror::Error)]
#[error("service proxy: {0}")]
pub struct ProxyError(pub String);

/// Keeps the machine's rules in step with the cluster until the ambience stops. The machine is these nodes: one, as a rule.
pub async fn run(nodes: Vec<String>, informers: Informers, proxy: impl ServiceProxy, ambient: Ambient) {
    keep("kube-proxy", || follow(&nodes, &informers, &proxy, &ambient)).await;
}

async fn follow(nodes: &[String], informers: &Informers, proxy: &impl ServiceProxy, ambient: &Ambient) {
    let (services, slices) = (informers.of::<v1::Service>(), informers.of::<discovery::EndpointSlice>());
    let (mut service_feed, mut slice_feed) = (services.subscribe(), slices.subscribe());
    services.synced().await;
    slices.synced().await;
    let host = nodes.first().cloned().unwrap_or_default();
    let mut planner = Planner::new(nodes.to_vec());
    let recorder = Recorder::of("kube-proxy", informers.client().clone(), host, ambient.clone());
    let mut applied = false;
    loop {
        while let Ok(delta) = service_feed.try_recv() {
            service_changed(&mut planner, &delta);
        }
        while let Ok(delta) = slice_feed.try_recv() {
            slice_changed(&mut planner, &delta);
        }
        let changes = planner.changes();
        let result = match applied {
            true if changes.is_empty() => Ok(()),
            true => proxy.change(&changes).await,
            false => proxy.apply(planner.rules()).await,
        };
        applied = result.is_ok();
        for (front, why) in proxy.take_refused() {
            if let Some(about) = planner.owner(&front).and_then(|key| services.get(key)) {
                recorder.record(&reference(&about), Severity::Warning, "FailedToListen", why);
            }
        }
        if let Err(error) = result {
            tracing::warn!(%error, "the service rules were not applied");
        }
        let retry = async { if applied { std::future::pending().await } else { tokio::time::sleep(RETRY).await } };
        tokio::select! {
            delta = service_feed.recv() => match delta {
                Some(delta) => service_changed(&mut planner, &delta),
                None => return,
            },
            delta = slice_feed.recv() => match delta {
                Some(delta) => slice_changed(&mut planner, &delta),
                None => return,
            },
            () = retry => {}
            () = ambient.tasks.cancelled().cancelled_owned() => return,
        }
        tokio::time::sleep(SETTLE).await;
    }
}

fn reference(service: &Stored) -> v1::ObjectReference {
    v1::ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Service".into()),
        namespace: Some(service.key.namespace.to_string()),
        name: Some(service.key.name.to_string()),
        uid: Some(service.meta.uid.to_string()),
        ..v1::ObjectReference::default()
    }
}

fn service_changed(planner: &mut Planner, delta: &Delta) {
    match (&delta.old, &delta.new) {
        (_, Some(new)) => match new.parse() {
            Ok(service) => planner.set_service(service),
            Err(error) => tracing::error!(%error, "a service cannot be read"),
        },
        (Some(old), None) => planner.remove_service(&old.key),
        (None, None) => {}
    }
}

fn slice_changed(planner: &mut Planner, delta: &Delta) {
    match (&delta.old, &delta.new) {
        (_, Some(new)) => match new.parse() {
            Ok(slice) => planner.set_slice(new.key.clone(), slice),
            Err(error) => tracing::error!(%error, "an endpoint slice cannot be read"),
        },
        (Some(old), None) => planner.remove_slice(&old.key),
        (None, None) => {}
    }
}
