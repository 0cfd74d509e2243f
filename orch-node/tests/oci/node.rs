//! A node of its own for each test.

use orch_node::{
    image::{Registries, TOOLBOX_IMAGE},
    net::{NoNetwork, PodNetwork},
    oci::{OciRuntime, RuntimeOptions},
};
use orch_runtime::node::container::{
    Container, ContainerConfig, ContainerRuntime, ContainerState, ExecRequest, SandboxConfig,
};
use orch_store::ambient::Ambient;
use std::{
    ops::Deref,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

/// Whether a skip is a failure.
pub(crate) fn must_run() -> bool {
    std::env::var_os("ORCH_REQUIRE_REAL").is_some_and(|value| value == "1")
}

/// What this machine lacks for real containers.
pub(crate) fn missing() -> Option<&'static str> {
    if !nix::unistd::geteuid().is_root() {
        return Some("not root");
    }
    std::fs::metadata("/sys/fs/cgroup").is_err().then_some("no cgroups")
}

/// Says that a test was skipped for want of a program, or fails.
pub(crate) fn skip_without(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|dir| dir.join(program).is_file()) {
        return false;
    }
    assert!(!must_run(), "{program} is not installed");
    println!("skipped: {program} is not installed");
    true
}

/// A runtime over a directory of its own.
pub(crate) struct Node {
    runtime: OciRuntime,
    ambient: Ambient,
    pub(crate) dir: Arc<TempDir>,
}

impl Deref for Node {
    type Target = OciRuntime;
    fn deref(&self) -> &OciRuntime {
        &self.runtime
    }
}

impl Node {
    pub(crate) async fn new() -> Self {
        let dir = Arc::new(tempfile::Builder::new().prefix("orch-oci-").tempdir().unwrap());
        Self::open(dir).await
    }

    /// Another agent over the directory.
    pub(crate) async fn open(dir: Arc<TempDir>) -> Self {
        Self::with_network(dir, Arc::new(NoNetwork)).await
    }

    /// An agent over the directory, with a pod network.
    pub(crate) async fn with_network(dir: Arc<TempDir>, network: Arc<dyn PodNetwork>) -> Self {
        let ambient = Ambient::system();
        let runtime = OciRuntime::open(options(&dir, network, &ambient)).await.unwrap();
        Self { runtime, ambient, dir }
    }

    /// Two nodes of one machine over a directory.
    pub(crate) async fn two(dir: Arc<TempDir>) -> [Self; 2] {
        let ambient = Ambient::system();
        let options = options(&dir, Arc::new(NoNetwork), &ambient);
        let further = vec![(dir.path().join("state-2"), format!("{}-2", options.cgroup_root))];
        let both: [OciRuntime; 2] = OciRuntime::open_all(options, further).await.unwrap().try_into().ok().unwrap();
        both.map(|runtime| Self { runtime, ambient: ambient.clone(), dir: dir.clone() })
    }

    /// The agent dies: nothing of it goes on, nothing is tidied up.
    pub(crate) fn kill_agent(self) -> Arc<TempDir> {
        self.ambient.tasks.cancel();
        self.dir.clone()
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.dir.path().join("logs")
    }

    pub(crate) fn pod(&self) -> SandboxConfig {
        SandboxConfig {
            name: "pod".into(),
            namespace: "default".into(),
            uid: self.ambient.chance.uid(),
            hostname: "pod".into(),
            log_directory: self.logs(),
            resolv_conf: "nameserver 192.0.2.1\n".into(),
            cgroup_parent: format!("kubepods/pod{}", self.ambient.chance.suffix(8)),
            ..Default::default()
        }
    }

    pub(crate) async fn new_pod(&self) -> String {
        self.run_sandbox(self.pod()).await.unwrap()
    }

    /// A sandbox with a container that was started.
    pub(crate) async fn start(&self, config: ContainerConfig) -> (String, String) {
        let sandbox = self.new_pod().await;
        let container = self.create_container(&sandbox, config).await.unwrap();
        self.start_container(&container).await.unwrap();
        (sandbox, container)
    }

