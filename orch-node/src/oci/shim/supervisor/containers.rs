//! Containers from their start to their end.

use super::{
    super::{
        super::{
            fds,
            protocol::{Reply, encode},
            state::ContainerRecord,
        },
        output::{Log, Stream},
        taps::Tap,
        worker::{self, Outcome},
    },
    Job, Kind, Supervisor,
};
use nix::{
    errno::Errno,
    fcntl::OFlag,
    sys::{
        signal::{Signal, kill},
        wait::WaitStatus,
    },
    unistd::{Pid, pipe2},
};
use orch_runtime::node::container::ContainerState;
use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
};

/// A container that runs.
pub(super) struct Running {
    pub(super) pid: Pid,
    pub(super) started_at: jiff::Timestamp,
    pub(super) streams: Vec<Stream>,
    pub(super) log: Log,
    /// Kept open, so that reads of standard input wait instead of ending.
    pub(super) stdin: Option<OwnedFd>,
    /// Whether standard input ends with that of the first client.
    pub(super) stdin_once: bool,
    pub(super) tty: bool,
    pub(super) taps: Vec<Tap>,
}

impl Supervisor {
    pub(super) fn start(&mut self, client: u64, id: &str, fds: Vec<OwnedFd>) -> io::Result<()> {
        let starting = |job: &Job| matches!(&job.kind, Kind::Start { container, .. } if container.id == id);
        if self.containers.contains_key(id) {
            self.say(client, &Reply::Done);
            return Ok(());
        }
        if !self.stopping.is_empty() || self.workers.iter().any(starting) {
            return Err(io::Error::other("the sandbox is stopping, or the container is starting already"));
        }
        let container = worker::load(&self.dir, id)?;
        let tty = container.config.tty;
        let (mut stdio, mut streams, mut stdin) = (Vec::new(), Vec::new(), None);
        if !tty {
            if container.config.stdin {
                let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
                stdio.push(read);
                stdin = Some(write);
            } else {
                stdio.push(OwnedFd::from(File::open("/dev/null")?));
            }
            for name in ["stdout", "stderr"] {
                let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
                stdio.push(write);
                streams.push(Stream::new(read, name)?);
            }
        }
        let mounts = fds.into_iter().next();
        let worker = worker::start(self.context(&container, mounts, stdio, tty))?;
        self.workers.push(Job { worker, client, kind: Kind::Start { container: Box::new(container), streams, stdin } });
        Ok(())
    }

    pub(super) fn started(
        &mut self,
        client: u64,
        outcome: Outcome,
        container: ContainerRecord,
        mut streams: Vec<Stream>,
        stdin: Option<OwnedFd>,
        terminal: Option<OwnedFd>,
    ) {
        let started_at = self.clock.now();
        let reply = match outcome {
            Outcome::Running(pid) => {
                streams.extend(terminal.and_then(|terminal| Stream::new(terminal, "stdout").ok()));
                let log = Log::open(&container.log_path);
                let (id, pid) = (container.id, Pid::from_raw(pid));
                let (tty, stdin_once) = (container.config.tty, container.config.stdin_once);
                let running = Running { pid, started_at, streams, log, stdin, stdin_once, tty, taps: Vec::new() };
                self.write_state(&id, &ContainerState::Running { started_at, pid: pid.as_raw().unsigned_abs() });
                if !self.stopping.is_empty() {
                    self.kill(&id, &running);
                }
                self.containers.insert(id.clone(), running);
                if let Some(status) = self.unclaimed.remove(&pid) {
                    self.ended(&id, status);
                }
                Reply::Done
            }
            Outcome::Failed(message) => {
                self.write_state(
                    &container.id,
                    &ContainerState::Exited {
                        started_at,
                        finished_at: started_at,
                        exit_code: 128,
                        signal: 0,
                        reason: "ContainerCannotRun".into(),
                        message: message.clone(),
                    },
                );
                Reply::Failed { message }
            }
        };
        self.say(client, &reply);
        self.changed();
    }

    pub(super) fn attach(&mut self, client: u64, id: &str, stdin: bool, fds: Vec<OwnedFd>) -> io::Result<()> {
        let missing = || io::Error::other(format!("container {id} is not running"));
        let running = self.containers.get_mut(id).ok_or_else(missing)?;
        let input = match running.tty {
            true => running.streams.first().map(|stream| stream.source().as_fd()),
            false => running.stdin.as_ref().map(AsFd::as_fd),
        };
        let input: Vec<_> = input.into_iter().collect();
        if let Some(client) = self.clients.get(&client) {
            fds::send(client.stream.as_fd(), &encode(&Reply::Started), &input)?;
        }
        running.taps.push(Tap::new(client, stdin, fds)?);
        Ok(())
    }

    pub(super) fn signal(&mut self, client: u64, id: &str, signal: i32) -> io::Result<()> {
        if let Some(running) = self.containers.get(id) {
            let signal = Signal::try_from(signal)?;
            match signal {
                Signal::SIGKILL => self.kill(id, running),
                other => {
                    kill(running.pid, other).or_else(|errno| if errno == Errno::ESRCH { Ok(()) } else { Err(errno) })?
                }
            }
        }
        self.say(client, &Reply::Done);
        Ok(())
    }

    pub(super) fn kill(&self, id: &str, running: &Running) {
        let _ = kill(running.pid, Signal::SIGKILL);
        self.cgroup(id).kill();
    }

    pub(super) fn reopen_log(&mut self, client: u64, id: &str) -> io::Result<()> {
        if let Some(running) = self.containers.get_mut(id) {
            running.log.reopen()?;
        }
        self.say(client, &Reply::Done);
        Ok(())
    }

    /// Writes down how a container ended, after the last of what it printed.
    pub(super) fn ended(&mut self, id: &str, status: WaitStatus) {
        let Some(mut running) = self.containers.remove(id) else { return };
        let cgroup = self.cgroup(id);
        // Where processes are shared, the others of the container do not die with its first.
        cgroup.kill();
        running.streams.iter_mut().for_each(|stream| stream.drain(&mut running.log, &mut running.taps));
        let (exit_code, signal) = exit_code(&status);
        self.leaving.extend(running.taps.into_iter().map(|tap| (tap, exit_code)));
        let reason = match exit_code {
            0 => "Completed",
            _ if cgroup.oom_kills() > 0 => "OOMKilled",
            _ => "Error",
        };
        self.write_state(
            id,
            &ContainerState::Exited {
                started_at: running.started_at,
                finished_at: self.clock.now(),
                exit_code,
                signal,
                reason: reason.into(),
                message: String::new(),
            },
        );
        self.changed();
    }

    fn write_state(&self, id: &str, state: &ContainerState) {
        if let Err(error) = self.dir.container(id).write_state(state) {
            eprintln!("{error}");
        }
    }

    pub(super) fn output(&mut self, id: &str, at: usize) {
        let Some(running) = self.containers.get_mut(id) else { return };
        let Some(stream) = running.streams.get_mut(at) else { return };
        // This may move the other stream to the front; it is then found there in the next turn.
        if !stream.pump(&mut running.log, &mut running.taps) {
            running.streams.remove(at);
        }
    }
}

/// Exit code, and the signal or 0.
pub(super) fn exit_code(status: &WaitStatus) -> (i32, i32) {
    match status {
        WaitStatus::Exited(_, code) => (*code, 0),
        WaitStatus::Signaled(_, signal, _) => (128 + *signal as i32, *signal as i32),
        _ => (255, 0),
    }
}
