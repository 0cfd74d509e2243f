//! The last step before a container's program: what must be done inside its process, without `unsafe`.

use nix::{
    sys::{prctl::set_pdeathsig, signal::Signal},
    unistd::{getppid, setsid},
};
use std::{ffi::OsString, fs::OpenOptions, io, os::unix::process::CommandExt, process::Command};

/// `child TTY CWD PROGRAM ARGUMENT…` dies with its shim, `exec TTY CWD PROGRAM ARGUMENT…` does not; both take the
/// terminal at that path (`-` for none). Returns only when the program cannot be run.
pub(super) fn run(mut args: impl Iterator<Item = OsString>) -> io::Result<()> {
    let missing = || io::Error::other("shim stage: an argument is missing");
    let mode = args.next().ok_or_else(missing)?;
    if mode == "child" {
        set_pdeathsig(Signal::SIGKILL)?;
        if getppid().as_raw() == 1 {
            return Err(io::Error::other("the shim is gone"));
        }
    }
    let terminal = args.next().ok_or_else(missing)?;
    if terminal != "-" {
        // The first terminal that the leader of a new session opens becomes the session's own.
        setsid()?;
        drop(OpenOptions::new().read(true).write(true).open(terminal)?);
    }
    let (cwd, program) = (args.next().ok_or_else(missing)?, args.next().ok_or_else(missing)?);
    let error = Command::new(&program).args(args).current_dir(cwd).exec();
    Err(io::Error::new(error.kind(), format!("exec: {program:?}: {error}")))
}
