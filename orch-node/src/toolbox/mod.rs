//! The commands of the built-in image: what tests and a first look at a cluster need, without a
//! download. Everything is blocking and small, since a hundred of them may run on a laptop.

mod args;
mod files;
mod http;
mod serve;
mod signals;
mod work;

use args::Args;
use std::io::Write;

/// Every command; the image has `/bin/NAME` for each.
pub const COMMANDS: &[&str] = &[
    "allocate", "cat", "dns", "echo", "env", "exit", "false", "get", "hostname", "id", "ls", "serve", "sleep", "true",
    "write",
];

const HELP: &str = "\
Usage: toolbox COMMAND [ARGUMENT]...

  serve [--port 8080] [--delay S] [--drain S]  HTTP server that answers with its pod's name and the request.
                                               /healthz, /ready (POST toggles it). SIGTERM lets it serve for
                                               --drain seconds more, finish what it is at, and end with 0
  sleep [SECONDS|infinity]                     wait
  exit CODE [--after S]                        end with that code
  allocate MIB [--hold S]                      allocate memory, touch it, hold it
  dns NAME                                     addresses of a name
  get URL [--timeout S]                        body of an http:// URL; fails unless the status is 2xx
  env, cat [FILE]..., ls [DIR], write FILE TEXT, echo TEXT..., hostname, id, true, false
";

/// Runs a toolbox command if the arguments of the process (the program's name first) ask for one:
/// `PROGRAM toolbox COMMAND …`, or any program name that is a command, as `/bin/sleep 5` is.
pub fn dispatch(mut args: impl Iterator<Item = String>) -> Option<i32> {
    let program = args.next()?;
    let name = program.rsplit('/').next().unwrap_or_default();
    if COMMANDS.contains(&name) {
        return Some(main(std::iter::once(name.to_owned()).chain(args)));
    }
    match args.next() {
        Some(first) if first == "toolbox" => Some(main(args)),
        _ => None,
    }
}

/// Runs a command (`serve`, `--port`, `80`) and returns its exit code. SIGTERM and SIGINT end the
/// process with 128 + n, also when it is the first of its PID namespace.
pub fn main(args: impl Iterator<Item = String>) -> i32 {
    match run(&mut Args::new(args)) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "toolbox: {error}");
            1
        }
    }
}

/// What a command says when it fails.
type Failure = Box<dyn std::error::Error>;

fn run(args: &mut Args) -> Result<i32, Failure> {
    let command = args.next().unwrap_or_else(|| "help".to_owned());
    if command != "serve" {
        signals::end_on_termination()?;
    }
    match command.as_str() {
        "serve" => serve::serve(args),
        "sleep" => work::sleep(args),
        "exit" => work::exit(args),
        "allocate" => work::allocate(args),
        "dns" => http::dns(args),
        "get" => http::get(args),
        "env" => files::env(),
        "cat" => files::cat(args),
        "ls" => files::ls(args),
        "write" => files::write(args),
        "echo" => files::echo(args),
        "hostname" => files::hostname(),
        "id" => files::id(),
        "true" => Ok(0),
        "false" => Ok(1),
        "help" | "--help" | "-h" => {
            std::io::stdout().write_all(HELP.as_bytes())?;
            Ok(0)
        }
        other => {
            write!(std::io::stderr(), "toolbox: no command {other:?}\n\n{HELP}")?;
            Ok(127)
        }
    }
}
