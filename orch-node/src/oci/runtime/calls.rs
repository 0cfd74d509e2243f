//! What the node agent asks of the runtime.

use super::{
    super::{
        attach, capabilities,
        cgroup::Cgroup,
        create::Maker,
        exec, forward,
        pod::Pod,
        protocol::Request,
        seccomp,
        state::{SandboxRecord, failed, image_error},
    },
    OciRuntime, blocking, discard,
};
use crate::image::{ImageRecord, TOOLBOX_IMAGE, normalize};
use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use orch_runtime::node::container::{
    Ability, AttachRequest, ByteStream, ContainerConfig, ContainerRuntime, ContainerState, ExecRequest, ExecSession,
    Image, RegistryAuth, RuntimeError, RuntimeEvent, RuntimeInfo, Sandbox, SandboxConfig, Stats,
};
use std::{
    fs::{self, File},
    os::fd::AsFd,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::sync::broadcast;

#[async_trait]
impl ContainerRuntime for OciRuntime {
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        let mut limitations = Vec::new();
        let mut say = |is_so: bool, text: &str| {
            if is_so {
                limitations.push(text.to_owned());
            }
        };
        say(
            !seccomp::AVAILABLE,
            "System calls are not filtered: RuntimeDefault seccomp profiles are not applied, others are refused.",
        );
        say(
            seccomp::AVAILABLE,
            "The RuntimeDefault seccomp profile blocks a list of dangerous system calls and allows the rest.",
        );
        say(
            !capabilities::may_raise_limits(capabilities::ours()),
            "OOM scores cannot be lowered below the agent's: CAP_SYS_RESOURCE is missing.",
        );
        say(!self.inner.overlay, "Each container has a full copy of its image: overlayfs is missing.");
        for (controller, what) in [("memory", "Memory"), ("cpu", "CPU time"), ("pids", "The number of processes")] {
            say(!self.inner.hierarchies.has(controller), &format!("{what} is not limited: no {controller} cgroup."));
        }
        say(
            self.inner.hierarchies.v1("devices").is_none(),
            "Access to devices is not filtered; containers cannot make device nodes instead.",
        );
        let lacks = if self.inner.hierarchies.has("memory") { Vec::new() } else { vec![Ability::Limits] };
        say(true, "User namespaces and SELinux or AppArmor profiles are not used.");
        Ok(RuntimeInfo { name: "orch-oci".into(), version: env!("CARGO_PKG_VERSION").into(), limitations, lacks })
    }

    async fn run_sandbox(&self, config: SandboxConfig) -> Result<String, RuntimeError> {
        let attempt = (config.uid.clone(), config.attempt);
        if let Some(known) = self.inner.attempts.get(&attempt) {
            return Ok(known.clone());
        }
        let record = SandboxRecord {
            id: self.new_id(),
            created_at: self.now(),
            pid: 0,
            ips: Vec::new(),
            stopped: false,
            cgroup_root: self.inner.options.cgroup_root.clone(),
            config,
        };
        let id = record.id.clone();
        let dir = self.inner.layout.sandbox(&id);
        let pod = Arc::new(Pod::new(dir.clone(), record.clone()));
        let this = self.clone();
        let made = async {
            let pid = blocking(move || this.make_sandbox(&dir, &record)).await?;
            let netns = PathBuf::from(format!("/proc/{pid}/ns/net"));
            let config = pod.record().config;
            let ips = match config.host_network {
                true => Vec::new(),
                false => self.inner.options.network.attach(&netns, &config).await?,
            };
            pod.update(|record| (record.pid, record.ips) = (pid, ips))?;
            self.watch(pod.clone())
        };
        if let Err(error) = made.await {
            let _ = pod.ask(&Request::Stop, &[]).await;
            let _ = self.detach(&pod).await;
            self.clean_up(&pod);
            let _ = discard(&pod.dir);
            return Err(error);
        }
        self.inner.pods.insert(id.clone(), pod);
        self.inner.attempts.insert(attempt, id.clone());
        Ok(id)
    }

    async fn stop_sandbox(&self, sandbox: &str) -> Result<(), RuntimeError> {
        let Ok(pod) = self.pod(sandbox) else { return Ok(()) };
        let _one = pod.changing.lock().await;
        if pod.record().stopped {
            return Ok(());
        }
        self.detach(&pod).await?;
        // Whether it answers or is gone: afterwards nothing may run.
        let _ = pod.ask(&Request::Stop, &[]).await;
        let (this, stopped) = (self.clone(), pod.clone());
        blocking(move || {
            stopped.lost(&this.inner.hierarchies, this.now()).map_err(failed)?;
            this.clean_up(&stopped);
            stopped.update(|record| record.stopped = true)
        })
        .await?;
        let config = pod.record().config;
        self.inner.attempts.remove(&(config.uid, config.attempt));
        pod.changed(&self.inner.events);
        Ok(())
    }

    async fn remove_sandbox(&self, sandbox: &str) -> Result<(), RuntimeError> {
        let Ok(pod) = self.pod(sandbox) else { return Ok(()) };
        self.stop_sandbox(sandbox).await?;
        let _one = pod.changing.lock().await;
        let (this, removed) = (self.clone(), pod.clone());
        blocking(move || {
            this.clean_up(&removed);
            discard(&removed.dir)
        })
        .await?;
        for id in pod.container_ids() {
            self.inner.homes.remove(&id);
        }
        self.inner.pods.remove(sandbox);
        pod.changed(&self.inner.events);
        Ok(())
    }

    async fn create_container(&self, sandbox: &str, config: ContainerConfig) -> Result<String, RuntimeError> {
        let pod = self.pod(sandbox)?;
        let _one = pod.changing.lock().await;
        if let Some(known) = pod.attempt(&config.name, config.attempt) {
            return Ok(known);
        }
        let id = self.new_id();
        let (this, home, name) = (self.clone(), pod.clone(), id.clone());
        let record = blocking(move || {
            let (inner, now) = (&this.inner, this.now());
            let image = inner.images.store.find(&config.image).map_err(|error| image_error(&config.image, error))?;
            let image = image.ok_or_else(|| RuntimeError::NotFound(format!("image {:?}", config.image)))?;
            let (store, hierarchies, overlay) = (&*inner.images.store, &inner.hierarchies, inner.overlay);
            Maker { store, hierarchies, overlay, now }.make(&home, name, config, &image)
        })
        .await?;
        pod.add(record);
        self.inner.homes.insert(id.clone(), sandbox.to_owned());
        pod.changed(&self.inner.events);
        Ok(id)
    }

    async fn start_container(&self, container: &str) -> Result<(), RuntimeError> {
        let pod = self.home(container)?;
        let _one = pod.changing.lock().await;
        match pod.state(container)? {
            ContainerState::Created => {}
            ContainerState::Running { .. } => return Ok(()),
            ContainerState::Exited { .. } => return Err(RuntimeError::Start("the container ran already".into())),
        }
        let mounts = File::open("/proc/self/ns/mnt").map_err(failed)?;
        let request = Request::Start { container: container.to_owned() };
        pod.ask(&request, &[mounts.as_fd()]).await.map_err(|error| RuntimeError::Start(error.to_string()))
    }

    async fn stop_container(&self, container: &str, grace: Duration) -> Result<(), RuntimeError> {
        let Ok(pod) = self.home(container) else { return Ok(()) };
        let record = pod.container(container)?;
        let signal = |signal| Request::Signal { container: container.to_owned(), signal };
        if !matches!(pod.state(container)?, ContainerState::Running { .. }) {
            return Ok(());
        }
        if !grace.is_zero() {
            // A shim that is gone has nothing running; `ended` hears of it.
            let _ = pod.ask(&signal(record.stop_signal), &[]).await;
            if let Ok(result) = tokio::time::timeout(grace, pod.ended(container)).await {
                return result;
            }
        }
        let _ = pod.ask(&signal(nix::libc::SIGKILL), &[]).await;
        pod.ended(container).await
    }

    async fn remove_container(&self, container: &str) -> Result<(), RuntimeError> {
        let Ok(pod) = self.home(container) else { return Ok(()) };
        self.stop_container(container, Duration::ZERO).await?;
        let _one = pod.changing.lock().await;
        let (this, home, id) = (self.clone(), pod.clone(), container.to_owned());
        blocking(move || {
            let (record, dir) = (home.container(&id)?, home.dir.container(&id));
            let cgroup = Cgroup::new(&this.inner.hierarchies, &home.record().container_cgroup(&id));
            cgroup.remove().map_err(failed)?;
            if !record.log_path.as_os_str().is_empty() {
                let _ = fs::remove_file(&record.log_path);
            }
            let _ = fs::remove_dir_all(home.dir.engine().join(&id));
            // The record goes first: a crash in between leaves a directory that is no container.
            let _ = fs::remove_file(dir.record());
            fs::remove_dir_all(&dir.0).map_err(failed)
        })
        .await?;
        pod.forget(container);
        self.inner.homes.remove(container);
        pod.changed(&self.inner.events);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Sandbox>, RuntimeError> {
        let pods: Vec<_> = self.inner.pods.iter().map(|pod| pod.clone()).collect();
        pods.iter().map(|pod| pod.view()).collect()
    }

    async fn sandbox(&self, sandbox: &str) -> Result<Sandbox, RuntimeError> {
        self.pod(sandbox)?.view()
    }

    async fn exec(&self, container: &str, request: ExecRequest) -> Result<ExecSession, RuntimeError> {
        let pod = self.home(container)?;
        if !matches!(pod.state(container)?, ContainerState::Running { .. }) {
            return Err(failed(format!("container {container} is not running")));
        }
        exec::run(&pod.dir, container, request, &self.inner.options.ambient.tasks).await
    }

    async fn attach(&self, container: &str, request: AttachRequest) -> Result<ExecSession, RuntimeError> {
        let pod = self.home(container)?;
        let record = pod.container(container)?;
        attach::run(&pod.dir, &record, request, &self.inner.options.ambient.tasks).await
    }

    async fn port_forward(&self, sandbox: &str, port: u16) -> Result<Box<dyn ByteStream>, RuntimeError> {
        let pod = self.pod(sandbox)?;
        let netns = (!pod.record().config.host_network).then(|| pod.netns());
        Ok(Box::new(forward::connect(netns, sandbox, port).await?))
    }

    async fn reopen_log(&self, container: &str) -> Result<(), RuntimeError> {
        let request = Request::ReopenLog { container: container.to_owned() };
        self.home(container)?.ask(&request, &[]).await.map_err(failed)
    }

    async fn stats(&self, container: &str) -> Result<Stats, RuntimeError> {
        let pod = self.home(container)?;
        Ok(Cgroup::new(&self.inner.hierarchies, &pod.record().container_cgroup(container)).stats())
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        let receiver = self.inner.events.subscribe();
        futures::stream::unfold(receiver, |mut receiver| async move {
            loop {
                match receiver.recv().await {
                    Ok(event) => return Some((event, receiver)),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        })
        .boxed()
    }

    async fn pull_image(&self, reference: &str, auth: Option<RegistryAuth>) -> Result<Image, RuntimeError> {
        // The built-in image is in no registry.
        if normalize(reference).is_ok_and(|name| name == TOOLBOX_IMAGE)
            && let Some(present) = self.image(reference).await?
        {
            return Ok(present);
        }
        let progress = |done, total| tracing::debug!(reference, done, total, "pulling layers");
        let pulled = self.inner.images.puller.pull(reference, auth, progress).await;
        pulled.map(image).map_err(|error| image_error(reference, error))
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, RuntimeError> {
        let (store, name) = (self.inner.images.store.clone(), reference.to_owned());
        blocking(move || Ok(store.find(&name).map_err(|error| image_error(&name, error))?.map(image))).await
    }

    async fn images(&self) -> Result<Vec<Image>, RuntimeError> {
        let store = self.inner.images.store.clone();
        blocking(move || Ok(store.list().map_err(failed)?.into_iter().map(image).collect())).await
    }

    async fn remove_image(&self, reference: &str) -> Result<(), RuntimeError> {
        let (images, name) = (self.inner.images.clone(), reference.to_owned());
        blocking(move || images.store.remove(&name, &images.in_use()).map_err(|error| image_error(&name, error))).await
    }
}

fn image(record: ImageRecord) -> Image {
    Image {
        size_bytes: record.size_bytes(),
        user: record.config.config.user,
        id: record.id,
        tags: record.tags,
        digests: record.digests,
    }
}
