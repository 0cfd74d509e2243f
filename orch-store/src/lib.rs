//! Revisioned storage, the watch cache, the [`Client`] trait and shared informers.
//!
//! ```text
//! Client ──► (API server) ──► WatchCache ──► Backend: memory | embedded | etcd
//!   │                            │
//!   └──► Informers ◄── watch ────┘      one Stored per revision, shared by all
//! ```
//!
//! Start with [`ClientExt`] to read and write, with [`Informers`] to follow. With the feature `remote`
//! the same code speaks to any Kubernetes API server.

pub mod ambient;
pub mod backend;
pub mod cache;
pub mod client;
pub mod informer;
pub mod panics;
#[cfg(feature = "remote")]
pub mod remote;
pub mod review;
pub mod stored;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod watched;

pub use ambient::{Ambient, Chance, Clock, Tasks};
pub use backend::{Backend, Revision};
pub use cache::WatchCache;
pub use client::{Client, ClientExt};
pub use informer::{Informer, Informers};
pub use review::{AdmissionHandler, AdmissionHook, ConversionHandler};
pub use stored::Stored;
