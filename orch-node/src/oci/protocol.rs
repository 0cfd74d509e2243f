//! What agent and shim say to each other: one request per connection, a line of JSON each; descriptors
//! travel beside the line.

use serde::{Deserialize, Serialize};

/// What the agent asks. The first descriptor beside a request that starts something is the agent's mount
/// namespace, since volumes may be mounted there only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Request {
    /// Start a container. Answer: `Done`.
    Start { container: String },
    /// Send a signal to a container's first process. Answer: `Done`.
    Signal { container: String, signal: i32 },
    /// Run a command. Without `tty` three more descriptors become its standard streams. Answers:
    /// `Started` (with a terminal, beside the terminal), then `Exited`. Closing the connection before
    /// kills the command.
    Exec { container: String, command: Vec<String>, tty: bool },
    /// Copy a container's output also to two descriptors of the agent, standard output's and standard error's (with
    /// a terminal, to one). Answers: `Started`, beside it the container's standard input or its terminal if it
    /// has one; then `Exited`, when the last of the output is written. A byte that the agent sends says that
    /// its client's input has ended.
    Attach { container: String, stdin: bool },
    /// Open the log by its path again. Answer: `Done`.
    ReopenLog { container: String },
    /// Say `Changed` whenever a container changed, and once at first.
    Watch,
    /// Kill everything. Answer: `Done`, when all has ended; then the shim ends.
    Stop,
}

/// What the shim answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reply {
    Done,
    Started,
    Exited { code: i32 },
    Changed,
    Failed { message: String },
}

/// A line of JSON.
pub(super) fn encode(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

/// The longest line: commands may be long.
pub(super) const LONGEST: usize = 4 << 20;
