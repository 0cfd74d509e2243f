//! What a cluster in the caller's process costs: `cargo bench -p orch --bench cluster [GROUP…]`.
//!
//! The figures are those of `orch bench` (see [`orch::bench::GROUPS`]); without a group, those that need nothing beside
//! this process.

use orch::bench::{self, Failure, Table};

const IN_PROCESS: [&str; 7] = ["start", "many", "create-local", "watch-local", "schedule-local", "memory", "simulator"];

fn main() -> Result<(), Failure> {
    // Cargo passes `--bench`.
    let mut groups: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    if groups.is_empty() {
        groups = IN_PROCESS.map(str::to_owned).to_vec();
    }
    println!("{}", Table.header());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(bench::run(None, &groups, &mut |row| println!("{row}")))
}
