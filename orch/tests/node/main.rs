//! Nodes that really run something, through a whole cluster.
//!
//! What needs root runs in network and mount namespaces that the test makes for itself. Without root it says
//! that it was skipped, or fails where `ORCH_REQUIRE_REAL=1` is set.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used)] // All of this program is tests.

mod cluster;
#[path = "../support/command.rs"]
mod command;
mod crash;
mod database;
mod hammer;
mod image;
mod in_cluster;
mod namespaces;
mod pods;
mod registry;
mod rollout;
#[path = "../support/shared.rs"]
mod shared;
mod streams;
#[path = "../support/tools.rs"]
mod tools;
mod trouble;
mod unprivileged;
mod volumes;
mod workloads;
