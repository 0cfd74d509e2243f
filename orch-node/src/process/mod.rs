//! Plain processes as containers: for machines without root, and for programs that trust their pods.
//!
//! Each container is a process group below a small [shim](shim_main) that outlives the agent, writes the log
//! and keeps the exit code. [`ProcessRuntime::info`] says plainly what is not isolated.
//!
//! ```text
//! STATE/sandboxes/SANDBOX/sandbox.json         the sandbox and its address
//! STATE/sandboxes/SANDBOX/CONTAINER/launch.json  what to run       (agent)
//!                                   running.json its pid           (shim)
//!                                   exit.json    how it ended      (shim)
//!                                   s            the shim's socket (shim)
//! ```

mod attach;
mod command;
mod exec;
mod link;
mod records;
mod shim;
mod stage;
mod taps;
mod terminal;

pub use shim::shim_main;

use crate::net::Subnet;
use async_trait::async_trait;
use futures::stream::BoxStream;
use orch_runtime::node::container::{
    Ability, AttachRequest, ByteStream, Container, ContainerConfig, ContainerRuntime, ContainerState, ExecRequest,
    ExecSession, Image, RegistryAuth, RuntimeError, RuntimeEvent, RuntimeInfo, Sandbox, SandboxConfig, Stats,
};
use orch_store::Ambient;
use parking_lot::Mutex;
use records::{Records, failed};
use std::{
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};
use tokio::{io::AsyncReadExt, net::TcpStream, sync::mpsc};

/// The image whose commands are those of the executable itself.
const TOOLBOX: &str = "orch.local/toolbox";

/// Runs containers as plain processes. Cheap to clone.
#[derive(Clone)]
pub struct ProcessRuntime {
    inner: Arc<Inner>,
}

struct Inner {
    /// The command that runs [`shim_main`]; arguments follow.
    shim: Vec<String>,
    records: Mutex<Records>,
    listeners: Mutex<Vec<mpsc::UnboundedSender<RuntimeEvent>>>,
    ambient: Ambient,
}

impl ProcessRuntime {
    /// Opens a state directory and adopts what runs there. `shim` is the command that calls [`shim_main`]
    /// with the arguments that follow, such as `["/usr/bin/orch", "shim"]`. New pods get addresses of `network`, which
    /// lies in 127.0.0.0/8: all of that can be listened on without rights.
    pub fn open(state: &Path, shim: Vec<String>, network: Subnet, ambient: Ambient) -> io::Result<Self> {
        let records = Records::open(state, network)?;
        let running: Vec<_> = records.unfinished();
        let inner = Inner { shim, records: Mutex::new(records), listeners: Mutex::default(), ambient };
        let runtime = Self { inner: Arc::new(inner) };
        running.into_iter().for_each(|(id, dir)| runtime.follow(id, dir));
        Ok(runtime)
    }

    /// Waits for the end of a container in the background.
    fn follow(&self, id: String, dir: PathBuf) {
        let inner = self.inner.clone();
        self.inner.ambient.tasks.spawn(async move {
            link::ended(&dir).await;
            let uid = inner.records.lock().ended(&id, inner.ambient.clock.now());
            if let Some((uid, sandbox)) = uid {
                inner.tell(uid, sandbox);
            }
        });
    }

    fn container(&self, id: &str) -> Result<(Container, PathBuf), RuntimeError> {
        self.inner.records.lock().container(id)
    }

    /// Starts the shim and waits until it has started the container.
    async fn spawn_shim(&self, dir: &Path) -> Result<(), RuntimeError> {
        let (program, args) = self.inner.shim.split_first().ok_or_else(|| failed("no shim command", "empty"))?;
        let log = std::fs::File::create(dir.join("shim.log")).map_err(|e| failed("shim.log", e))?;
        let mut child = tokio::process::Command::new(program)
            .args(args)
            .arg("run")
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|e| RuntimeError::Start(format!("starting the shim {program}: {e}")))?;
        let mut answer = String::new();
        if let Some(mut out) = child.stdout.take() {
            out.read_to_string(&mut answer).await.map_err(|e| failed("the shim's answer", e))?;
        }
        // The shim lives on by itself; whoever is its parent then reaps it.
        self.inner.ambient.tasks.spawn(async move { drop(child.wait().await) });
        match answer.as_str() {
            "ok" => Ok(()),
            "" => Err(RuntimeError::Start(std::fs::read_to_string(dir.join("shim.log")).unwrap_or_default())),
            why => Err(RuntimeError::Start(why.to_owned())),
        }
    }

    async fn stop_all(&self, sandbox: &str, grace: Duration) {
        let running = self.inner.records.lock().running(sandbox);
        futures::future::join_all(running.iter().map(|id| self.stop_container(id, grace))).await;
    }
}

