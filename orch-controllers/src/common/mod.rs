//! What several controllers need: facts of pods, selectors, owner references, histories.

pub mod claim;
pub mod count;
pub mod facts;
pub mod hash;
pub mod history;
pub mod owner;
pub mod selector;
pub mod time;

pub use facts::{Phase, PodFacts};
