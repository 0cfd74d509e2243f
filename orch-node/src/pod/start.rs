//! Making a sandbox, and starting one container: pull, configure, create, start, postStart
//! (`kuberuntime_container.go`, startContainer).

use super::{
    backoff::{self, later},
    observed::StartFailure,
    spec,
};
use crate::{
    agent::context::Node,
    env::{self, fields::Facts},
    event::Severity,
    files,
    follow::Followed,
    image_pull,
    pod::stop::Stop,
    probe::resolve_lifecycle,
    resources, volume,
};
use k8s_openapi::api::core::v1::{Container, Pod};
use orch_api::{Gvr, Key};
use orch_runtime::node::container::{ContainerConfig, HostPort, Image, RuntimeError, Sandbox, SandboxConfig};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Makes the sandbox of a pod.
pub(super) async fn sandbox(node: &Node, pod: &Pod, attempt: u32) -> Result<String, RuntimeError> {
    let (meta, Some(spec)) = (&pod.metadata, &pod.spec) else {
        return Err(RuntimeError::Failed("the pod has no spec".into()));
    };
    let uid = meta.uid.clone().unwrap_or_default();
    let log_directory = node.log_dir(&uid);
    if node.materialize {
        tokio::fs::create_dir_all(&log_directory)
            .await
            .map_err(|e| RuntimeError::Failed(format!("{}: {e}", log_directory.display())))?;
    }
    let sysctls = spec.security_context.iter().flat_map(|s| s.sysctls.iter().flatten());
    let config = SandboxConfig {
        name: meta.name.clone().unwrap_or_default(),
        namespace: meta.namespace.clone().unwrap_or_default(),
        attempt,
        hostname: files::hostname(pod, &node.name),
        log_directory,
        resolv_conf: files::resolv_conf(pod, &node.dns),
        host_network: spec::host_network(pod),
        host_pid: spec.host_pid == Some(true),
        host_ipc: spec.host_ipc == Some(true),
        share_processes: spec.share_process_namespace == Some(true),
        cgroup_parent: resources::cgroup(pod, &uid),
        resources: resources::of_pod(spec),
        sysctls: sysctls.map(|s| (s.name.clone(), s.value.clone())).collect(),
        labels: labels(pod, None),
        annotations: meta.annotations.clone().unwrap_or_default(),
        host_ports: host_ports(pod),
        uid,
    };
    node.runtime.run_sandbox(config).await
}

/// What starting a container needs.
pub(crate) struct Start {
    pub(crate) node: Arc<Node>,
    pub(crate) pod: Arc<Pod>,
    pub(super) sandbox: Sandbox,
    pub(super) name: String,
    pub(super) attempt: u32,
    pub(crate) references: Arc<BTreeMap<(Gvr, Key), Followed>>,
    pub(super) ending: CancellationToken,
    pub(super) before: Option<StartFailure>,
}

impl Start {
    pub(super) async fn run(self) -> Result<(), StartFailure> {
        let Some(of) = spec::container(&self.pod, &self.name) else { return Ok(()) };
        let image = match self.ending.clone().run_until_cancelled(image_pull::ensure(&self, of)).await {
            Some(image) => image?,
            None => return Ok(()),
        };
        let config = self
            .configure(of, &image)
            .await
            .map_err(|why| self.failed("CreateContainerConfigError", why, Duration::from_secs(10)))?;
        if self.ending.is_cancelled() {
            return Ok(());
        }
        let runtime = &self.node.runtime;
        let id = runtime
            .create_container(&self.sandbox.id, config)
            .await
            .map_err(|e| self.failed("CreateContainerError", e.to_string(), backoff::INITIAL))?;
        self.event(Severity::Normal, "Created", "Container created".into());
        runtime
            .start_container(&id)
            .await
            .map_err(|e| self.failed("RunContainerError", e.to_string(), backoff::INITIAL))?;
        self.event(Severity::Normal, "Started", "Container started".into());
        self.post_start(of, &id).await
    }

    async fn post_start(&self, of: spec::ContainerSpec<'_>, id: &str) -> Result<(), StartFailure> {
        let Some(hook) = of.container.lifecycle.as_ref().and_then(|l| l.post_start.as_ref()) else { return Ok(()) };
        let ip = self.sandbox.ips.first().copied();
        let done = match resolve_lifecycle(hook, of.container, id, ip) {
            Ok(check) => {
                self.ending.clone().run_until_cancelled(self.node.prober.check(&check)).await.unwrap_or(Ok(()))
            }
            Err(error) => Err(error),
        };
        let Err(error) = done else { return Ok(()) };
        self.event(Severity::Warning, "FailedPostStartHook", "PostStartHook failed".into());
        let stop = Stop {
            node: self.node.clone(),
            pod: self.pod.clone(),
            id: id.to_owned(),
            name: self.name.clone(),
            ip,
            grace: spec::grace(&self.pod),
            reason: super::KillReason::PodEnds,
            again: true,
        };
        stop.run().await;
        Err(self.quiet("PostStartHookError", error, Duration::ZERO))
    }

