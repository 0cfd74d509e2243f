//! [`ContainerRuntime`]: what the node agent needs of whatever runs containers.

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};
use tokio::io::{AsyncRead, AsyncWrite};

/// Runs pods' sandboxes and containers, as the CRI does.
///
/// # Laws
///
/// - **Idempotent.** Stopping what is stopped, removing what is gone and starting what runs succeed.
/// - **Fail-static.** Sandboxes and containers live on when the process that started them ends; a new
///   instance over the same state directory lists them with the same ids and labels.
/// - **Exit codes are kept** until the container is removed, whoever was there to see the exit.
/// - **Logs** are written to `log_path` in CRI format (`2026-01-02T03:04:05.678901234Z stdout F text`),
///   also while no agent runs.
/// - **Events are hints**: losing one loses nothing but time. `list` is the truth.
///
/// `conformance` (in orch-node) holds the tests of these laws; all implementations pass them.
#[async_trait]
pub trait ContainerRuntime: Send + Sync + 'static {
    /// Name and version, and what this runtime cannot isolate or limit.
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError>;

    /// Makes a pod's sandbox: network namespace, cgroup, log directory. Returns its id.
    async fn run_sandbox(&self, config: SandboxConfig) -> Result<String, RuntimeError>;

    /// Kills what still runs in the sandbox and takes its network away. Exit codes and logs stay.
    async fn stop_sandbox(&self, sandbox: &str) -> Result<(), RuntimeError>;

    /// Removes the sandbox and its containers with everything that they wrote.
    async fn remove_sandbox(&self, sandbox: &str) -> Result<(), RuntimeError>;

    /// Makes a container from an image that is present. Nothing runs yet.
    async fn create_container(&self, sandbox: &str, config: ContainerConfig) -> Result<String, RuntimeError>;

    /// Starts a created container.
    async fn start_container(&self, container: &str) -> Result<(), RuntimeError>;

    /// Sends the stop signal, waits for `grace`, then kills.
    async fn stop_container(&self, container: &str, grace: Duration) -> Result<(), RuntimeError>;

    /// Removes a container with its writable layer and log.
    async fn remove_container(&self, container: &str) -> Result<(), RuntimeError>;

    /// Every sandbox with its containers.
    async fn list(&self) -> Result<Vec<Sandbox>, RuntimeError>;

    /// One sandbox with its containers.
    async fn sandbox(&self, sandbox: &str) -> Result<Sandbox, RuntimeError>;

    /// Runs a command in a running container.
    async fn exec(&self, container: &str, request: ExecRequest) -> Result<ExecSession, RuntimeError>;

    /// Joins the streams of a running container's own process: output from now on, and its standard input where
    /// it was configured with one.
    async fn attach(&self, container: &str, request: AttachRequest) -> Result<ExecSession, RuntimeError>;

    /// Connects to a port that something inside the sandbox listens on, also if it does on loopback only.
    async fn port_forward(&self, sandbox: &str, port: u16) -> Result<Box<dyn ByteStream>, RuntimeError>;

    /// Reopens the log file after it was renamed.
    async fn reopen_log(&self, container: &str) -> Result<(), RuntimeError>;

    /// Resources that a container uses now.
    async fn stats(&self, container: &str) -> Result<Stats, RuntimeError>;

    /// Containers and sandboxes that changed state, from now on.
    fn events(&self) -> BoxStream<'static, RuntimeEvent>;

    /// Makes an image present. `pull` decides where from.
    async fn pull_image(&self, reference: &str, auth: Option<RegistryAuth>) -> Result<Image, RuntimeError>;

    /// The image that a reference or an id names, if it is present.
    async fn image(&self, reference: &str) -> Result<Option<Image>, RuntimeError>;

    /// Every image that is present.
    async fn images(&self) -> Result<Vec<Image>, RuntimeError>;

    /// Removes an image that no container uses.
    async fn remove_image(&self, reference: &str) -> Result<(), RuntimeError>;
}

/// What a runtime is and can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeInfo {
    /// Such as `orch-oci`.
    pub name: String,
    /// Version.
    pub version: String,
    /// What is not isolated or limited, one plain sentence each; empty when all is.
    pub limitations: Vec<String>,
    /// What pods cannot count on here; the conformance suite skips, and counts, what needs it.
    pub lacks: Vec<Ability>,
}

/// What pods can count on where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ability {
    /// Commands really run: there are logs, output of exec, and servers that answer.
    Processes,
    /// Containers see their volumes at the paths where they are mounted.
    Mounts,
    /// Memory and CPU limits are enforced.
    Limits,
}

