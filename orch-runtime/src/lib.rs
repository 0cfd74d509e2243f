//! The reconcile-loop runtime, and the plug-point traits of scheduler and node.
//!
//! ```text
//! Watches ─► WorkQueue ─► Controller::observe(View) ─► plan(World, now) ─► Plan ─► Executor ─► Client
//!    ▲          ▲                 caches only               pure            data      the only IO
//!    └ Informers└──────────── gate: not before the caches have seen what was written ◄─────┘
//! ```
//!
//! Two levels share one engine: a [`Controller`] decides purely and is what all built-in loops are; a
//! [`Reconciler`] is the shape that operator authors know. Start with [`Controller`].
//!
//! Invariants: a key is worked on by one worker at a time; no decision reads a clock or does IO; a
//! failing key backs off and no event shortens that, except a new generation of its root object.

pub mod autoscaling;
pub mod certificates;
pub mod controller;
pub mod discovery;
pub mod engine;
pub mod error;
pub mod executor;
pub mod finalizer;
pub mod gate;
#[cfg(feature = "serve")]
pub mod http;
pub mod joined;
pub mod leader;
#[cfg(feature = "serve")]
pub mod manager;
pub mod metrics;
pub mod node;
pub mod plan;
pub mod predicate;
pub mod queue;
pub mod reconciler;
pub mod record;
pub mod scheduler;
pub mod storage;
pub mod testing;
pub mod view;
pub mod wait;
pub mod watches;
#[cfg(feature = "serve")]
pub mod webhook;

pub use controller::{ControlLoop, Controller, Deletes, Description};
pub use discovery::Discovery;
pub use engine::Options;
pub use error::Error;
#[cfg(feature = "serve")]
pub use manager::Manager;
pub use plan::{Action, Announce, Plan, Target};
pub use queue::{Priority, WorkQueue};
pub use reconciler::{Context, Reconciler, Requeue};
pub use view::View;
pub use watches::Watches;
