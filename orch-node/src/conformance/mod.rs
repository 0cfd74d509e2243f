//! The laws of [`ContainerRuntime`] as tests: a runtime is done when it passes [`all`].
//!
//! The containers' commands are `echo`, `sleep`, `exit` and `cat`; a [`Fixture`] says how the runtime under
//! test spells them. Where nothing really runs, the sandbox's `simulated.orch.dev/…`
//! annotations say the same.

#![allow(clippy::unwrap_used, clippy::expect_used)] // These are tests, though not of this crate alone.

mod containers;
pub mod pods;
mod sandboxes;
mod sessions;

use futures::{StreamExt, future::BoxFuture};
use orch_runtime::node::container::{
    Container, ContainerConfig, ContainerRuntime, ContainerState, Sandbox, SandboxConfig,
};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

/// A runtime under test.
pub struct Fixture {
    /// The runtime.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// Another instance over the same state, as after a restart of the agent.
    pub reopen: Reopen,
    /// An image that can be pulled.
    pub image: String,
    /// How a command is spelt in that image.
    pub command: fn(&[&str]) -> Vec<String>,
    /// A directory for logs.
    pub logs: PathBuf,
    /// Whether commands really run and write logs.
    pub real: bool,
}

/// Opens a runtime over the same state.
pub type Reopen = Box<dyn Fn() -> BoxFuture<'static, Arc<dyn ContainerRuntime>> + Send + Sync>;

/// One law.
pub type Law = for<'a> fn(&'a Fixture) -> BoxFuture<'a, ()>;

/// Every law with its name.
pub fn all() -> Vec<(&'static str, Law)> {
    [sandboxes::laws(), containers::laws(), sessions::laws()].concat()
}

/// Checks every law.
pub async fn run(fixture: &Fixture) {
    for (name, law) in all() {
        tracing::info!(name, "law");
        law(fixture).await;
    }
}

impl Fixture {
    async fn sandbox(&self, uid: &str, annotations: &[(&str, &str)]) -> Sandbox {
        let log_directory = self.logs.join(uid);
        std::fs::create_dir_all(log_directory.join("main")).unwrap();
        let config = SandboxConfig {
            name: uid.into(),
            namespace: "laws".into(),
            uid: uid.into(),
            hostname: uid.into(),
            log_directory,
            resolv_conf: "nameserver 127.0.0.1\n".into(),
            cgroup_parent: format!("kubepods/besteffort/pod{uid}"),
            labels: BTreeMap::from([("law".into(), uid.into())]),
            annotations: annotations.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            ..SandboxConfig::default()
        };
        let id = self.runtime.run_sandbox(config.clone()).await.unwrap();
        assert_eq!(self.runtime.run_sandbox(config).await.unwrap(), id, "running a sandbox is idempotent");
        self.runtime.sandbox(&id).await.unwrap()
    }

    async fn create(&self, sandbox: &Sandbox, attempt: u32, command: &[&str]) -> String {
        self.create_with(sandbox, attempt, command, |_| {}).await
    }

    async fn create_with(
        &self,
        sandbox: &Sandbox,
        attempt: u32,
        command: &[&str],
        change: impl FnOnce(&mut ContainerConfig),
    ) -> String {
        self.runtime.pull_image(&self.image, None).await.unwrap();
        let mut config = ContainerConfig {
            name: "main".into(),
            attempt,
            image: self.image.clone(),
            command: (self.command)(command),
            env: vec![("LAW".into(), "kept".into())],
            log_path: PathBuf::from("main").join(format!("{attempt}.log")),
            labels: BTreeMap::from([("law".into(), "main".into())]),
            ..ContainerConfig::default()
        };
        change(&mut config);
        self.runtime.create_container(&sandbox.id, config).await.unwrap()
    }

    async fn run(&self, sandbox: &Sandbox, command: &[&str]) -> String {
        let id = self.create(sandbox, 0, command).await;
        self.runtime.start_container(&id).await.unwrap();
        id
    }

    async fn container(&self, sandbox: &Sandbox, id: &str) -> Container {
        let sandbox = self.runtime.sandbox(&sandbox.id).await.unwrap();
        sandbox.containers.into_iter().find(|c| c.id == id).expect("the container is listed")
    }

    /// Waits for the events that lead to the container's end; the exit code.
    async fn exit_code(&self, sandbox: &Sandbox, id: &str) -> i32 {
        let mut events = self.runtime.events();
        let wait = async {
            loop {
                if let ContainerState::Exited { exit_code, .. } = self.container(sandbox, id).await.state {
                    return exit_code;
                }
                let event = events.next().await.expect("events go on");
                assert!(!event.pod_uid.is_empty());
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the end is told by an event")
    }

    async fn remove(&self, sandbox: &Sandbox) {
        self.runtime.remove_sandbox(&sandbox.id).await.unwrap();
        self.runtime.remove_sandbox(&sandbox.id).await.expect("removing what is gone succeeds");
    }
}