/// A pod's sandbox.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SandboxConfig {
    /// Pod name.
    pub name: String,
    /// Pod namespace.
    pub namespace: String,
    /// Pod UID.
    pub uid: String,
    /// Which try this is, from 0.
    pub attempt: u32,
    /// Host name inside.
    pub hostname: String,
    /// Directory of all logs of the pod.
    pub log_directory: PathBuf,
    /// Contents of `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// Whether the pod shares the node's network.
    pub host_network: bool,
    /// Whether the pod shares the node's processes, and its IPC.
    pub host_pid: bool,
    /// Whether the pod shares the node's IPC.
    pub host_ipc: bool,
    /// Whether containers see each other's processes.
    pub share_processes: bool,
    /// cgroup below the runtime's root, such as `kubepods/burstable/pod<uid>`.
    pub cgroup_parent: String,
    /// Limits of the whole pod.
    pub resources: Resources,
    /// Kernel parameters of the sandbox.
    pub sysctls: BTreeMap<String, String>,
    /// Found again by `list`.
    pub labels: BTreeMap<String, String>,
    /// Found again by `list`.
    pub annotations: BTreeMap<String, String>,
    /// Ports of the pod that the node publishes.
    pub host_ports: Vec<HostPort>,
}

/// A published port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPort {
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// Port in the pod.
    pub container_port: u16,
    /// Port on the node.
    pub host_port: u16,
    /// Address on the node; all when unset.
    pub host_ip: Option<IpAddr>,
}

/// A container of a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerConfig {
    /// Name in the pod.
    pub name: String,
    /// Which try this is, from 0.
    pub attempt: u32,
    /// The image, as the pod names it.
    pub image: String,
    /// Entry point; the image's when empty.
    pub command: Vec<String>,
    /// Arguments; the image's when both this and `command` are empty.
    pub args: Vec<String>,
    /// Working directory; the image's when empty.
    pub working_dir: String,
    /// Environment, in order; added to the image's.
    pub env: Vec<(String, String)>,
    /// Mounts, in order.
    pub mounts: Vec<Mount>,
    /// Log file, relative to the sandbox's log directory.
    pub log_path: PathBuf,
    /// Keep standard input open, close it after the first client, and use a terminal.
    pub stdin: bool,
    /// Close standard input after the first client.
    pub stdin_once: bool,
    /// Use a terminal.
    pub tty: bool,
    /// Limits.
    pub resources: Resources,
    /// User, capabilities and the like.
    pub security: Security,
    /// Signal to stop with; the image's or SIGTERM when unset.
    pub stop_signal: Option<String>,
    /// Found again by `list`.
    pub labels: BTreeMap<String, String>,
    /// Found again by `list`.
    pub annotations: BTreeMap<String, String>,
}

/// A bind mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Path on the node.
    pub host_path: PathBuf,
    /// Path in the container.
    pub container_path: PathBuf,
    /// Whether writes are refused.
    pub read_only: bool,
    /// Propagation of mounts made later.
    pub propagation: Propagation,
}

/// Propagation of mounts made later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// None.
    #[default]
    Private,
    /// From the node into the container.
    HostToContainer,
    /// Both ways.
    Bidirectional,
}

/// Limits of a cgroup; unset means unlimited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Relative weight, 2 to 262144.
    pub cpu_shares: Option<u64>,
    /// CPU microseconds per period.
    pub cpu_quota_us: Option<i64>,
    /// Length of a period in microseconds.
    pub cpu_period_us: Option<u64>,
    /// Bytes.
    pub memory_bytes: Option<i64>,
    /// Number of processes and threads.
    pub pids: Option<i64>,
    /// OOM score adjustment; clamped to what the agent may set.
    pub oom_score_adj: Option<i64>,
}

/// User, capabilities and the like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// All of the node's powers.
    pub privileged: bool,
    /// User; the image's when unset.
    pub run_as_user: Option<i64>,
    /// Group; the image's when unset.
    pub run_as_group: Option<i64>,
    /// Further groups.
    pub supplemental_groups: Vec<i64>,
    /// Whether the root file system refuses writes.
    pub read_only_root: bool,
    /// Capabilities added to the default set, without `CAP_`; `ALL` for all.
    pub add_capabilities: Vec<String>,
    /// Capabilities dropped from it.
    pub drop_capabilities: Vec<String>,
    /// Whether `no_new_privs` is set.
    pub no_new_privileges: bool,
    /// `RuntimeDefault`, `Unconfined` or a path below the seccomp root.
    pub seccomp_profile: Option<String>,
}

