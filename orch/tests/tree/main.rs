//! What holds of the tree itself, rather than of a cluster.
#![allow(clippy::unwrap_used, clippy::expect_used)] // These are tests.

mod conformance;
mod layering;
