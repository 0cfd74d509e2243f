//! The simulator, and what it says of our own controllers.

mod bugs;
mod determinism;
mod found;
mod glasses;
mod mutant;
mod mutants;
mod ours;
mod planted;
mod room;
mod volumes;
