//! The process beside each container: it starts it, writes its log, keeps its exit code, and passes signals
//! on. It has no part in decisions and lives exactly as long as the container.

use super::{
    stage,
    taps::{self, Taps},
};
use crate::logs::render;
use jiff::Timestamp;
use nix::{
    sys::{
        signal::{Signal, kill, killpg},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::{Pid, dup2, setsid},
};
use orch_runtime::node::container::ContainerState;
use orch_store::Clock;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            net::{UnixListener, UnixStream},
            process::{CommandExt, ExitStatusExt},
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::{Arc, mpsc},
    time::Duration,
};

/// A line is cut into parts of this size.
const MAX_LINE: usize = 16 << 10;

/// What to run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Launch {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) attempt: u32,
    pub(super) image: String,
    pub(super) argv: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) cwd: PathBuf,
    pub(super) log: PathBuf,
    pub(super) stop_signal: i32,
    pub(super) created_at: Timestamp,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    /// As of [`orch_runtime::node::container::ContainerConfig`], like the next two.
    #[serde(default)]
    pub(super) stdin: bool,
    #[serde(default)]
    pub(super) stdin_once: bool,
    #[serde(default)]
    pub(super) tty: bool,
}

/// What runs.
#[derive(Serialize, Deserialize)]
pub(super) struct Running {
    pub(super) pid: u32,
    pub(super) started_at: Timestamp,
}

/// How it ended.
#[derive(Serialize, Deserialize)]
pub(super) struct Exit {
    pub(super) started_at: Timestamp,
    pub(super) finished_at: Timestamp,
    pub(super) exit_code: i32,
    pub(super) signal: i32,
    pub(super) reason: String,
    pub(super) message: String,
}

impl Exit {
    pub(super) fn state(self) -> ContainerState {
        ContainerState::Exited {
            started_at: self.started_at,
            finished_at: self.finished_at,
            exit_code: self.exit_code,
            signal: self.signal,
            reason: self.reason,
            message: self.message,
        }
    }
}

/// The entry point of the hidden subcommand: `run DIR` is a shim, `stage …` becomes a container's process. Must be called before
/// the process has opened anything: what it inherited beside the standard streams is closed.
pub fn shim_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    crate::inherited::close();
    let mut args = args.into_iter();
    let result = match args.next().as_deref().and_then(|a| a.to_str()) {
        Some("run") => args.next().ok_or_else(|| io::Error::other("no directory")).and_then(|dir| run(Path::new(&dir))),
        Some("stage") => stage::run(args),
        _ => Err(io::Error::other("usage: shim run DIR | shim stage …")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = write!(io::stderr(), "{error}");
            ExitCode::from(128)
        }
    }
}

fn run(dir: &Path) -> io::Result<()> {
    // A session of its own: signals of the agent's terminal do not come here.
    setsid()?;
    let clock = Clock::system();
    let launch: Launch = serde_json::from_slice(&fs::read(dir.join("launch.json"))?)?;
    let listener = listen(dir)?;
    let log = Arc::new(Log::open(&launch.log)?);
    let (mut child, terminal) = match spawn(&launch) {
        Ok(spawned) => spawned,
        Err(error) => {
            write!(io::stdout(), "exec: {:?}: {error}", launch.argv.first())?;
            return Ok(());
        }
    };
    let started_at = clock.now();
    if let Err(error) = write_json(&dir.join("running.json"), &Running { pid: child.id(), started_at }) {
        // The container was removed meanwhile. What nobody can find nobody would end.
        let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
        child.kill()?;
        child.wait()?;
        return Err(error);
    }
    let (done, copied) = mpsc::channel();
    let screen = terminal.as_ref().map(OwnedFd::try_clone).transpose()?.map(File::from);
    let taps = Arc::new(Taps::new(child.stdin.take().map(OwnedFd::from), launch.stdin_once, terminal)?);
    let outputs = Outputs { log: log.clone(), taps: taps.clone(), clock: clock.clone(), done };
    outputs.copy(screen, false);
    outputs.copy(child.stdout.take(), false);
    outputs.copy(child.stderr.take(), true);
    drop(outputs);
    let target = Arc::new(Mutex::new(Some(Pid::from_raw(child.id().cast_signed()))));
    serve(listener, target.clone(), log, taps);
    // An agent that is gone has a successor, which finds what is written down.
    let _ = answer_agent();
    let exit = wait(&mut child, &target, &copied, started_at, &clock)?;
    write_json(&dir.join("exit.json"), &exit)
}

/// Tells the agent that the container runs; nothing may reach this pipe afterwards.
fn answer_agent() -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(b"ok")?;
    out.flush()?;
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    dup2(null.as_raw_fd(), 1)?;
    Ok(())
}

/// Binds through the directory's descriptor, because socket paths must be short.
fn listen(dir: &Path) -> io::Result<UnixListener> {
    let dir = File::open(dir)?;
    UnixListener::bind(format!("/proc/self/fd/{}/s", dir.as_raw_fd()))
}

/// The process, and the shim's end of its terminal if it has one.
fn spawn(launch: &Launch) -> io::Result<(Child, Option<OwnedFd>)> {
    let (program, rest) = launch.argv.split_first().ok_or_else(|| io::Error::other("no command"))?;
    let terminal = if launch.tty { Some(taps::terminal()?) } else { None };
    let name = terminal.as_ref().map_or(Path::new("-"), |(_, _, name)| name);
    let mut command = Command::new(std::env::current_exe()?);
    command.args(stage_prefix()).args(["stage", "child"]).arg(name).arg(&launch.cwd).arg(program).args(rest);
    command.env_clear().envs(launch.env.iter().map(|(name, value)| (name, value)));
    let Some((ours, theirs, _)) = terminal else {
        command.stdin(if launch.stdin { Stdio::piped() } else { Stdio::null() });
        command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        return Ok((command.spawn()?, None));
    };
    // With a terminal comes a session, and with that a process group.
    command.stdin(theirs.try_clone()?).stdout(theirs.try_clone()?).stderr(theirs);
    Ok((command.spawn()?, Some(ours)))
}

