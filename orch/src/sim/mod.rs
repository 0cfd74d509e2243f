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
mod case;
mod client;
mod desired;
mod edits;
mod enumerate;
pub mod explore;
pub mod fault;
mod gateway;
mod history;
mod host;
mod injector;
mod knowledge;
mod loops;
mod normal;
mod observer;
pub mod oracle;
mod outcome;
mod run;
mod scenario;
pub mod scenarios;
mod shrink;
mod simulation;
pub mod state;
mod timeline;
mod watch;
mod world;

pub use backend::FaultyBackend;
pub use case::{Case, Change, Check, Edit, Failed};
pub use client::{FaultyClient, Life};
pub use desired::unmet;
pub use enumerate::{Enumerated, enumerate, enumerate_all};
pub use explore::{Explored, explore};
pub use fault::{Fault, FaultPlan};
pub use history::History;
pub use host::{MakeLoop, SCHEDULER, Start};
pub use injector::{Death, Injector};
pub use knowledge::Knowledge;
pub use loops::loops;
pub use normal::Normal;
pub use observer::Tally;
pub use oracle::{Judge, Oracle, Violation};
pub use outcome::{Failure, Outcome};
pub use scenario::Scenario;
pub use shrink::shrink;
pub use simulation::Sim;
pub use world::{Patience, Restless, World};
