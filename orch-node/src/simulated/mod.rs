//! A runtime without processes: pods live and die by [`Rules`] on tokio's clock. For tests, and for thousands
//! of nodes in one process. Deterministic: the same rules, seed and calls give the same history.

mod fleet;
mod rules;
mod state;
#[cfg(test)]
mod tests;

pub use fleet::{FleetConfig, start_fleet};
pub use rules::{ContainerRules, Rules, Trouble};

use crate::probe::{Check, Prober};
use async_trait::async_trait;
use futures::stream::BoxStream;
use orch_runtime::node::container::{
    Ability, AttachRequest, ByteStream, ContainerConfig, ContainerRuntime, ContainerState, ExecRequest, ExecSession,
    Image, RegistryAuth, RuntimeError, RuntimeEvent, RuntimeInfo, Sandbox, SandboxConfig, Stats,
};
use orch_store::Ambient;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use state::{State, Timed};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;

/// A runtime without processes. Clones share the same state, as two agents over one state directory would.
#[derive(Clone)]
pub struct SimulatedRuntime {
    state: Arc<Mutex<State>>,
    ambient: Ambient,
    rules: Arc<Rules>,
}

impl SimulatedRuntime {
    /// A runtime with no pods. `network` is where pod addresses begin, such as `10.244.3.0`; each node has its own.
    pub fn new(rules: Rules, network: Ipv4Addr, ambient: Ambient) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(network))), ambient, rules: Arc::new(rules) }
    }

    /// Ends a running container, as if its process had ended.
    pub fn exit(&self, container: &str, exit_code: i32) -> bool {
        self.state.lock().book.exit(container, exit_code, "", self.ambient.clock.now())
    }

    /// Changes what is wrong with the node.
    pub fn trouble(&self, change: impl FnOnce(&mut Trouble)) {
        change(&mut self.state.lock().trouble);
    }

    /// The containers that run, in the order of their ids.
    pub fn running(&self) -> Vec<String> {
        self.state.lock().running()
    }

    /// Kills every sandbox, as the power cut of a node would.
    pub fn lose_everything(&self) {
        let now = self.ambient.clock.now();
        let mut state = self.state.lock();
        let all: Vec<String> = state.book.sandboxes().map(|sandbox| sandbox.id.clone()).collect();
        all.iter().for_each(|sandbox| state.stop_sandbox(sandbox, now));
    }

    /// How long something takes this time.
    fn takes(&self, time: Duration) -> Duration {
        if self.rules.jitter <= 0.0 || time.is_zero() {
            return time;
        }
        time.mul_f64(1.0 + self.rules.jitter * self.ambient.chance.fraction())
    }

    /// Kills a sandbox under its pod, as a crashed node would.
    pub fn lose_sandbox(&self, sandbox: &str) {
        let now = self.ambient.clock.now();
        self.state.lock().stop_sandbox(sandbox, now);
    }

    /// Ends a container when its time has come.
    fn schedule(&self, container: String, timed: Timed) {
        let (state, clock) = (self.state.clone(), self.ambient.clock.clone());
        self.ambient.tasks.spawn(async move {
            tokio::time::sleep(timed.after).await;
            state.lock().book.exit(&container, timed.exit_code, &timed.reason, clock.now());
        });
    }
}