impl Inner {
    fn tell(&self, pod_uid: String, sandbox: String) {
        let event = RuntimeEvent { pod_uid, sandbox };
        self.listeners.lock().retain(|l| l.send(event.clone()).is_ok());
    }
}

#[async_trait]
impl ContainerRuntime for ProcessRuntime {
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        let limitations = [
            "Containers are plain processes of this user: files, processes and IPC of the machine are not isolated.",
            "Pods share the machine's network; each is given a loopback address of its own (ORCH_POD_IP) to listen on.",
            "Pods read the machine's resolv.conf: names of Services lead nowhere for them, their addresses do.",
            "Images are not unpacked: commands are those of the machine, or of orch's own toolbox image.",
            "Volumes are not mounted: ORCH_ROOT names a directory with links where the mounts would be.",
            "CPU and memory limits, users, capabilities and seccomp profiles are not enforced.",
        ];
        Ok(RuntimeInfo {
            name: "process".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            limitations: limitations.map(Into::into).into(),
            lacks: vec![Ability::Mounts, Ability::Limits],
        })
    }

    async fn run_sandbox(&self, config: SandboxConfig) -> Result<String, RuntimeError> {
        let now = self.inner.ambient.clock.now();
        self.inner.records.lock().run_sandbox(config, now)
    }

    async fn stop_sandbox(&self, sandbox: &str) -> Result<(), RuntimeError> {
        self.stop_all(sandbox, Duration::ZERO).await;
        let stopped = self.inner.records.lock().stop_sandbox(sandbox)?;
        if let Some(uid) = stopped {
            self.inner.tell(uid, sandbox.to_owned());
        }
        Ok(())
    }

    async fn remove_sandbox(&self, sandbox: &str) -> Result<(), RuntimeError> {
        self.stop_sandbox(sandbox).await?;
        let containers = self.inner.records.lock().containers_of(sandbox);
        for container in containers {
            self.remove_container(&container).await?;
        }
        let removed = self.inner.records.lock().remove_sandbox(sandbox)?;
        if let Some(uid) = removed {
            self.inner.tell(uid, sandbox.to_owned());
        }
        Ok(())
    }

    async fn create_container(&self, sandbox: &str, config: ContainerConfig) -> Result<String, RuntimeError> {
        let now = self.inner.ambient.clock.now();
        let shim = self.inner.shim.first().cloned().unwrap_or_default();
        self.inner.records.lock().create(sandbox, config, &shim, now)
    }

    async fn start_container(&self, container: &str) -> Result<(), RuntimeError> {
        let (found, dir) = self.container(container)?;
        if found.state != ContainerState::Created {
            return Ok(());
        }
        let result = match command::check(&dir) {
            Ok(()) => self.spawn_shim(&dir).await,
            Err(error) => Err(error),
        };
        let now = self.inner.ambient.clock.now();
        match &result {
            Ok(()) => {
                self.inner.records.lock().started(container)?;
                self.follow(container.to_owned(), dir);
            }
            Err(error) => self.inner.records.lock().not_started(container, &error.to_string(), now)?,
        }
        let owner = self.inner.records.lock().owner(container);
        if let Some((uid, sandbox)) = owner {
            self.inner.tell(uid, sandbox);
        }
        result
    }

    async fn stop_container(&self, container: &str, grace: Duration) -> Result<(), RuntimeError> {
        let Ok((found, dir)) = self.container(container) else { return Ok(()) };
        if !matches!(found.state, ContainerState::Running { .. }) {
            return Ok(());
        }
        let signal = self.inner.records.lock().stop_signal(container);
        if !grace.is_zero() {
            link::send(&dir, &format!("kill {signal}")).await;
            if tokio::time::timeout(grace, link::ended(&dir)).await.is_err() {
                link::send(&dir, "kill 9").await;
            }
        } else {
            link::send(&dir, "kill 9").await;
        }
        link::ended(&dir).await;
        let now = self.inner.ambient.clock.now();
        let owner = self.inner.records.lock().ended(container, now);
        if let Some((uid, sandbox)) = owner {
            self.inner.tell(uid, sandbox);
        }
        Ok(())
    }

    async fn remove_container(&self, container: &str) -> Result<(), RuntimeError> {
        self.stop_container(container, Duration::ZERO).await?;
        let Some(dir) = self.inner.records.lock().forget(container)? else { return Ok(()) };
        // An agent may have died while it started the container, which then runs although nobody knew.
        link::send(&dir, "kill 9").await;
        link::ended(&dir).await;
        std::fs::remove_dir_all(&dir).map_err(|e| failed(dir.display(), e))
    }

    async fn list(&self) -> Result<Vec<Sandbox>, RuntimeError> {
        Ok(self.inner.records.lock().list())
    }

    async fn sandbox(&self, sandbox: &str) -> Result<Sandbox, RuntimeError> {
        self.inner.records.lock().sandbox(sandbox)
    }

    async fn exec(&self, container: &str, request: ExecRequest) -> Result<ExecSession, RuntimeError> {
        let (found, dir) = self.container(container)?;
        if !matches!(found.state, ContainerState::Running { .. }) {
            return Err(RuntimeError::Failed(format!("container {container} is not running")));
        }
        exec::exec(&self.inner.shim, &dir, request, &self.inner.ambient.tasks)
    }

    async fn attach(&self, container: &str, request: AttachRequest) -> Result<ExecSession, RuntimeError> {
        let (_, dir) = self.container(container)?;
        attach::attach(dir, request, &self.inner.ambient.tasks).await
    }

    /// Pods listen on an address of their own, or on the machine's when they share its network.
    async fn port_forward(&self, sandbox: &str, port: u16) -> Result<Box<dyn ByteStream>, RuntimeError> {
        let found = self.sandbox(sandbox).await?;
        let ip = found.ips.first().copied().unwrap_or(Ipv4Addr::LOCALHOST.into());
        let stream = TcpStream::connect((ip, port)).await;
        let what = || format!("failed to connect to {ip}:{port} of sandbox {sandbox:?}");
        Ok(Box::new(stream.map_err(|e| failed(what(), crate::words(&e)))?))
    }

    async fn reopen_log(&self, container: &str) -> Result<(), RuntimeError> {
        let (_, dir) = self.container(container)?;
        link::send(&dir, "reopen").await;
        Ok(())
    }

    async fn stats(&self, container: &str) -> Result<Stats, RuntimeError> {
        let (found, _) = self.container(container)?;
        match found.state {
            ContainerState::Running { pid, .. } => Ok(command::usage(pid)),
            _ => Ok(Stats::default()),
        }
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.inner.listeners.lock().push(sender);
        Box::pin(futures::stream::unfold(receiver, |mut r| async move { Some((r.recv().await?, r)) }))
    }

    async fn pull_image(&self, reference: &str, _: Option<RegistryAuth>) -> Result<Image, RuntimeError> {
        if reference.is_empty() || reference.contains(char::is_whitespace) {
            let why = "invalid reference format".to_owned();
            return Err(RuntimeError::InvalidImageName { reference: reference.to_owned(), why });
        }
        self.inner.records.lock().add_image(reference)
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, RuntimeError> {
        if reference.starts_with(TOOLBOX) {
            return self.inner.records.lock().add_image(reference).map(Some);
        }
        Ok(self.inner.records.lock().image(reference))
    }

    async fn images(&self) -> Result<Vec<Image>, RuntimeError> {
        Ok(self.inner.records.lock().images())
    }

    async fn remove_image(&self, reference: &str) -> Result<(), RuntimeError> {
        self.inner.records.lock().remove_image(reference)
    }
}
