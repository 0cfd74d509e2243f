//! The service proxy: leads the addresses of Services to their pods.
//!
//! ```text
//! Services, EndpointSlices ─► plan: pure ─► Ruleset ─► ServiceProxy: nftables | userspace
//! ```
//!
//! A [`Ruleset`] says for each front (address and port) which backends it leads to. An implementation brings
//! the machine from the last ruleset to the next in one step; how is its business.

mod model;
mod nftables;
mod plan;
#[cfg(test)]
mod tests;
mod userspace;

pub use model::{Endpoint, Service, ServicePort, Slice};
pub use nftables::{Nftables, NftablesOptions};
pub use plan::{Backend, Front, Proto, Rule, Ruleset, plan};
pub use userspace::Userspace;

use async_trait::async_trait;
use k8s_openapi::api::{core::v1, discovery::v1 as discovery};
use orch_api::Key;
use orch_store::{Ambient, Informers, informer::Delta};
use std::{collections::BTreeMap, time::Duration};

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
    /// Makes the machine obey these rules and no older ones of ours.
    async fn apply(&self, rules: &Ruleset) -> Result<(), ProxyError>;
}

/// The machine refused.
#[derive(Clone, Debug, thiserror::Error)]
#[error("service proxy: {0}")]
pub struct ProxyError(pub String);

/// Keeps the machine's rules in step with the cluster until the ambience stops.
pub async fn run(node: String, informers: Informers, proxy: impl ServiceProxy, ambient: Ambient) {
    let (services, slices) = (informers.of::<v1::Service>(), informers.of::<discovery::EndpointSlice>());
    let (mut service_feed, mut slice_feed) = (services.subscribe(), slices.subscribe());
    services.synced().await;
    slices.synced().await;
    let mut known = Known::default();
    let mut applied = None;
    loop {
        while let Ok(delta) = service_feed.try_recv() {
            known.service_changed(&delta);
        }
        while let Ok(delta) = slice_feed.try_recv() {
            known.slice_changed(&delta);
        }
        let rules = plan(known.services.values(), known.slices.values(), &node);
        let failed = if applied.as_ref() == Some(&rules) {
            false
        } else {
            match proxy.apply(&rules).await {
                Ok(()) => {
                    applied = Some(rules);
                    false
                }
                Err(error) => {
                    tracing::warn!(%error, "the service rules were not applied");
                    true
                }
            }
        };
        let retry = async { if failed { tokio::time::sleep(RETRY).await } else { std::future::pending().await } };
        tokio::select! {
            delta = service_feed.recv() => match delta { Some(delta) => known.service_changed(&delta), None => return },
            delta = slice_feed.recv() => match delta { Some(delta) => known.slice_changed(&delta), None => return },
            () = retry => {}
            () = ambient.tasks.cancelled().cancelled_owned() => return,
        }
        tokio::time::sleep(SETTLE).await;
    }
}

/// What the proxy has read of the cluster.
#[derive(Default)]
struct Known {
    services: BTreeMap<Key, Service>,
    slices: BTreeMap<Key, Slice>,
}

impl Known {
    fn service_changed(&mut self, delta: &Delta) {
        changed(&mut self.services, delta, |stored| stored.parse());
    }

    fn slice_changed(&mut self, delta: &Delta) {
        changed(&mut self.slices, delta, |stored| stored.parse());
    }
}

fn changed<T>(
    known: &mut BTreeMap<Key, T>,
    delta: &Delta,
    read: impl Fn(&orch_store::Stored) -> Result<T, orch_api::StatusError>,
) {
    match (&delta.old, &delta.new) {
        (_, Some(new)) => match read(new) {
            Ok(object) => drop(known.insert(new.key.clone(), object)),
            Err(error) => tracing::error!(%error, "an object cannot be read"),
        },
        (Some(old), None) => drop(known.remove(&old.key)),
        (None, None) => {}
    }
}
