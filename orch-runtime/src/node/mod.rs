//! Plug points of the node agent.

pub mod container;
pub mod volume;