#[async_trait]
impl ContainerRuntime for SimulatedRuntime {
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        Ok(RuntimeInfo {
            name: "simulated".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            limitations: vec![
                "Nothing runs: containers start, become ready and end by rules.".into(),
                "Pod addresses answer no one.".into(),
            ],
            lacks: vec![Ability::Processes, Ability::Mounts, Ability::Limits],
        })
    }

    async fn run_sandbox(&self, config: SandboxConfig) -> Result<String, RuntimeError> {
        tokio::time::sleep(self.takes(self.rules.sandbox_time)).await;
        Ok(self.state.lock().run_sandbox(config, self.ambient.clock.now()))
    }

    async fn stop_sandbox(&self, sandbox: &str) -> Result<(), RuntimeError> {
        let now = self.ambient.clock.now();
        self.state.lock().stop_sandbox(sandbox, now);
        Ok(())
    }

    async fn remove_sandbox(&self, sandbox: &str) -> Result<(), RuntimeError> {
        let now = self.ambient.clock.now();
        self.state.lock().remove_sandbox(sandbox, now);
        Ok(())
    }

    async fn create_container(&self, sandbox: &str, config: ContainerConfig) -> Result<String, RuntimeError> {
        let mut state = self.state.lock();
        if !state.images.contains_key(&config.image) {
            return Err(RuntimeError::NotFound(format!("image {:?}", config.image)));
        }
        state.create(sandbox, config, &self.rules, self.ambient.clock.now())
    }

    async fn start_container(&self, container: &str) -> Result<(), RuntimeError> {
        let rules = self.state.lock().rules(container)?;
        if self.state.lock().book.container(container)?.0.state != ContainerState::Created {
            return Ok(());
        }
        tokio::time::sleep(self.takes(rules.start_time)).await;
        self.state.lock().start(container, self.ambient.clock.now())?;
        if let Some(after) = rules.run_time {
            let timed = Timed { after, exit_code: rules.exit_code, reason: rules.exit_reason.clone() };
            self.schedule(container.to_owned(), timed);
        }
        Ok(())
    }

    async fn stop_container(&self, container: &str, grace: Duration) -> Result<(), RuntimeError> {
        let Ok(rules) = self.state.lock().rules(container) else { return Ok(()) };
        tokio::time::sleep(self.takes(rules.stop_time).min(grace)).await;
        let code = if rules.stop_time > grace { 137 } else { rules.stop_exit_code };
        self.state.lock().book.exit(container, code, "", self.ambient.clock.now());
        Ok(())
    }

    async fn remove_container(&self, container: &str) -> Result<(), RuntimeError> {
        self.state.lock().book.remove_container(container);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Sandbox>, RuntimeError> {
        Ok(self.state.lock().book.sandboxes().cloned().collect())
    }

    async fn sandbox(&self, sandbox: &str) -> Result<Sandbox, RuntimeError> {
        self.state.lock().book.sandbox(sandbox).cloned()
    }

    async fn exec(&self, container: &str, request: ExecRequest) -> Result<ExecSession, RuntimeError> {
        let state = self.state.lock().book.container(container)?.0.state.clone();
        if !matches!(state, ContainerState::Running { .. }) {
            return Err(RuntimeError::Failed(format!("container {container} is not running")));
        }
        let (text, code) = rules::exec(&request.command);
        let (stdin, mut input) = tokio::io::duplex(1 << 16);
        let stdin = request.stdin.then(|| Box::new(stdin) as Box<dyn tokio::io::AsyncWrite + Send + Unpin>);
        let wants = request.stdin;
        let stdout: Box<dyn tokio::io::AsyncRead + Send + Unpin> = match request.command.first().map(String::as_str) {
            Some("cat") if wants => Box::new(input),
            _ => {
                self.ambient
                    .tasks
                    .spawn(async move { drop(tokio::io::copy(&mut input, &mut tokio::io::sink()).await) });
                Box::new(std::io::Cursor::new(text.into_bytes()))
            }
        };
        let stderr =
            (!request.tty).then(|| Box::new(tokio::io::empty()) as Box<dyn tokio::io::AsyncRead + Send + Unpin>);
        let resize = request.tty.then(|| mpsc::channel(1).0);
        let exit = Box::pin(async move { Ok(code) });
        Ok(ExecSession { stdin, stdout, stderr, resize, ends_with_stdin: false, exit })
    }

    /// A session without output: input goes nowhere, and the end is the container's.
    async fn attach(&self, container: &str, request: AttachRequest) -> Result<ExecSession, RuntimeError> {
        let mut events = self.state.lock().book.listen();
        let (state, id) = (self.state.clone(), container.to_owned());
        let code = move || match state.lock().book.container(&id).map(|(c, _)| c.state.clone()) {
            Ok(ContainerState::Exited { exit_code, .. }) => Some(exit_code),
            Ok(_) => None,
            Err(_) => Some(0),
        };
        if !matches!(self.state.lock().book.container(container)?.0.state, ContainerState::Running { .. }) {
            return Err(RuntimeError::Failed(format!("container {container} is not running")));
        }
        let (stdout, kept) = tokio::io::duplex(1);
        let exit = async move {
            // The output ends with the container.
            let _kept = kept;
            loop {
                if let Some(code) = code() {
                    return Ok(code);
                }
                if events.recv().await.is_none() {
                    return Ok(0);
                }
            }
        };
        Ok(ExecSession {
            stdin: request.stdin.then(|| Box::new(tokio::io::sink()) as Box<dyn tokio::io::AsyncWrite + Send + Unpin>),
            stdout: Box::new(stdout),
            stderr: None,
            resize: None,
            ends_with_stdin: true,
            exit: Box::pin(exit),
        })
    }

    async fn port_forward(&self, _: &str, port: u16) -> Result<Box<dyn ByteStream>, RuntimeError> {
        Err(RuntimeError::Unsupported(format!("nothing runs here, so nothing listens on port {port}")))
    }

    async fn reopen_log(&self, container: &str) -> Result<(), RuntimeError> {
        self.state.lock().book.container(container).map(drop)
    }

    async fn stats(&self, container: &str) -> Result<Stats, RuntimeError> {
        let now = self.ambient.clock.now();
        let state = self.state.lock();
        let (found, rules) = state.book.container(container)?;
        let ContainerState::Running { started_at, .. } = &found.state else {
            return Ok(Stats::default());
        };
        let age = Duration::try_from(now.duration_since(*started_at)).unwrap_or_default();
        let nanos = age.as_nanos() * u128::from(rules.cpu_millis) / 1000;
        let cpu = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        Ok(Stats { cpu, memory_bytes: rules.memory_bytes, pids: 1 })
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        let receiver = self.state.lock().book.listen();
        Box::pin(futures::stream::unfold(receiver, |mut r| async move { Some((r.recv().await?, r)) }))
    }

    async fn pull_image(&self, reference: &str, _: Option<RegistryAuth>) -> Result<Image, RuntimeError> {
        let known = self.state.lock().images.get(reference).cloned();
        if let Some(image) = known {
            return Ok(image);
        }
        if reference.is_empty() || reference.contains(char::is_whitespace) || reference.chars().any(char::is_uppercase)
        {
            let why = "invalid reference format".to_owned();
            return Err(RuntimeError::InvalidImageName { reference: reference.to_owned(), why });
        }
        tokio::time::sleep(self.takes(self.rules.pull_time)).await;
        if let Some(why) = self.state.lock().trouble.pulls.clone() {
            return Err(RuntimeError::Pull { reference: reference.to_owned(), why });
        }
        if let Some((_, why)) = self.rules.missing_images.iter().find(|(image, _)| reference.contains(image.as_str())) {
            return Err(RuntimeError::Pull { reference: reference.to_owned(), why: why.clone() });
        }
        let image = image(reference);
        self.state.lock().images.insert(reference.to_owned(), image.clone());
        Ok(image)
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, RuntimeError> {
        let state = self.state.lock();
        Ok(state.images.values().find(|i| i.id == reference || i.tags.iter().any(|t| t == reference)).cloned())
    }

    async fn images(&self) -> Result<Vec<Image>, RuntimeError> {
        Ok(self.state.lock().images.values().cloned().collect())
    }

    async fn remove_image(&self, reference: &str) -> Result<(), RuntimeError> {
        self.state.lock().images.retain(|name, image| name != reference && image.id != reference);
        Ok(())
    }
}

#[async_trait]
impl Prober for SimulatedRuntime {
    /// Answers by the container's rules: probes fail until `ready_after` and from `unhealthy_after` on.
    async fn check(&self, check: &Check) -> Result<(), String> {
        match check {
            Check::Sleep(time) => {
                tokio::time::sleep(*time).await;
                Ok(())
            }
            Check::Exec { container, command } => {
                self.state.lock().healthy(container, self.ambient.clock.now())?;
                match rules::exec(command) {
                    (_, 0) => Ok(()),
                    (text, _) => Err(text),
                }
            }
            Check::Http { host, .. } | Check::Tcp { host, .. } | Check::Grpc { host, .. } => {
                let ip: IpAddr = host.parse().map_err(|_| format!("lookup {host}: no such host"))?;
                self.state.lock().healthy_at(ip, self.ambient.clock.now())
            }
        }
    }
}

fn image(reference: &str) -> Image {
    let digest = Sha256::digest(reference.as_bytes());
    let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    let bare = reference.split('@').next().unwrap_or(reference);
    Image {
        id: format!("sha256:{hex}"),
        tags: vec![reference.to_owned()],
        digests: vec![format!("{bare}@sha256:{hex}")],
        size_bytes: 10 << 20,
        user: String::new(),
    }
}
