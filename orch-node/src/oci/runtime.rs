use super::{
    attach, capabilities,
    cgroup::{Cgroup, Hierarchies},
    create::Maker,
    exec, forward,
    pod::{Pod, unmount},
    protocol::Request,
    seccomp,
    state::{Layout, SandboxDir, SandboxRecord, failed, image_error, write_json},
};
use crate::{
    image::{
        ImageRecord, ImageStore, Puller, Registries, TOOLBOX_IMAGE, build_toolbox, normalize, remove_old_toolboxes,
    },
    net::PodNetwork,
};
use async_trait::async_trait;
use dashmap::DashMap;
use futures::{StreamExt, stream::BoxStream};
use nix::mount::{MsFlags, mount};
use orch_runtime::node::container::{
    Ability, AttachRequest, ByteStream, ContainerConfig, ContainerRuntime, ContainerState, ExecRequest, ExecSession,
    Image, RegistryAuth, RuntimeError, RuntimeEvent, RuntimeInfo, Sandbox, SandboxConfig, Stats,
};
use orch_store::ambient::Ambient;
use parking_lot::Mutex;
use std::{
    collections::HashSet,
    fs::{self, File},
    os::fd::AsFd,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::broadcast;

/// How to set an [`OciRuntime`] up.
#[derive(Clone)]
pub struct RuntimeOptions {
    /// Where images, sandboxes and containers are kept. No `:` and no `,`, for overlayfs.
    pub state_dir: PathBuf,
    /// Program and arguments that end up in [`super::shim_main`]; a sandbox's directory is appended.
    pub shim_command: Vec<String>,
    /// The root of all pods' cgroups: nodes that share a machine need one each. Empty for the top.
    pub cgroup_root: String,
    /// How to speak to registries.
    pub registries: Registries,
    /// The pods' network.
    pub network: Arc<dyn PodNetwork>,
    /// Make [`crate::image::TOOLBOX_IMAGE`] from this executable.
    pub toolbox: Option<PathBuf>,
    /// Time, chance and tasks. Stopping the tasks stops no container.
    pub ambient: Ambient,
}

/// Runs containers with the kernel's own means. Needs root.
#[derive(Clone)]
pub struct OciRuntime {
    inner: Arc<Inner>,
}

struct Inner {
    options: RuntimeOptions,
    layout: Layout,
    images: Arc<Images>,
    hierarchies: Hierarchies,
    overlay: bool,
    pods: DashMap<String, Arc<Pod>>,
    /// Container to sandbox.
    homes: DashMap<String, String>,
    /// Pod UID and attempt to the sandbox that is not stopped.
    attempts: DashMap<(String, u32), String>,
    events: broadcast::Sender<RuntimeEvent>,
}

impl OciRuntime {
    /// Opens the state directory and adopts what runs. Must be called inside a tokio runtime.
    pub async fn open(options: RuntimeOptions) -> Result<Self, RuntimeError> {
        let runtime = blocking(move || Self::prepare(options, None)).await?;
        runtime.adopt_all().await?;
        runtime.remove_old_toolboxes().await?;
        Ok(runtime)
    }

    /// Opens the runtimes of several nodes of this machine: the first of the options, and one for each further state directory
    /// and root of cgroups. All share the images of the first.
    pub async fn open_all(options: RuntimeOptions, further: Vec<(PathBuf, String)>) -> Result<Vec<Self>, RuntimeError> {
        let runtimes = blocking(move || {
            let first = Self::prepare(options, None)?;
            let mut all = vec![first.clone()];
            for (state_dir, cgroup_root) in further {
                let options = RuntimeOptions { state_dir, cgroup_root, ..first.inner.options.clone() };
                all.push(Self::prepare(options, Some(first.inner.images.clone()))?);
            }
            Ok(all)
        })
        .await?;
        for runtime in &runtimes {
            runtime.adopt_all().await?;
        }
        // Not before it is known which images are used.
        if let Some(first) = runtimes.first() {
            first.remove_old_toolboxes().await?;
        }
        Ok(runtimes)
    }

    /// The images.
    pub fn images_store(&self) -> Arc<ImageStore> {
        self.inner.images.store.clone()
    }

    fn prepare(mut options: RuntimeOptions, images: Option<Arc<Images>>) -> Result<Self, RuntimeError> {
        if !nix::unistd::geteuid().is_root() {
            return Err(RuntimeError::Unsupported("containers without root".into()));
        }
        fs::create_dir_all(&options.state_dir).map_err(failed)?;
        options.state_dir = fs::canonicalize(&options.state_dir).map_err(failed)?;
        if options.state_dir.to_string_lossy().contains([':', ',']) {
            return Err(failed(format!("{}: overlayfs takes no ':' or ',' in paths", options.state_dir.display())));
        }
        let layout = Layout::new(options.state_dir.clone());
        fs::create_dir_all(layout.sandboxes()).map_err(failed)?;
        let images = match images {
            Some(images) => images,
            None => Arc::new(Images::open(&layout, &options)?),
        };
        let inner = Inner {
            hierarchies: Hierarchies::detect().map_err(failed)?,
            overlay: fs::read_to_string("/proc/filesystems").is_ok_and(|list| list.contains("\toverlay\n")),
            pods: DashMap::new(),
            homes: DashMap::new(),
            attempts: DashMap::new(),
            events: broadcast::Sender::new(1024),
            options,
            layout,
            images,
        };
        let inner = Arc::new(inner);
        inner.images.users.lock().push(Arc::downgrade(&inner));
        Ok(Self { inner })
    }

    /// Takes over what earlier agents left.
    async fn adopt_all(&self) -> Result<(), RuntimeError> {
        let dirs = fs::read_dir(self.inner.layout.sandboxes()).map_err(failed)?;
        for entry in dirs.flatten() {
            self.adopt(self.inner.layout.sandbox(&entry.file_name().to_string_lossy())).await?;
        }
        Ok(())
    }

    async fn remove_old_toolboxes(&self) -> Result<(), RuntimeError> {
        let images = self.inner.images.clone();
        blocking(move || remove_old_toolboxes(&images.store, &images.in_use()).map_err(failed)).await
    }

    /// Takes over a sandbox of an earlier agent.
    async fn adopt(&self, dir: SandboxDir) -> Result<(), RuntimeError> {
        if !dir.record().exists() {
            return discard(&dir);
        }
        let pod = Pod::load(dir).map_err(failed)?;
        let record = pod.record();
        if record.pid == 0 {
            // Half made: nobody was told of it.
            let _ = pod.ask(&Request::Stop, &[]).await;
            self.detach(&pod).await?;
            pod.lost(&self.inner.hierarchies, self.now()).map_err(failed)?;
            self.clean_up(&pod);
            return discard(&pod.dir);
        }
        let pod = Arc::new(pod);
        for id in pod.container_ids() {
            self.inner.homes.insert(id, record.id.clone());
        }
        self.inner.pods.insert(record.id.clone(), pod.clone());
        if record.stopped {
            return Ok(());
        }
        self.inner.attempts.insert((record.config.uid, record.config.attempt), record.id);
        self.watch(pod)
    }

    /// Follows a sandbox's shim until it is gone.
    fn watch(&self, pod: Arc<Pod>) -> Result<(), RuntimeError> {
        let Some(shim) = pod.listen() else {
            return pod.lost(&self.inner.hierarchies, self.now()).map_err(failed);
        };
        let (inner, clock) = (self.inner.clone(), self.inner.options.ambient.clock.clone());
        self.inner.options.ambient.tasks.spawn(async move {
            let mut shim = shim;
            loop {
                pod.follow(shim, inner.events.clone()).await;
                // It may have been the connection alone.
                match pod.listen() {
                    Some(again) => shim = again,
                    None => break,
                }
            }
            if let Err(error) = pod.lost(&inner.hierarchies, clock.now()) {
                tracing::error!(%error, "cannot write down the end of a sandbox's containers");
            }
            pod.changed(&inner.events);
        });
        Ok(())
    }

    fn now(&self) -> jiff::Timestamp {
        self.inner.options.ambient.clock.now()
    }

    fn new_id(&self) -> String {
        let mut bytes = [0; 16];
        self.inner.options.ambient.chance.fill(&mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn pod(&self, sandbox: &str) -> Result<Arc<Pod>, RuntimeError> {
        let found = self.inner.pods.get(sandbox).map(|pod| pod.clone());
        found.ok_or_else(|| RuntimeError::NotFound(format!("sandbox {sandbox:?}")))
    }

    fn home(&self, container: &str) -> Result<Arc<Pod>, RuntimeError> {
        let sandbox = self.inner.homes.get(container).map(|id| id.clone());
        self.pod(&sandbox.ok_or_else(|| RuntimeError::NotFound(format!("container {container:?}")))?)
    }

    /// Directory, files and shim of a new sandbox; returns the shim's process.
    fn make_sandbox(&self, dir: &SandboxDir, record: &SandboxRecord) -> Result<u32, RuntimeError> {
        fs::create_dir_all(dir.shm()).map_err(failed)?;
        fs::create_dir_all(dir.containers()).map_err(failed)?;
        fs::write(dir.resolv_conf(), &record.config.resolv_conf).map_err(failed)?;
        fs::write(dir.hostname(), format!("{}\n", record.config.hostname)).map_err(failed)?;
        if !record.config.log_directory.as_os_str().is_empty() {
            fs::create_dir_all(&record.config.log_directory).map_err(failed)?;
        }
        write_json(&dir.record(), record).map_err(failed)?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("shm"), &dir.shm(), Some("tmpfs"), flags, Some("mode=1777,size=65536k")).map_err(failed)?;
        let cgroup = Cgroup::new(&self.inner.hierarchies, &record.cgroup());
        let limited = cgroup.create().and_then(|()| cgroup.limit(&record.config.resources));
        limited.map_err(|error| failed(format!("cgroup of the pod: {error}")))?;
        self.start_shim(dir)
    }

    fn start_shim(&self, dir: &SandboxDir) -> Result<u32, RuntimeError> {
        let mut words = self.inner.options.shim_command.iter();
        let program = words.next().ok_or_else(|| failed("no shim command"))?;
        let output = Command::new(program)
            .args(words)
            .arg(&dir.0)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| failed(format!("{program}: {error}")))?;
        let answer = String::from_utf8_lossy(&output.stdout);
        match answer.trim().parse() {
            Ok(pid) if output.status.success() => Ok(pid),
            _ => Err(failed(format!("sandbox: {}", String::from_utf8_lossy(&output.stderr).trim()))),
        }
    }

    /// What is left outside of the directory is tried again when the sandbox is removed.
    fn clean_up(&self, pod: &Pod) {
        if let Err(error) = pod.clean_up(&self.inner.hierarchies) {
            tracing::warn!(%error, sandbox = pod.record().id, "sandbox left something behind");
        }
    }

    async fn detach(&self, pod: &Pod) -> Result<(), RuntimeError> {
        let record = pod.record();
        match record.config.host_network {
            true => Ok(()),
            false => self.inner.options.network.detach(&pod.netns(), &record.config).await,
        }
    }
}

/// The images of a machine, and the runtimes that share them.
struct Images {
    store: Arc<ImageStore>,
    puller: Puller,
    users: Mutex<Vec<Weak<Inner>>>,
}

impl Images {
    fn open(layout: &Layout, options: &RuntimeOptions) -> Result<Self, RuntimeError> {
        let store = Arc::new(ImageStore::open(layout.images()).map_err(failed)?);
        if let Some(executable) = &options.toolbox {
            build_toolbox(&store, executable).map_err(failed)?;
        }
        let puller = Puller::new(store.clone(), options.registries.clone());
        Ok(Self { store, puller, users: Mutex::default() })
    }

    /// The images of which any of the runtimes has containers.
    fn in_use(&self) -> HashSet<String> {
        let users: Vec<_> = self.users.lock().iter().filter_map(Weak::upgrade).collect();
        let images = |inner: &Arc<Inner>| inner.pods.iter().flat_map(|pod| pod.image_ids()).collect::<Vec<_>>();
        users.iter().flat_map(images).collect()
    }
}

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

/// Removes a sandbox's directory.
fn discard(dir: &SandboxDir) -> Result<(), RuntimeError> {
    unmount(dir).map_err(failed)?;
    // The record goes first: a crash in between leaves a directory that is no sandbox.
    let _ = fs::remove_file(dir.record());
    fs::remove_dir_all(&dir.0).map_err(failed)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RuntimeError> + Send + 'static,
) -> Result<T, RuntimeError> {
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}
