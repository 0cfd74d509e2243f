//! The pod network as a plug point.

mod bridge;
mod detect;
mod in_use;
mod ipam;
mod namespace;
pub(crate) mod nft;
mod rules;

pub use bridge::{BridgeNetwork, BridgeOptions};
pub use detect::{Capabilities, Choice, detect};
pub use in_use::{has_listeners, routes};
pub use ipam::{Ipam, Subnet};

use async_trait::async_trait;
use orch_runtime::node::container::{RuntimeError, SandboxConfig};
use std::{net::IpAddr, path::Path};

/// Connects sandboxes to the cluster's network.
///
/// # Laws
///
/// - `attach` is called once the network namespace exists and its loopback device is up, before the
///   first container starts. It may be called again for the same sandbox and then changes nothing.
/// - `detach` succeeds for a sandbox that was never attached, and when the namespace is gone already.
/// - Neither is called for pods on the node's own network.
#[async_trait]
pub trait PodNetwork: Send + Sync + 'static {
    /// Connects the namespace at `netns` and returns the pod's addresses, the primary first.
    async fn attach(&self, netns: &Path, sandbox: &SandboxConfig) -> Result<Vec<IpAddr>, RuntimeError>;

    /// Disconnects it and gives its addresses back.
    async fn detach(&self, netns: &Path, sandbox: &SandboxConfig) -> Result<(), RuntimeError>;
}

/// No network but loopback.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNetwork;

#[async_trait]
impl PodNetwork for NoNetwork {
    async fn attach(&self, _netns: &Path, _sandbox: &SandboxConfig) -> Result<Vec<IpAddr>, RuntimeError> {
        Ok(Vec::new())
    }

    async fn detach(&self, _netns: &Path, _sandbox: &SandboxConfig) -> Result<(), RuntimeError> {
        Ok(())
    }
}
