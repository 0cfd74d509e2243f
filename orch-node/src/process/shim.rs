//! The process beside each container: it starts it, writes its log, keeps its exit code, and passes signals
//! on. It has no part in decisions and lives exactly as long as the container.

use super::stage;
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
        fd::AsRawFd,
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

/// The entry point of the hidden subcommand: `run DIR` is a shim, `stage …` becomes a container's process.
pub fn shim_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
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
    let mut child = match spawn(&launch) {
        Ok(child) => child,
        Err(error) => {
            write!(io::stdout(), "exec: {:?}: {error}", launch.argv.first())?;
            return Ok(());
        }
    };
    let started_at = clock.now();
    write_json(&dir.join("running.json"), &Running { pid: child.id(), started_at })?;
    let (done, copied) = mpsc::channel();
    copy(child.stdout.take(), false, &log, &clock, &done);
    copy(child.stderr.take(), true, &log, &clock, &done);
    drop(done);
    let target = Arc::new(Mutex::new(Some(Pid::from_raw(child.id().cast_signed()))));
    serve(listener, target.clone(), log);
    answer_agent()?;
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

fn spawn(launch: &Launch) -> io::Result<Child> {
    let (program, rest) = launch.argv.split_first().ok_or_else(|| io::Error::other("no command"))?;
    Command::new(std::env::current_exe()?)
        .args(stage_prefix())
        .args(["stage", "child"])
        .arg(&launch.cwd)
        .arg(program)
        .args(rest)
        .env_clear()
        .envs(launch.env.iter().map(|(name, value)| (name, value)))
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
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

/// Answers the agent: `wait` until the end, `kill N`, `reopen`.
fn serve(listener: UnixListener, target: Arc<Mutex<Option<Pid>>>, log: Arc<Log>) {
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (target, log) = (target.clone(), log.clone());
            std::thread::spawn(move || answer(stream, &target, &log));
        }
    });
}

fn answer(mut stream: UnixStream, target: &Mutex<Option<Pid>>, log: &Log) {
    let mut line = String::new();
    if BufReader::new(&stream).read_line(&mut line).is_err() {
        return;
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

/// Copies a stream into the log in the background, line by line.
fn copy(
    from: Option<impl Read + Send + 'static>,
    stderr: bool,
    log: &Arc<Log>,
    clock: &Clock,
    done: &mpsc::Sender<()>,
) {
    let Some(from) = from else { return };
    let (log, clock, done) = (log.clone(), clock.clone(), done.clone());
    std::thread::spawn(move || {
        let mut reader = BufReader::with_capacity(MAX_LINE, from);
        loop {
            let mut line = Vec::new();
            match (&mut reader).take(MAX_LINE as u64).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            let whole = line.last() == Some(&b'\n');
            if whole {
                line.pop();
            }
            // A log that cannot be written (a full disk) must not stop the container.
            let _ = log.file.lock().write_all(&render(clock.now(), stderr, !whole, &line));
        }
        let _ = done.send(());
    });
}

/// Writes a file as a whole.
pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let next = path.with_extension("next");
    let mut file = File::create(&next)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_data()?;
    fs::rename(next, path)
}
