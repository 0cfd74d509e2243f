//! The shim's loop: one `poll` over everything that can happen.

mod clients;
mod commands;
mod containers;

use super::{
    super::{
        cgroup::{Cgroup, Hierarchies},
        fds,
        protocol::Reply,
        state::{ContainerRecord, SandboxDir, SandboxRecord},
    },
    Ready,
    output::Stream,
    taps::Tap,
    worker::{Context, Outcome, Worker},
};
use clients::Client;
use containers::Running;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal, kill},
        signalfd::{SfdFlags, SignalFd},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use orch_store::ambient::Clock;
use std::{
    collections::{BTreeMap, HashMap},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixListener,
    },
};

/// How long a sandbox that is being stopped waits for clients to read the last output, in milliseconds.
const LAST_READS_MS: u16 = 2000;

/// Serves until the sandbox is stopped.
pub(super) fn run(ready: Ready) -> io::Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block()?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let mut supervisor = Supervisor {
        dir: ready.dir,
        record: ready.record,
        hierarchies: ready.hierarchies,
        listener: ready.listener,
        signals,
        clients: BTreeMap::new(),
        next_client: 0,
        containers: BTreeMap::new(),
        workers: Vec::new(),
        commands: HashMap::new(),
        unclaimed: HashMap::new(),
        stopping: Vec::new(),
        leaving: Vec::new(),
        clock: Clock::system(),
    };
    while !supervisor.is_done() {
        supervisor.turn()?;
    }
    let _ = std::fs::remove_file(SandboxDir::socket_name());
    let pause = std::fs::read_to_string(supervisor.dir.pause_pid()).ok().and_then(|pid| pid.parse().ok());
    if let Some(pid) = pause {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    supervisor.stopping.iter().for_each(|id| supervisor.clients.get(id).into_iter().for_each(|c| c.say(&Reply::Done)));
    Ok(())
}

struct Supervisor {
    dir: SandboxDir,
    record: SandboxRecord,
    hierarchies: Hierarchies,
    listener: UnixListener,
    signals: SignalFd,
    clients: BTreeMap<u64, Client>,
    next_client: u64,
    /// Those that run, by id.
    containers: BTreeMap<String, Running>,
    workers: Vec<Job>,
    /// Processes of exec, and who waits for their end.
    commands: HashMap<Pid, u64>,
    /// Ends of processes that a worker may be about to tell us of.
    unclaimed: HashMap<Pid, WaitStatus>,
    /// Clients that wait for the end of everything.
    stopping: Vec<u64>,
    /// Those attached to containers that have ended, who have not taken all of the output yet; exit codes.
    leaving: Vec<(Tap, i32)>,
    clock: Clock,
}

/// What a worker is at.
struct Job {
    worker: Worker,
    client: u64,
    kind: Kind,
}

enum Kind {
    Start { container: Box<ContainerRecord>, streams: Vec<Stream>, stdin: Option<OwnedFd> },
    Exec,
}

/// What can happen.
#[derive(Clone)]
enum Token {
    Signal,
    Listener,
    Client(u64),
    Output(String, usize),
    Worker(usize),
    Taps,
}

impl Supervisor {
    fn is_done(&self) -> bool {
        !self.stopping.is_empty() && self.containers.is_empty() && self.workers.is_empty() && self.leaving.is_empty()
    }

    /// Waits for something to happen and deals with it.
    fn turn(&mut self) -> io::Result<()> {
        let happened = self.wait()?;
        // Workers first: they name processes whose ends may have come at the same time. From the last,
        // since finished ones are taken out.
        for token in happened.iter().rev() {
            if let Token::Worker(at) = token {
                self.worker_done(*at);
            }
        }
        for token in happened {
            match token {
                Token::Signal => self.reap(),
                Token::Listener => self.accept(),
                Token::Client(id) => self.client(id),
                Token::Output(id, at) => self.output(&id, at),
                Token::Taps => self.containers.values_mut().flat_map(|c| &mut c.taps).for_each(Tap::flush),
                Token::Worker(_) => {}
            }
        }
        self.dismiss();
        Ok(())
    }

