//! The reference binary. Everything that it does is in the library: see `orch::cli`.

use std::process::ExitCode;

/// Requests are trees of small allocations: a fifth of the time of a create went into glibc's allocator. Libraries leave the
/// choice to the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    orch::cli::main(std::env::args_os())
}
