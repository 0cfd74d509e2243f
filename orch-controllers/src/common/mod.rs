//! What several controllers need: facts of pods, who uses which claim, selectors, owner references, histories.

pub mod claim;
pub mod count;
pub mod facts;
pub mod finalizers;
pub mod hash;
pub mod history;
pub mod labels;
pub mod owner;
pub mod selector;
pub mod storage;
pub mod time;
pub(crate) mod trigger_time;

pub use facts::{Phase, PodFacts};
