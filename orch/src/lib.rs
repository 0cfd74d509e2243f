//! A Kubernetes cluster as a library, and the binary `orch` that runs one.
//!
//! ```text
//! Cluster::builder()                        the crates that it assembles
//!   ├─ ApiServer over a Backend             orch-apiserver, orch-store
//!   ├─ every controller, the scheduler      orch-controllers on orch-runtime
//!   └─ nodes: simulated, or this machine    orch-node
//! ```
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use orch::{Cluster, api::k8s_openapi::api::core::v1::Namespace, store::ClientExt};
//!
//! let cluster = Cluster::builder().simulated_nodes(3).build().await?;
//! let namespaces = cluster.client().read_all::<Namespace>("").await?;
//! assert!(namespaces.iter().any(|n| n.metadata.name.as_deref() == Some("default")));
//! cluster.stop().await;
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "cli")]
pub mod bench;
#[cfg(feature = "cli")]
pub mod cli;
pub mod cluster;
#[cfg(feature = "sim")]
pub mod sim;

pub use cluster::{Builder, Cluster, Error};

pub use orch_api as api;
pub use orch_apiserver as apiserver;
pub use orch_controllers as controllers;
pub use orch_node as node;
pub use orch_runtime as runtime;
pub use orch_store as store;