    fn wait(&mut self) -> io::Result<Vec<Token>> {
        let mut sources: Vec<(Token, BorrowedFd<'_>)> = vec![(Token::Signal, self.signals.as_fd())];
        sources.push((Token::Listener, self.listener.as_fd()));
        sources.extend(self.clients.iter().map(|(id, client)| (Token::Client(*id), client.stream.as_fd())));
        for (id, container) in &self.containers {
            let held = |stream: &Stream| container.taps.iter().any(|tap| tap.holds(stream.name()));
            let streams = container.streams.iter().enumerate().filter(|(_, stream)| !held(stream));
            sources.extend(streams.map(|(at, stream)| (Token::Output(id.clone(), at), stream.source().as_fd())));
        }
        let workers = self.workers.iter().enumerate();
        sources.extend(workers.map(|(at, job)| (Token::Worker(at), job.worker.result.as_fd())));
        let mut fds: Vec<_> = sources.iter().map(|(_, fd)| PollFd::new(*fd, PollFlags::POLLIN)).collect();
        let taps = self.containers.values().flat_map(|c| &c.taps).chain(self.leaving.iter().map(|(tap, _)| tap));
        for pipe in taps.flat_map(Tap::full) {
            sources.push((Token::Taps, pipe.as_fd()));
            fds.push(PollFd::new(pipe.as_fd(), PollFlags::POLLOUT));
        }
        // A client that does not read must not keep the sandbox from being stopped.
        let patience = if self.stopping.is_empty() { PollTimeout::NONE } else { PollTimeout::from(LAST_READS_MS) };
        match poll(&mut fds, patience) {
            Err(Errno::EINTR) => return Ok(Vec::new()),
            Ok(0) => {
                drop((fds, sources));
                self.leaving.clear();
                return Ok(Vec::new());
            }
            other => other?,
        };
        let ready = fds.iter().zip(&sources).filter(|(fd, _)| fd.any() != Some(false));
        Ok(ready.map(|(_, (token, _))| token.clone()).collect())
    }

    fn context<'a>(
        &'a self,
        container: &'a ContainerRecord,
        mounts: Option<OwnedFd>,
        stdio: Vec<OwnedFd>,
        tty: bool,
    ) -> Context<'a> {
        let (dir, record, hierarchies) = (&self.dir, &self.record, &self.hierarchies);
        Context { dir, record, hierarchies, container, mounts, stdio, tty }
    }

    fn cgroup(&self, id: &str) -> Cgroup {
        Cgroup::new(&self.hierarchies, &self.record.container_cgroup(id))
    }

    fn worker_done(&mut self, at: usize) {
        if at >= self.workers.len() {
            return;
        }
        let job = self.workers.remove(at);
        let mut buffer = [0; 64 << 10];
        let received = fds::receive(job.worker.result.as_fd(), &mut buffer);
        let (n, fds) = received.unwrap_or_default();
        let outcome = serde_json::from_slice(buffer.get(..n).unwrap_or_default())
            .unwrap_or_else(|_| Outcome::Failed("the container engine ended without an answer".into()));
        match job.kind {
            Kind::Start { container, streams, stdin } => {
                self.started(job.client, outcome, *container, streams, stdin, fds.into_iter().next());
            }
            Kind::Exec => self.exec_started(job.client, outcome, fds),
        }
        if self.workers.is_empty() {
            self.unclaimed.clear();
        }
    }

    /// Takes the ends of processes from the kernel.
    fn reap(&mut self) {
        while let Ok(Some(_)) = self.signals.read_signal() {}
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            let Some(pid) = status.pid() else { break };
            if !matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..)) {
                continue;
            }
            let container = self.containers.iter().find(|(_, running)| running.pid == pid).map(|(id, _)| id.clone());
            if let Some(id) = container {
                self.ended(&id, status);
            } else if self.commands.contains_key(&pid) {
                self.command_ended(pid, status);
            } else if !self.workers.is_empty() {
                self.unclaimed.insert(pid, status);
            }
        }
    }
}
