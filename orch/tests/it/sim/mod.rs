//! The simulator, and what it says of our own controllers.

mod bugs;
mod determinism;
mod ours;
mod planted;