    pub(crate) async fn find(&self, container: &str) -> Container {
        let all = self.list().await.unwrap();
        all.into_iter().flat_map(|pod| pod.containers).find(|found| found.id == container).expect("no such container")
    }

    /// Waits for the end of a container: (exit code, reason).
    pub(crate) async fn end(&self, container: &str) -> (i32, String) {
        use futures::StreamExt;
        let mut events = self.events();
        loop {
            if let ContainerState::Exited { exit_code, reason, .. } = self.find(container).await.state {
                return (exit_code, reason);
            }
            events.next().await;
        }
    }

    /// Waits until the toolbox has taken the signals that end it: before that the kernel drops them, as
    /// for every first process of a PID namespace.
    pub(crate) async fn handles_signals(&self, container: &str) {
        loop {
            let ContainerState::Running { pid, .. } = self.find(container).await.state else { return };
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).unwrap_or("0");
            if blocked.ends_with("4002") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The lines of a log without their times.
    pub(crate) fn log(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.logs().join(name)).unwrap_or_default();
        text.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    }

    /// Runs a command: (exit code, output, errors).
    pub(crate) async fn run(&self, container: &str, command: &[&str]) -> (i32, String, String) {
        let request = ExecRequest { command: words(command), ..Default::default() };
        let mut session = self.exec(container, request).await.unwrap();
        let (mut stdout, mut stderr) = (String::new(), String::new());
        session.stdout.read_to_string(&mut stdout).await.unwrap();
        session.stderr.unwrap().read_to_string(&mut stderr).await.unwrap();
        (session.exit.await.unwrap(), stdout, stderr)
    }

    /// What a command prints that succeeds.
    pub(crate) async fn output(&self, container: &str, command: &[&str]) -> String {
        let (code, stdout, stderr) = self.run(container, command).await;
        assert_eq!(code, 0, "{command:?}: {stdout}{stderr}");
        stdout
    }

    /// Removes everything.
    pub(crate) async fn clean(self) {
        for pod in self.list().await.unwrap() {
            self.remove_sandbox(&pod.id).await.unwrap();
        }
    }
}

fn options(dir: &TempDir, network: Arc<dyn PodNetwork>, ambient: &Ambient) -> RuntimeOptions {
    let executable = std::env::current_exe().unwrap();
    RuntimeOptions {
        state_dir: dir.path().join("state"),
        shim_command: vec![executable.to_str().unwrap().to_owned(), "shim".into()],
        cgroup_root: format!("orch-test-{}", std::process::id()),
        registries: Registries::default(),
        network,
        toolbox: Some(executable),
        ambient: ambient.clone(),
    }
}

/// A test that failed leaves its pods behind.
impl Drop for Node {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let states =
            ["state/sandboxes", "state-2/sandboxes"].map(|state| std::fs::read_dir(self.dir.path().join(state)));
        for sandbox in states.into_iter().flatten().flatten().flatten() {
            let log = std::fs::read_to_string(sandbox.path().join("shim.log")).unwrap_or_default();
            println!("{log}");
            let record = std::fs::read(sandbox.path().join("sandbox.json")).unwrap_or_default();
            let record: serde_json::Value = serde_json::from_slice(&record).unwrap_or_default();
            if let Some(pid) = record["pid"].as_i64().filter(|pid| *pid > 1) {
                let pid = nix::unistd::Pid::from_raw(pid.try_into().unwrap());
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            }
            let _ = nix::mount::umount2(&sandbox.path().join("shm"), nix::mount::MntFlags::MNT_DETACH);
        }
    }
}

pub(crate) fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

/// A container of the built-in image. Each is a new attempt: the same one twice is the same container.
pub(crate) fn toolbox(args: &[&str]) -> ContainerConfig {
    static ATTEMPTS: AtomicU32 = AtomicU32::new(0);
    ContainerConfig {
        name: "main".into(),
        attempt: ATTEMPTS.fetch_add(1, Ordering::Relaxed),
        image: TOOLBOX_IMAGE.into(),
        args: words(args),
        log_path: "main.log".into(),
        ..Default::default()
    }
}

/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);
