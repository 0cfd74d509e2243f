//! [`OciRuntime`]: sandboxes and containers of this machine, each sandbox under a shim of its own.

mod calls;

use super::{
    cgroup::{Cgroup, Hierarchies},
    pod::{Pod, unmount},
    protocol::Request,
    state::{Layout, SandboxDir, SandboxRecord, failed, write_json},
};
use crate::{
    image::{ImageStore, Puller, Registries, build_toolbox, remove_old_toolboxes},
    net::PodNetwork,
};
use dashmap::DashMap;
use nix::mount::{MsFlags, mount};
use orch_runtime::node::container::{RuntimeError, RuntimeEvent};
use orch_store::ambient::Ambient;
use parking_lot::Mutex;
use std::{
    collections::HashSet,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Weak},
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