/// A sandbox as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sandbox {
    /// Id.
    pub id: String,
    /// Pod name.
    pub name: String,
    /// Pod namespace.
    pub namespace: String,
    /// Pod UID.
    pub uid: String,
    /// Which try this is.
    pub attempt: u32,
    /// Whether it is ready.
    pub ready: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// The pod's addresses, the primary first; empty for the node's network.
    pub ips: Vec<IpAddr>,
    /// Process that holds the sandbox's namespaces, for port forwarding; 0 when there is none.
    pub pid: u32,
    /// As configured.
    pub labels: BTreeMap<String, String>,
    /// As configured.
    pub annotations: BTreeMap<String, String>,
    /// Its containers, oldest first.
    pub containers: Vec<Container>,
}

/// A container as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Container {
    /// Id.
    pub id: String,
    /// Name in the pod.
    pub name: String,
    /// Which try this is.
    pub attempt: u32,
    /// The image, as the pod named it.
    pub image: String,
    /// Digest or id of the image that really runs.
    pub image_id: String,
    /// What it does.
    pub state: ContainerState,
    /// When it was made.
    pub created_at: Timestamp,
    /// As configured.
    pub labels: BTreeMap<String, String>,
    /// As configured.
    pub annotations: BTreeMap<String, String>,
    /// Log file.
    pub log_path: PathBuf,
}

/// What a container does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerState {
    /// Made, not started.
    #[default]
    Created,
    /// Running.
    Running {
        /// Since when.
        started_at: Timestamp,
        /// Its first process, in the node's numbering; 0 when there is none.
        pid: u32,
    },
    /// Ended.
    Exited {
        /// Since when it ran.
        started_at: Timestamp,
        /// When it ended.
        finished_at: Timestamp,
        /// Exit code; 128 + n when signal n ended it.
        exit_code: i32,
        /// The signal that ended it, or 0.
        signal: i32,
        /// `Completed`, `Error`, `OOMKilled`, `ContainerCannotRun`.
        reason: String,
        /// More words, may be empty.
        message: String,
    },
}

/// A command to run in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Whether standard input is wanted.
    pub stdin: bool,
    /// Whether a terminal is wanted; standard error is then part of standard output.
    pub tty: bool,
}

/// How to join a container's streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttachRequest {
    /// Whether standard input is wanted.
    pub stdin: bool,
}

/// A connection, in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A running command, or a container that somebody is attached to.
///
/// Dropping a command's session kills it; dropping one of `attach` leaves the container as it is. Dropping `stdin`
/// closes it, of an attached container only where it was configured with `stdin_once` and without a terminal.
pub struct ExecSession {
    /// Standard input, when asked for.
    pub stdin: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    /// Standard output.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// Standard error; `None` with a terminal.
    pub stderr: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// Takes (columns, rows) when the terminal changes; `None` without one.
    pub resize: Option<tokio::sync::mpsc::Sender<(u16, u16)>>,
    /// Whether the session is over when the client's input is: so it is for containers whose standard input
    /// outlives their clients, since there is nothing else by which a client can leave.
    pub ends_with_stdin: bool,
    /// Resolves to the exit code of the command or container.
    pub exit: futures::future::BoxFuture<'static, Result<i32, RuntimeError>>,
}

/// What a container uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Total CPU time.
    pub cpu: Duration,
    /// Memory in use without reclaimable page cache, in bytes.
    pub memory_bytes: u64,
    /// Number of processes.
    pub pids: u64,
}

/// Something changed; look with `sandbox`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeEvent {
    /// Pod UID.
    pub pod_uid: String,
    /// Sandbox id.
    pub sandbox: String,
}

/// How to prove oneself to a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryAuth {
    /// User name.
    pub username: String,
    /// Password or token.
    pub password: String,
}

/// An image that is present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// `sha256:…` of its configuration.
    pub id: String,
    /// References with tags.
    pub tags: Vec<String>,
    /// References with digests.
    pub digests: Vec<String>,
    /// Bytes on disk.
    pub size_bytes: u64,
    /// The image's user, as written in it.
    pub user: String,
}

/// Why a runtime refused. The texts end up in events and container statuses.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RuntimeError {
    /// No such sandbox, container or image.
    #[error("{0} not found")]
    NotFound(String),
    /// The pull failed.
    #[error("failed to pull image {reference:?}: {why}")]
    Pull {
        /// The reference.
        reference: String,
        /// Why.
        why: String,
    },
    /// The reference is not one.
    #[error("couldn't parse image name {reference:?}: {why}")]
    InvalidImageName {
        /// The reference.
        reference: String,
        /// Why.
        why: String,
    },
    /// The container could not be made (missing command, bad mount): `CreateContainerError`.
    #[error("{0}")]
    Create(String),
    /// The container could not be started: `RunContainerError`.
    #[error("{0}")]
    Start(String),
    /// This runtime cannot do that.
    #[error("not supported by this runtime: {0}")]
    Unsupported(String),
    /// Anything else that went wrong with files, processes or the kernel.
    #[error("{0}")]
    Failed(String),
}
