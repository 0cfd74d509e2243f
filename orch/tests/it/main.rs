//! The whole cluster in process, under a paused clock.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that fails may panic.

mod cluster;
mod conformance;
mod kinds;
mod kube_rs;
mod life;
mod operator;
mod sim;
mod volumes;
mod webhook;