    async fn configure(&self, of: spec::ContainerSpec<'_>, image: &Image) -> Result<ContainerConfig, String> {
        let (node, pod, container) = (&self.node, &self.pod, of.container);
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        for followed in self.references.values() {
            followed.loaded().await;
        }
        let env = self.environment(container)?;
        let (command, args) = env::command_line(container, &env);
        let security = resources::security(pod, container);
        resources::check_non_root(pod, container, &security, image)?;
        let mut mounts = Vec::new();
        if node.materialize {
            mounts = volume::mounts(node, pod, container, &env).await.map_err(|e| e.to_string())?;
            files::write_hosts(node, pod, &self.sandbox).await.map_err(|e| e.to_string())?;
            mounts.extend(files::mounts(node, pod, container, self.attempt).await.map_err(|e| e.to_string())?);
        }
        if node.materialize {
            let logs = node.log_dir(uid).join(&container.name);
            tokio::fs::create_dir_all(&logs).await.map_err(|e| format!("{}: {e}", logs.display()))?;
        }
        Ok(ContainerConfig {
            name: container.name.clone(),
            attempt: self.attempt,
            image: of.image().to_owned(),
            command,
            args,
            working_dir: container.working_dir.clone().unwrap_or_default(),
            env: with_hostname(pod, &node.name, env),
            mounts,
            log_path: PathBuf::from(&container.name).join(format!("{}.log", self.attempt)),
            stdin: container.stdin == Some(true),
            stdin_once: container.stdin_once == Some(true),
            tty: container.tty == Some(true),
            resources: resources::of_container(pod, container, &node.allocatable),
            security,
            stop_signal: container.lifecycle.as_ref().and_then(|l| l.stop_signal.clone()),
            labels: labels(pod, Some(&container.name)),
            annotations: BTreeMap::new(),
        })
    }

    /// Simulated containers have no environment, so what it would be made of is not read.
    fn environment(&self, container: &Container) -> Result<Vec<(String, String)>, String> {
        if !self.node.materialize {
            return Ok(Vec::new());
        }
        let facts = facts(&self.node, &self.pod, &self.sandbox);
        let services = services(&self.node, &self.pod);
        env::environment(&self.pod, container, &facts, &services, &*self.references).map_err(|e| e.0)
    }

    /// A failure that an event tells of.
    pub(crate) fn failed(&self, reason: &str, message: String, first: Duration) -> StartFailure {
        self.event(Severity::Warning, "Failed", format!("Error: {message}"));
        self.quiet(reason, message, first)
    }

    pub(crate) fn quiet(&self, reason: &str, message: String, first: Duration) -> StartFailure {
        let now = self.node.ambient.clock.now();
        let delay = match &self.before {
            Some(before) if before.reason == reason => (before.delay * 2).min(backoff::MAX),
            _ => first,
        };
        let delay = if reason == "CreateContainerConfigError" { first } else { delay };
        StartFailure {
            reason: reason.to_owned(),
            message,
            waiting: None,
            since: now,
            retry_at: later(now, delay),
            delay,
        }
    }

    pub(crate) fn event(&self, severity: Severity, reason: &'static str, message: String) {
        self.node.event(&self.pod, Some(&self.name), severity, reason, message);
    }
}

/// What fields of the pod need to know.
fn facts(node: &Node, pod: &Pod, sandbox: &Sandbox) -> Facts {
    let pod_ips = if spec::host_network(pod) { node.host_ips.clone() } else { sandbox.ips.clone() };
    Facts { pod_ips, host_ips: node.host_ips.clone(), allocatable: node.allocatable.clone() }
}

/// Variables of the services that the pod may see: those of its namespace, and always `kubernetes`.
fn services(node: &Node, pod: &Pod) -> Vec<(String, String)> {
    let Some(informer) = &node.services else { return Vec::new() };
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let links = pod.spec.as_ref().and_then(|s| s.enable_service_links).unwrap_or(true);
    let mut found: Vec<_> = informer.get(&Key::new("default", "kubernetes")).into_iter().collect();
    if links {
        found.extend(informer.list(namespace));
    }
    found.iter().filter_map(|s| s.parse().ok()).flat_map(|s| env::services::variables(&s)).collect()
}

/// `HOSTNAME` is what runtimes set beside what the pod asks for.
fn with_hostname(pod: &Pod, node: &str, mut env: Vec<(String, String)>) -> Vec<(String, String)> {
    if !env.iter().any(|(name, _)| name == "HOSTNAME") {
        env.insert(0, ("HOSTNAME".into(), files::hostname(pod, node)));
    }
    env
}

fn labels(pod: &Pod, container: Option<&str>) -> BTreeMap<String, String> {
    let meta = &pod.metadata;
    let of = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut labels = meta.labels.clone().filter(|_| container.is_none()).unwrap_or_default();
    labels.insert("io.kubernetes.pod.name".into(), of(&meta.name));
    labels.insert("io.kubernetes.pod.namespace".into(), of(&meta.namespace));
    labels.insert("io.kubernetes.pod.uid".into(), of(&meta.uid));
    if let Some(container) = container {
        labels.insert("io.kubernetes.container.name".into(), container.to_owned());
    }
    labels
}

fn host_ports(pod: &Pod) -> Vec<HostPort> {
    let number = |port: i32| u16::try_from(port).ok().filter(|p| *p > 0);
    spec::containers(pod)
        .flat_map(|c| c.container.ports.iter().flatten())
        .filter_map(|port| {
            Some(HostPort {
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()),
                container_port: number(port.container_port)?,
                host_port: number(port.host_port?)?,
                host_ip: port.host_ip.as_ref().and_then(|ip| ip.parse().ok()),
            })
        })
        .collect()
}
