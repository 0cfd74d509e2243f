//! One pod: what to do next ([`plan()`], pure) and who does it ([`worker`]).
//!
//! ```text
//! spec, runtime, probes, time ──► Observed ──► plan() ──► PodActions ──► worker ──► ContainerRuntime
//!                                    ▲                                      │
//!                                    └──────────── what came of it ─────────┘
//! ```

pub mod backoff;
pub mod observed;
pub mod plan;
mod probing;
pub mod spec;
mod start;
mod stop;
pub mod worker;

#[cfg(test)]
mod plan_tests;

pub use backoff::Backoff;
pub use observed::{Health, Observed, StartFailure};
pub use plan::{Action, KillReason, Outcome, PodActions, plan};
pub(crate) use start::Start;
pub use worker::{PodHandle, View};
