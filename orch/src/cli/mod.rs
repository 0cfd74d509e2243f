//! The command line: reads arguments, sets up logging, runs one command.
//!
//! The process is single-threaded until a command needs a runtime: the shims that containers live under are this
//! same executable, and they fork.

mod bench;
mod data_dir;
mod down;
mod image;
mod machine;
mod networks;
mod publish;
mod up;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use std::{ffi::OsString, process::ExitCode};

/// The architecture of Kubernetes in one binary.
///
/// `orch up` starts a cluster on this machine: API server, controllers, scheduler and a node that runs
/// containers. kubectl and helm talk to it unchanged.
#[derive(Parser)]
#[command(name = "orch", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// How log lines are written.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Which log lines are written, such as `info` or `orch_node=debug,warn`.
    #[arg(long, global = true, env = "ORCH_LOG", default_value = "warn")]
    log: String,
}

#[derive(Subcommand)]
enum Command {
    /// Start a cluster and run it until SIGINT or SIGTERM.
    Up(up::Up),
    /// Stop and remove every pod of a data directory. The cluster must not be running.
    Down(down::Down),
    /// Look at and add to the images of a data directory.
    Image(image::Image),
    /// Measure what a cluster costs on this machine, beside budgets and beside Kubernetes.
    Bench(bench::Bench),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Why a command failed, in words for the terminal.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The binary's `main`.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(code) = toolbox(&arguments).or_else(|| hidden(&arguments)) {
        return code;
    }
    let Arguments { command, log_format, log } = Arguments::parse_from(arguments);
    if let Err(error) = start_logging(log_format, &log) {
        return fail(&error);
    }
    let result = match command {
        Command::Up(up) => up.run(),
        Command::Down(down) => down.run(),
        Command::Image(image) => image.run(),
        Command::Bench(bench) => bench.run(),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "orch", &mut std::io::stdout());
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Inside the built-in image this executable is its commands.
fn toolbox(arguments: &[OsString]) -> Option<ExitCode> {
    let code = orch_node::toolbox::dispatch(arguments.iter().map(|a| a.to_string_lossy().into_owned()))?;
    Some(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// The subcommands that orch starts itself with.
fn hidden(arguments: &[OsString]) -> Option<ExitCode> {
    let rest = || arguments.iter().skip(2);
    let text = || rest().map(|a| a.to_string_lossy().into_owned()).collect::<Vec<_>>().into_iter();
    let code = match arguments.get(1)?.to_str()? {
        "oci-shim" => orch_node::oci::shim_main(text()),
        "process-shim" => return Some(orch_node::process::shim_main(rest().cloned())),
        _ => return None,
    };
    Some(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

fn start_logging(format: LogFormat, filter: &str) -> Result<(), Failure> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}

fn fail(error: &Failure) -> ExitCode {
    eprintln!("orch: {error}");
    ExitCode::FAILURE
}

/// A runtime for a command.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
