//! The shim's loop: one `poll` over everything that can happen.

use super::{
    super::{
        cgroup::{Cgroup, Hierarchies},
        fds,
        protocol::{LONGEST, Reply, Request, encode},
        state::{ContainerRecord, SandboxDir, SandboxRecord},
    },
    Ready,
    output::{Log, Stream},
    taps::Tap,
    worker::{self, Context, Outcome, Worker},
};
use nix::{
    errno::Errno,
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal, kill},
        signalfd::{SfdFlags, SignalFd},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, pipe2},
};
use orch_runtime::node::container::ContainerState;
use orch_store::ambient::Clock;
use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
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

/// A connection.
struct Client {
    stream: UnixStream,
    input: Vec<u8>,
    fds: Vec<OwnedFd>,
    watching: bool,
    /// Its one request was taken.
    asked: bool,
}

impl Client {
    /// Says something; whoever does not listen has lost it.
    fn say(&self, reply: &Reply) {
        let _ = fds::send(self.stream.as_fd(), &encode(reply), &[]);
    }
}

/// A container that runs.
struct Running {
    pid: Pid,
    started_at: jiff::Timestamp,
    streams: Vec<Stream>,
    log: Log,
    /// Kept open, so that reads of standard input wait instead of ending.
    stdin: Option<OwnedFd>,
    /// Whether standard input ends with that of the first client.
    stdin_once: bool,
    tty: bool,
    taps: Vec<Tap>,
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

    fn accept(&mut self) {
        let Ok((stream, _)) = self.listener.accept() else { return };
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let client = Client { stream, input: Vec::new(), fds: Vec::new(), watching: false, asked: false };
        self.clients.insert(self.next_client, client);
        self.next_client += 1;
    }

