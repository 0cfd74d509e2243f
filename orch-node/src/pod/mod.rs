//! One pod: what to do next ([`plan()`], pure) and who does it ([`worker`]).
//!
//! ```text
//! spec, runtime, probes, time ──► Observed ──► plan() ──► PodActions ──► worker ──► ContainerRuntime
//!                                    ▲                                      │
//!                                    └──────────── what came of it ─────────┘
//! ```

pub mod action;
pub mod backoff;
mod handle;
pub mod observed;
pub mod plan;
mod probing;
pub mod spec;
mod start;
mod stop;
pub mod worker;

#[cfg(test)]
mod plan_tests;

pub use action::{Action, KillReason, Outcome, PodActions};
pub use backoff::Backoff;
pub use handle::{PodHandle, View};
pub use observed::{Health, Observed, StartFailure};
pub use plan::plan;
pub(crate) use start::Start;
