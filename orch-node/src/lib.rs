//! The node agent and what it needs of a machine.
//!
//! ```text
//! Agent ── watches pods of its node ──► pod::worker (one per pod)
//!   │                                      │  Observed ──► plan ──► PodActions
//!   ├─ lease, Node object                  ├─ ContainerRuntime: simulated | process | oci
//!   └─ server: logs, exec, attach,         └─ volume, env, probe, status
//!              port-forward (WebSocket, spdy)
//! ```
//!
//! **Fail-static**: stopping or killing the agent never stops a container; the next agent adopts what runs.

pub mod agent;
pub mod book;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
pub mod dns;
pub mod env;
pub mod event;
pub mod files;
pub mod follow;
pub mod image;
mod image_pull;
mod inherited;
pub mod logs;
pub mod net;
pub mod oci;
pub mod pod;
pub mod probe;
pub mod process;
pub mod provision;
pub mod proxy;
mod quantity;
mod resources;
pub mod server;
pub mod simulated;
mod spdy;
pub mod stats;
pub mod status;
pub mod toolbox;
pub mod volume;

pub use agent::{Agent, AgentConfig, AgentParts};
pub use process::ProcessRuntime;
pub use simulated::SimulatedRuntime;

/// What the kernel says of a failure, without its number.
fn words(error: &std::io::Error) -> String {
    let text = error.to_string().to_lowercase();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
