//! The reference binary. Everything that it does is in the library: see `orch::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    orch::cli::main(std::env::args_os())
}