/// The arguments by which this executable was brought here, before `run`.
fn stage_prefix() -> Vec<OsString> {
    std::env::args_os().skip(1).take_while(|a| a != "run").collect()
}

fn wait(
    child: &mut Child,
    target: &Mutex<Option<Pid>>,
    copied: &mpsc::Receiver<()>,
    started_at: Timestamp,
    clock: &Clock,
) -> io::Result<Exit> {
    let pid = Pid::from_raw(child.id().cast_signed());
    // The process stays a zombie until no one can send it a signal any more: its number is not given away.
    while let Err(error) = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
        if error != nix::errno::Errno::EINTR {
            return Err(error.into());
        }
    }
    let finished_at = clock.now();
    *target.lock() = None;
    let _ = killpg(pid, Signal::SIGKILL);
    let status = child.wait()?;
    // What left the process group may hold the pipes open; its output is not waited for.
    while copied.recv_timeout(Duration::from_secs(1)).is_ok() {}
    let signal = status.signal().unwrap_or(0);
    let exit_code = status.code().unwrap_or(128 + signal);
    let reason = if exit_code == 0 { "Completed" } else { "Error" };
    Ok(Exit { started_at, finished_at, exit_code, signal, reason: reason.into(), message: String::new() })
}

/// Answers the agent: `wait` until the end, `kill N`, `reopen`, `attach STREAM`, `resize COLUMNS ROWS`.
fn serve(listener: UnixListener, target: Arc<Mutex<Option<Pid>>>, log: Arc<Log>, taps: Arc<Taps>) {
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (target, log, taps) = (target.clone(), log.clone(), taps.clone());
            std::thread::spawn(move || answer(stream, &target, &log, &taps));
        }
    });
}

fn answer(mut stream: UnixStream, target: &Mutex<Option<Pid>>, log: &Log, taps: &Taps) {
    let mut line = String::new();
    if BufReader::new(&stream).read_line(&mut line).is_err() {
        return;
    }
    match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["attach", "stdin"] => return taps.feed(stream),
        ["attach", output] => return taps.join(*output == "stderr", stream),
        ["resize", columns, rows] => {
            if let (Ok(columns), Ok(rows)) = (columns.parse(), rows.parse()) {
                taps.resize(columns, rows);
            }
            return;
        }
        _ => {}
    }
    let mut words = line.split_whitespace();
    match (words.next(), words.next().and_then(|w| w.parse::<i32>().ok())) {
        // Held until the other side leaves or the shim ends.
        (Some("wait"), _) => drop(stream.read(&mut [0; 1])),
        (Some("kill"), Some(number)) => {
            if let (Some(pid), Ok(signal)) = (*target.lock(), Signal::try_from(number)) {
                let _ = killpg(pid, signal).or_else(|_| kill(pid, signal));
            }
        }
        (Some("reopen"), _) => drop(log.reopen()),
        _ => {}
    }
}

struct Log {
    path: PathBuf,
    file: Mutex<File>,
}

impl Log {
    fn open(path: &Path) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        Ok(Self { path: path.to_owned(), file: Mutex::new(append(path)?) })
    }

    fn reopen(&self) -> io::Result<()> {
        let file = append(&self.path)?;
        *self.file.lock() = file;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Where output goes. Whoever waits on the other end of `done` learns of the end of each stream.
struct Outputs {
    log: Arc<Log>,
    taps: Arc<Taps>,
    clock: Clock,
    done: mpsc::Sender<()>,
}

impl Outputs {
    /// Copies a stream in the background: to those attached as it comes, into the log line by line.
    fn copy(&self, from: Option<impl Read + Send + 'static>, stderr: bool) {
        let Some(mut from) = from else { return };
        let (log, taps, clock, done) = (self.log.clone(), self.taps.clone(), self.clock.clone(), self.done.clone());
        std::thread::spawn(move || {
            let (mut buffer, mut line) = (vec![0; MAX_LINE], Vec::new());
            // A log that cannot be written (a full disk) must not stop the container.
            let write = |whole: bool, line: &mut Vec<u8>| {
                let _ = log.file.lock().write_all(&render(clock.now(), stderr, !whole, line));
                line.clear();
            };
            // Reading a terminal fails when its other side is closed.
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                let bytes = buffer.get(..count).unwrap_or_default();
                taps.print(stderr, bytes);
                for part in bytes.split_inclusive(|byte| *byte == b'\n') {
                    let whole = part.last() == Some(&b'\n');
                    let text = part.strip_suffix(b"\n").unwrap_or(part);
                    for piece in text.chunks(MAX_LINE) {
                        if line.len() + piece.len() > MAX_LINE {
                            write(false, &mut line);
                        }
                        line.extend_from_slice(piece);
                    }
                    if whole {
                        write(true, &mut line);
                    }
                }
            }
            if !line.is_empty() {
                write(false, &mut line);
            }
            let _ = done.send(());
        });
    }
}

/// Writes a file as a whole.
pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let next = path.with_extension("next");
    let mut file = File::create(&next)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_data()?;
    fs::rename(next, path)
}
