//! What several controllers need: facts of pods, selectors, owner references.

pub mod facts;
pub mod labels;
pub mod owner;
pub mod selector;
pub mod time;

pub use facts::{Phase, PodFacts};
