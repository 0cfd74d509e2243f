//! Container logs in CRI format: reading ([`read()`]), rotation ([`rotate`]).

mod line;
mod read;
mod rotate;

pub use line::{Line, parse, render};
pub use read::{LogOptions, Streams, last_lines, read};
pub use rotate::{Rotation, rotate};