    fn client(&mut self, id: u64) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let mut buffer = [0; 16 << 10];
        match fds::receive(client.stream.as_fd(), &mut buffer) {
            Err(Errno::EAGAIN) => {}
            Ok((n, _)) if n > 0 && client.asked => self.input_ended(id),
            Ok((n, fds)) if n > 0 && client.input.len() < LONGEST => {
                client.fds.extend(fds);
                client.input.extend_from_slice(buffer.get(..n).unwrap_or_default());
                if client.input.ends_with(b"\n") {
                    client.asked = true;
                    let (input, fds) = (std::mem::take(&mut client.input), std::mem::take(&mut client.fds));
                    self.request(id, &input, fds);
                }
            }
            _ => self.client_gone(id),
        }
    }

    /// A command ends with the connection that asked for it.
    fn client_gone(&mut self, id: u64) {
        self.clients.remove(&id);
        self.input_ended(id);
        self.containers.values_mut().for_each(|container| container.taps.retain(|tap| tap.client != id));
        self.leaving.retain(|(tap, _)| tap.client != id);
        for (pid, _) in self.commands.iter().filter(|(_, client)| **client == id) {
            let _ = kill(*pid, Signal::SIGKILL);
        }
    }

    fn request(&mut self, client: u64, input: &[u8], fds: Vec<OwnedFd>) {
        let result = match serde_json::from_slice(input) {
            Ok(Request::Start { container }) => self.start(client, &container, fds),
            Ok(Request::Exec { container, command, tty }) => self.exec(client, &container, command, tty, fds),
            Ok(Request::Attach { container, stdin }) => self.attach(client, &container, stdin, fds),
            Ok(Request::Signal { container, signal }) => self.signal(client, &container, signal),
            Ok(Request::ReopenLog { container }) => self.reopen_log(client, &container),
            Ok(Request::Watch) => {
                if let Some(client) = self.clients.get_mut(&client) {
                    client.watching = true;
                    client.say(&Reply::Changed);
                }
                Ok(())
            }
            Ok(Request::Stop) => {
                self.stopping.push(client);
                self.containers.iter().for_each(|(id, running)| self.kill(id, running));
                Ok(())
            }
            Err(error) => Err(io::Error::other(format!("bad request: {error}"))),
        };
        if let Err(error) = result {
            self.say(client, &Reply::Failed { message: error.to_string() });
        }
    }

    fn say(&self, client: u64, reply: &Reply) {
        if let Some(client) = self.clients.get(&client) {
            client.say(reply);
        }
    }

    fn changed(&self) {
        self.clients.values().filter(|client| client.watching).for_each(|client| client.say(&Reply::Changed));
    }

    fn start(&mut self, client: u64, id: &str, fds: Vec<OwnedFd>) -> io::Result<()> {
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

    fn exec(&mut self, client: u64, id: &str, command: Vec<String>, tty: bool, fds: Vec<OwnedFd>) -> io::Result<()> {
        if !self.containers.contains_key(id) {
            return Err(io::Error::other(format!("container {id} is not running")));
        }
        let container = worker::load(&self.dir, id)?;
        let mut fds = fds.into_iter();
        let mounts = fds.next();
        let worker = worker::exec(self.context(&container, mounts, fds.collect(), tty), command)?;
        self.workers.push(Job { worker, client, kind: Kind::Exec });
        Ok(())
    }

    fn attach(&mut self, client: u64, id: &str, stdin: bool, fds: Vec<OwnedFd>) -> io::Result<()> {
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

    /// The input of an attached client has ended, and with it the container's if it was to be the only one.
    fn input_ended(&mut self, client: u64) {
        let of = self.containers.values_mut().filter(|c| c.taps.iter().any(|tap| tap.client == client && tap.stdin));
        of.filter(|c| c.stdin_once && !c.tty).for_each(|c| c.stdin = None);
    }

    /// Lets those go who have all of the output of a container that has ended.
    fn dismiss(&mut self) {
        self.leaving.iter_mut().for_each(|(tap, _)| tap.flush());
        let (gone, leaving) =
            std::mem::take(&mut self.leaving).into_iter().partition(|(tap, _)| tap.full().next().is_none());
        self.leaving = leaving;
        let gone: Vec<(Tap, i32)> = gone;
        for (tap, code) in gone {
            self.say(tap.client, &Reply::Exited { code });
        }
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

    fn signal(&mut self, client: u64, id: &str, signal: i32) -> io::Result<()> {
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

    fn kill(&self, id: &str, running: &Running) {
        let _ = kill(running.pid, Signal::SIGKILL);
        self.cgroup(id).kill();
    }

    fn reopen_log(&mut self, client: u64, id: &str) -> io::Result<()> {
        if let Some(running) = self.containers.get_mut(id) {
            running.log.reopen()?;
        }
        self.say(client, &Reply::Done);
        Ok(())
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

    fn started(
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

    fn exec_started(&mut self, client: u64, outcome: Outcome, fds: Vec<OwnedFd>) {
        let pid = match outcome {
            Outcome::Running(pid) => Pid::from_raw(pid),
            Outcome::Failed(message) => return self.say(client, &Reply::Failed { message }),
        };
        self.commands.insert(pid, client);
        match self.clients.get(&client) {
            Some(client) => {
                let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
                let _ = fds::send(client.stream.as_fd(), &encode(&Reply::Started), &fds);
            }
            None => self.client_gone(client),
        }
        if let Some(status) = self.unclaimed.remove(&pid) {
            self.command_ended(pid, status);
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

    fn command_ended(&mut self, pid: Pid, status: WaitStatus) {
        if let Some(client) = self.commands.remove(&pid) {
            self.say(client, &Reply::Exited { code: exit_code(&status).0 });
        }
    }

    /// Writes down how a container ended, after the last of what it printed.
    fn ended(&mut self, id: &str, status: WaitStatus) {
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

    fn output(&mut self, id: &str, at: usize) {
        let Some(running) = self.containers.get_mut(id) else { return };
        let Some(stream) = running.streams.get_mut(at) else { return };
        // This may move the other stream to the front; it is then found there in the next turn.
        if !stream.pump(&mut running.log, &mut running.taps) {
            running.streams.remove(at);
        }
    }
}

/// Exit code, and the signal or 0.
fn exit_code(status: &WaitStatus) -> (i32, i32) {
    match status {
        WaitStatus::Exited(_, code) => (*code, 0),
        WaitStatus::Signaled(_, signal, _) => (128 + *signal as i32, *signal as i32),
        _ => (255, 0),
    }
}
