//! Every built-in control loop.
//!
//! Each file is one loop: a [`Controller`](orch_runtime::Controller) whose `plan` is a pure function, with its
//! tests beside it. [`all`] is the list of them; `docs/controllers.md` is made from it.

pub mod common;
pub mod deployment;
pub mod endpoint_slice;
pub mod garbage_collector;
pub mod namespace;
pub mod node_lifecycle;
pub mod replica_set;
pub mod root_ca;
pub mod service_account;
pub mod taint_eviction;

#[cfg(test)]
mod fixtures;
