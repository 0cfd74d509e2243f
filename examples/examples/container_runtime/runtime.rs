//! [`Functions`]: a container runtime whose containers are functions of this process.

use crate::state::{Running, State};
use async_trait::async_trait;
use futures::{FutureExt, future::BoxFuture, stream::BoxStream};
use k8s_openapi::jiff::Timestamp;
use orch::{
    node::probe::{Check, Prober},
    runtime::node::container::{
        Ability, AttachRequest, ByteStream, ContainerConfig, ContainerRuntime, ContainerState, ExecRequest,
        ExecSession, Image, RegistryAuth, RuntimeError, RuntimeEvent, RuntimeInfo, Sandbox, SandboxConfig, Stats,
    },
    store::{Ambient, Tasks},
};
use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream, duplex},
    sync::{broadcast, oneshot},
};

/// What a function is called with.
pub(crate) struct Call {
    /// Its name, and its arguments.
    pub(crate) args: Vec<String>,
    /// What it reads.
    pub(crate) stdin: Box<dyn AsyncRead + Send + Unpin>,
    /// What it says; lines of it are its log.
    pub(crate) stdout: Box<dyn AsyncWrite + Send + Unpin>,
}

/// A function; what it answers is the exit code.
pub(crate) type Program = Arc<dyn Fn(Call) -> BoxFuture<'static, i32> + Send + Sync>;

/// Makes a program of an async function.
pub(crate) fn program<F: Future<Output = i32> + Send + 'static>(function: fn(Call) -> F) -> Program {
    Arc::new(move |call| function(call).boxed())
}

/// The id of the only image.
pub(crate) const IMAGE_ID: &str = "sha256:f00c7104";
/// How much lies between a function and who reads it.
const BUFFER: usize = 1 << 12;

/// The runtime. Clones share the state.
#[derive(Clone)]
pub(crate) struct Functions {
    image: &'static str,
    programs: Arc<BTreeMap<&'static str, Program>>,
    state: Arc<Mutex<State>>,
    ambient: Ambient,
}

impl Functions {
    /// A runtime with one image, which has these functions.
    pub(crate) fn new<const N: usize>(
        image: &'static str,
        programs: [(&'static str, Program); N],
        ambient: Ambient,
    ) -> Self {
        Self { image, programs: Arc::new(BTreeMap::from(programs)), state: Arc::default(), ambient }
    }

    /// Whoever panics while it holds the lock leaves a state that is whole: every method changes it in one step.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.ambient.clock.now()
    }

    fn program(&self, args: &[String]) -> Option<Program> {
        self.programs.get(args.first()?.as_str()).cloned()
    }

    /// Runs a container's function to its end. When this is aborted, its streams end.
    async fn work(self, container: String, program: Program, args: Vec<String>, stdin: Stdin, log: PathBuf) {
        let (stdout, output) = duplex(BUFFER);
        let (sender, clock) =
            (self.state().running.get(&container).map(|r| r.output.clone()), self.ambient.clock.clone());
        let copy = copy(output, log, sender, move || clock.now());
        let call = Call { args, stdin, stdout: Box::new(stdout) };
        // The log is complete before the container has ended.
        let (code, copied) = tokio::join!(program(call), copy);
        let code = if copied.is_err() { 74 } else { code };
        let now = self.now();
        self.state().end(&container, code, now);
    }
}

type Stdin = Box<dyn AsyncRead + Send + Unpin>;

/// Writes what a function says into its log, line by line in CRI format, and to whoever is attached.
async fn copy(
    output: DuplexStream,
    log: PathBuf,
    attached: Option<broadcast::Sender<Vec<u8>>>,
    now: impl Fn() -> Timestamp,
) -> io::Result<()> {
    let mut file = open(&log)?;
    let mut lines = BufReader::new(output);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).await? > 0 {
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        file.write_all(format!("{} stdout F ", now()).as_bytes())?;
        file.write_all(text)?;
        file.write_all(b"\n")?;
        // Nobody may be attached.
        let _ = attached.as_ref().map(|attached| attached.send(line.clone()));
        line.clear();
    }
    Ok(())
}

fn open(log: &Path) -> io::Result<std::fs::File> {
    log.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    std::fs::OpenOptions::new().create(true).append(true).open(log)
}

