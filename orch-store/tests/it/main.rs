//! Integration tests of orch-store, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod backends;
mod cache;
mod client;
mod crash;
mod disk;
mod informer;
