//! Probes: when they are due and what their results mean ([`Machine`], pure) and how they are made ([`Prober`]).

mod check;
mod grpc;
mod http;
mod machine;

pub use check::{Check, NetProber, Prober, resolve, resolve_lifecycle};
pub use machine::{Kind, Machine, Settings};
