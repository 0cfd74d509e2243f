//! The whole cluster in process, under a paused clock.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that fails may panic.

mod cluster;
mod conformance;
mod kube_rs;
mod operator;
mod sim;
