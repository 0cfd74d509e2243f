//! Every built-in control loop.
//!
//! Each file is one loop: a [`Controller`](orch_runtime::Controller) whose `plan` is a pure function, with its
//! tests beside it. [`all`] is the list of them; `docs/controllers.md` is made from it.

pub mod common;
pub mod deployment;
pub mod replica_set;

#[cfg(test)]
mod fixtures;

pub mod scheduler;