#[async_trait]
impl ContainerRuntime for Functions {
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        Ok(RuntimeInfo {
            name: "functions".into(),
            version: "1".into(),
            limitations: vec!["Functions share the process: they see each other and are limited by nobody.".into()],
            lacks: vec![Ability::Processes, Ability::Mounts, Ability::Limits],
        })
    }

    async fn run_sandbox(&self, config: SandboxConfig) -> Result<String, RuntimeError> {
        let now = self.now();
        Ok(self.state().run_sandbox(config, now))
    }

    async fn stop_sandbox(&self, sandbox: &str) -> Result<(), RuntimeError> {
        let now = self.now();
        self.state().stop_sandbox(sandbox, now);
        Ok(())
    }

    async fn remove_sandbox(&self, sandbox: &str) -> Result<(), RuntimeError> {
        let now = self.now();
        self.state().remove_sandbox(sandbox, now);
        Ok(())
    }

    async fn create_container(&self, sandbox: &str, config: ContainerConfig) -> Result<String, RuntimeError> {
        let args = [config.command.as_slice(), config.args.as_slice()].concat();
        if self.program(&args).is_none() {
            return Err(RuntimeError::Create(format!("{} has no function {:?}", self.image, args.first())));
        }
        let now = self.now();
        self.state().create(sandbox, config, now)
    }

    async fn start_container(&self, container: &str) -> Result<(), RuntimeError> {
        let now = self.now();
        let mut state = self.state();
        let (found, config) = state.book.container(container).map(|(found, config)| (found.clone(), config.clone()))?;
        if found.state != ContainerState::Created {
            return Ok(());
        }
        let args = [config.command, config.args].concat();
        let program = self.program(&args).ok_or_else(|| RuntimeError::Start(format!("no function {args:?}")))?;
        let (near, far) = duplex(BUFFER);
        let stdin: Stdin = if config.stdin { Box::new(far) } else { Box::new(tokio::io::empty()) };
        // The task takes the lock first, and so waits until all is written down.
        let work = self.clone().work(container.to_owned(), program, args, stdin, found.log_path);
        let task = self.ambient.tasks.spawn(work).abort_handle();
        let input = config.stdin.then(|| Arc::new(Mutex::new(near)));
        let running = Running { task, input, output: broadcast::channel(64).0 };
        state.running.insert(container.to_owned(), running);
        state.book.set(container, ContainerState::Running { started_at: now, pid: 0 })
    }

    /// A function has no say in its end: it stops at its next await, as if by SIGTERM.
    async fn stop_container(&self, container: &str, _: Duration) -> Result<(), RuntimeError> {
        let now = self.now();
        self.state().end(container, 143, now);
        Ok(())
    }

    async fn remove_container(&self, container: &str) -> Result<(), RuntimeError> {
        let now = self.now();
        self.state().remove_container(container, now);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Sandbox>, RuntimeError> {
        Ok(self.state().book.sandboxes().cloned().collect())
    }

    async fn sandbox(&self, sandbox: &str) -> Result<Sandbox, RuntimeError> {
        self.state().book.sandbox(sandbox).cloned()
    }

    async fn exec(&self, container: &str, request: ExecRequest) -> Result<ExecSession, RuntimeError> {
        if !matches!(self.state().book.container(container)?.0.state, ContainerState::Running { .. }) {
            return Err(RuntimeError::Failed(format!("container {container} is not running")));
        }
        let missing = || RuntimeError::Failed(format!("{} has no function {:?}", self.image, request.command));
        let program = self.program(&request.command).ok_or_else(missing)?;
        let ((near, far), (stdout, output)) = (duplex(BUFFER), duplex(BUFFER));
        let stdin: Stdin = if request.stdin { Box::new(far) } else { Box::new(tokio::io::empty()) };
        let call = Call { args: request.command, stdin, stdout: Box::new(stdout) };
        let (ended, code) = oneshot::channel();
        let tasks = self.ambient.tasks.child();
        // Nobody may be waiting any more.
        tasks.spawn(async move {
            let _ = ended.send(program(call).await);
        });
        let killed = Killed(tasks);
        Ok(ExecSession {
            stdin: request.stdin.then(|| Box::new(near) as Box<dyn AsyncWrite + Send + Unpin>),
            stdout: Box::new(output),
            stderr: (!request.tty).then(|| Box::new(tokio::io::empty()) as Box<dyn AsyncRead + Send + Unpin>),
            resize: request.tty.then(|| tokio::sync::mpsc::channel(1).0),
            ends_with_stdin: false,
            exit: Box::pin(async move {
                let _killed = killed;
                code.await.map_err(|_| RuntimeError::Failed("the function was stopped".into()))
            }),
        })
    }

    async fn attach(&self, container: &str, request: AttachRequest) -> Result<ExecSession, RuntimeError> {
        let mut state = self.state();
        let once = state.book.container(container).is_ok_and(|(_, config)| config.stdin_once);
        let not_running = || RuntimeError::Failed(format!("container {container} is not running"));
        let running = state.running.get_mut(container).ok_or_else(not_running)?;
        let input = if request.stdin && once { running.input.take() } else { running.input.clone() };
        let (mut output, (mut near, far)) = (running.output.subscribe(), duplex(BUFFER));
        let mut events = state.book.listen();
        let functions = self.clone();
        let id = container.to_owned();
        self.ambient.tasks.spawn(async move {
            while let Ok(line) = output.recv().await {
                if near.write_all(&line).await.is_err() {
                    return;
                }
            }
        });
        let exit = async move {
            loop {
                match functions.state().book.container(&id).map(|(found, _)| found.state.clone()) {
                    Ok(ContainerState::Exited { exit_code, .. }) => return Ok(exit_code),
                    Ok(_) => {}
                    Err(_) => return Ok(0),
                }
                if events.recv().await.is_none() {
                    return Ok(0);
                }
            }
        };
        let input =
            input.filter(|_| request.stdin).map(|input| Box::new(Input(input)) as Box<dyn AsyncWrite + Send + Unpin>);
        let ends_with_stdin = input.is_some() && !once;
        Ok(ExecSession {
            stdin: input,
            stdout: Box::new(far),
            stderr: None,
            resize: None,
            ends_with_stdin,
            exit: Box::pin(exit),
        })
    }

    async fn port_forward(&self, _: &str, port: u16) -> Result<Box<dyn ByteStream>, RuntimeError> {
        Err(RuntimeError::Unsupported(format!("functions have no network, so nothing listens on port {port}")))
    }

    async fn reopen_log(&self, container: &str) -> Result<(), RuntimeError> {
        self.state().book.container(container).map(drop)
    }

    async fn stats(&self, container: &str) -> Result<Stats, RuntimeError> {
        self.state().book.container(container).map(|_| Stats::default())
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        let listener = self.state().book.listen();
        Box::pin(futures::stream::unfold(listener, |mut l| async move { Some((l.recv().await?, l)) }))
    }

    async fn pull_image(&self, reference: &str, _: Option<RegistryAuth>) -> Result<Image, RuntimeError> {
        if reference.contains(char::is_whitespace) {
            let (reference, why) = (reference.to_owned(), "invalid reference format".to_owned());
            return Err(RuntimeError::InvalidImageName { reference, why });
        }
        if reference != self.image {
            let why = format!("there is only {}", self.image);
            return Err(RuntimeError::Pull { reference: reference.to_owned(), why });
        }
        self.state().pulled = true;
        Ok(self.only())
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, RuntimeError> {
        let here = self.state().pulled && (reference == self.image || reference == IMAGE_ID);
        Ok(here.then(|| self.only()))
    }

    async fn images(&self) -> Result<Vec<Image>, RuntimeError> {
        let here = self.state().pulled;
        Ok(here.then(|| self.only()).into_iter().collect())
    }

    async fn remove_image(&self, _: &str) -> Result<(), RuntimeError> {
        self.state().pulled = false;
        Ok(())
    }
}

impl Functions {
    fn only(&self) -> Image {
        Image { id: IMAGE_ID.into(), tags: vec![self.image.into()], digests: vec![IMAGE_ID.into()], ..Image::default() }
    }
}

/// Probes call functions, too; nothing listens on a network here.
#[async_trait]
impl Prober for Functions {
    async fn check(&self, check: &Check) -> Result<(), String> {
        let Check::Exec { container, command } = check else { return Err("functions have no network".into()) };
        let request = ExecRequest { command: command.clone(), ..ExecRequest::default() };
        let session = self.exec(container, request).await.map_err(|error| error.to_string())?;
        match session.exit.await {
            Ok(0) => Ok(()),
            other => Err(format!("{command:?} ended with {other:?}")),
        }
    }
}

/// Ends the tasks of a session with it.
struct Killed(Tasks);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// A container's standard input, which clients share; it ends with the last who holds it.
struct Input(Arc<Mutex<DuplexStream>>);

impl Input {
    fn with<T>(&self, use_it: impl FnOnce(Pin<&mut DuplexStream>) -> T) -> T {
        use_it(Pin::new(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl AsyncWrite for Input {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(cx))
    }

    /// A client that has nothing more to say leaves the stream to the others.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
