//! The simulator, and what it says of our own controllers.

mod determinism;
