//! The Kubernetes API server as a tower service.
//!
//! ```text
//! HTTP ──► http (paths, bodies, forms) ─┐
//!                                       ├─► Core: authorize → mutate → default → validate → admit → commit
//! LocalClient (no HTTP, shared bytes) ──┘              │
//!                                              Storage: watch cache over a Backend
//! ```
//!
//! Start with [`ApiServer::builder`]. `kube::Client::new(server.service(), "default")` is a working client with no
//! socket; [`ApiServer::client`] is one without HTTP.

pub mod admission;
pub mod alloc;
pub mod apply;
pub mod authn;
pub mod authz;
mod bootstrap;
pub mod client;
pub mod core;
pub mod crd;
pub mod discovery;
mod follow;
pub mod http;
pub mod metrics;
pub mod openapi;
pub mod patch;
pub mod pki;
pub mod proxy;
pub mod registry;
pub mod serve;
pub mod server;
pub mod service;
mod sub;
mod usage;
pub mod webhook;

pub use client::LocalClient;
pub use server::{ApiServer, Builder, Identity};
pub use service::ApiService;
