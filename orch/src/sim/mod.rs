//! A whole cluster under virtual time, from a seed, with faults and oracles: the simulator.
//!
//! ```text
//! Sim ─► World: the scenario's handle          Injector ◄─ FaultPlan (data)
//!  └─► Host: one process per loop and node        │ decides
//!        FaultyClient ─► Gateway ─► ApiServer ─► FaultyBackend ─► memory
//!                                                 │ each commit, in order
//!                                 Oracles ◄─ Observer ─► History, State, Knowledge
//! ```
//!
//! The same seed gives the same history, byte for byte. `docs/simulator.md` is the guide.

mod backend;
mod client;
mod desired;
pub mod fault;
mod gateway;
mod history;
mod host;
mod injector;
mod knowledge;
mod normal;
mod observer;
pub mod oracle;
mod run;
pub mod state;
mod timeline;
mod watch;
mod world;

pub use backend::FaultyBackend;
pub use client::{FaultyClient, Life};
pub use desired::unmet;
pub use fault::{Fault, FaultPlan};
pub use history::History;
pub use host::{MakeLoop, SCHEDULER, Start};
pub use injector::{Death, Injector};
pub use knowledge::Knowledge;
pub use normal::Normal;
pub use observer::Tally;
pub use oracle::{Judge, Oracle, Violation};
pub use run::{Failure, Outcome, Sim};
pub use world::{Patience, Restless, World};
