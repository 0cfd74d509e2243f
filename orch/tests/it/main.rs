//! The whole cluster in process, under a paused clock.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that fails may panic.

mod bad_input;
mod cluster;
mod conformance;
mod kinds;
mod kube_rs;
mod life;
mod migration;
mod operator;
mod panics;
mod sim;
mod volumes;
mod webhook;
mod world;
