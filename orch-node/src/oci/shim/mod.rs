//! The shim: one small process per pod that outlives the agent. It lives in the pod's network, IPC and
//! UTS namespaces and so holds them, starts containers, is told of their ends (it is the subreaper),
//! writes those down, and copies what they print into their logs.
//!
//! It is single-threaded, as the container engine forks without exec; each start and each exec happens in
//! a forked worker, so that nothing that the engine does to its process (mounts, working directory, OOM
//! score) stays, and a slow start holds up nobody's logs.

mod executor;
mod fork;
mod output;
mod sandbox;
mod supervisor;
mod taps;
mod trace;
mod worker;

use super::{
    cgroup::{Cgroup, Hierarchies},
    state::{SandboxDir, SandboxRecord, named, read_json},
};
use nix::{
    fcntl::OFlag,
    sys::stat::Mode,
    unistd::{dup2, getpid, pipe2, setsid},
};
use std::{
    fs::File,
    io::{self, Read, Write},
    os::{fd::AsRawFd, unix::net::UnixListener},
    path::{Path, PathBuf},
};

/// The shim's `main`: the arguments are those after the command that started it. Returns once the shim
/// listens, with its process id on standard output; the shim itself goes on in the background.
///
/// Must be called while the process has a single thread and nothing open but what it inherited, which is closed.
pub fn shim_main(mut args: impl Iterator<Item = String>) -> i32 {
    crate::inherited::close();
    let Some(dir) = args.next() else {
        eprintln!("usage: shim SANDBOX_DIRECTORY");
        return 2;
    };
    match launch(SandboxDir(PathBuf::from(dir))) {
        Ok(pid) => {
            println!("{pid}");
            0
        }
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}

/// Forks the shim and waits until it listens or fails.
fn launch(dir: SandboxDir) -> io::Result<u32> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    // The closure owns the writing end: it is dropped here, and lives on in the child.
    fork::child(move || {
        let mut answer = File::from(write);
        let ready = prepare(&dir);
        let _ = match &ready {
            Ok(_) => write!(answer, "ok {}", getpid()),
            Err(error) => write!(answer, "{error}"),
        };
        drop(answer);
        match ready.and_then(supervisor::run) {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("shim: {error}");
                1
            }
        }
    })?;
    let mut answer = String::new();
    File::from(read).read_to_string(&mut answer)?;
    match answer.strip_prefix("ok ").and_then(|pid| pid.parse().ok()) {
        Some(pid) => Ok(pid),
        None if answer.is_empty() => Err(io::Error::other("the shim ended while it started")),
        None => Err(io::Error::other(answer)),
    }
}

/// A shim that can begin to serve.
struct Ready {
    dir: SandboxDir,
    record: SandboxRecord,
    hierarchies: Hierarchies,
    listener: UnixListener,
}

fn prepare(dir: &SandboxDir) -> io::Result<Ready> {
    setsid()?;
    detach_stdio(&dir.log())?;
    nix::sys::prctl::set_child_subreaper(true)?;
    let record: SandboxRecord = read_json(&dir.record())?;
    let hierarchies = Hierarchies::detect()?;
    let cgroup = Cgroup::new(&hierarchies, &record.shim_cgroup());
    cgroup
        .create()
        .and_then(|()| cgroup.join(std::process::id()))
        .map_err(|error| named(Path::new("cgroup"), error))?;
    sandbox::enter(&record.config, dir)?;
    // The name is relative, as a socket's path must be short.
    std::env::set_current_dir(&dir.0)?;
    let _ = std::fs::remove_file(SandboxDir::socket_name());
    let listener = UnixListener::bind(SandboxDir::socket_name())?;
    listener.set_nonblocking(true)?;
    Ok(Ready { dir: dir.clone(), record, hierarchies, listener })
}

/// Standard streams that do not keep the agent's open.
fn detach_stdio(log: &Path) -> io::Result<()> {
    let null = nix::fcntl::open("/dev/null", OFlag::O_RDWR, Mode::empty())?;
    dup2(null, 0)?;
    dup2(null, 1)?;
    nix::unistd::close(null)?;
    let log = File::options().create(true).append(true).open(log).map_err(|error| named(log, error))?;
    dup2(log.as_raw_fd(), 2)?;
    Ok(())
}
