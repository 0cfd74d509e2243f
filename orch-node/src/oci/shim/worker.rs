//! What happens in a forked worker: mounts, then the container engine.

use super::{
    super::{
        cgroup::{Cgroup, Hierarchies},
        fds,
        state::{ContainerDir, ContainerRecord, RootSource, SandboxDir, SandboxRecord, named, read_json},
    },
    executor::Exec,
    fork,
    trace::Complaints,
};
use libcontainer::{container::builder::ContainerBuilder, syscall::syscall::SyscallType};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
    sys::socket::{AddressFamily, SockFlag, SockType, socketpair},
    unistd::Pid,
};
use oci_spec::runtime::Spec;
use orch_runtime::node::container::{Mount, Propagation};
use rustix::{
    fs::CWD,
    mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree},
};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::{
            fs::{PermissionsExt, chown},
            net::UnixListener,
        },
    },
    path::{Component, Path, PathBuf},
};

/// A worker, seen from the shim.
pub(super) struct Worker {
    /// One message comes out of it: an [`Outcome`], with the terminal beside it if there is one.
    pub(super) result: OwnedFd,
}

/// How a worker's work ended.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// Running, as this process.
    Running(i32),
    /// Not.
    Failed(String),
}

/// What all workers need.
pub(super) struct Context<'a> {
    pub(super) dir: &'a SandboxDir,
    pub(super) record: &'a SandboxRecord,
    pub(super) hierarchies: &'a Hierarchies,
    pub(super) container: &'a ContainerRecord,
    /// The agent's mount namespace.
    pub(super) mounts: Option<OwnedFd>,
    /// Standard input, output, error.
    pub(super) stdio: Vec<OwnedFd>,
    pub(super) tty: bool,
}

/// Starts a container in a worker.
pub(super) fn start(context: Context<'_>) -> io::Result<Worker> {
    spawn(context, run_container)
}

/// Runs a command in a container, in a worker.
pub(super) fn exec(context: Context<'_>, command: Vec<String>) -> io::Result<Worker> {
    spawn(context, move |context| run_command(context, command))
}

fn spawn(
    context: Context<'_>,
    work: impl FnOnce(Context<'_>) -> Result<(Pid, Option<OwnedFd>), String>,
) -> io::Result<Worker> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    fork::child(|| {
        let mut complaints = Complaints::collect().ok();
        let result = fork::reset_signals().map_err(|error| error.to_string()).and_then(|()| work(context));
        let result = result.map_err(|why| match complaints.as_mut().and_then(Complaints::first) {
            Some(cause) if !why.starts_with("exec: ") => format!("{why}: {cause}"),
            _ => why,
        });
        let (outcome, terminal) = match result {
            Ok((pid, terminal)) => (Outcome::Running(pid.as_raw()), terminal),
            Err(mut why) => {
                why.truncate(16 << 10);
                (Outcome::Failed(why), None)
            }
        };
        let message = serde_json::to_vec(&outcome).unwrap_or_default();
        let terminal: Vec<_> = terminal.iter().map(AsFd::as_fd).collect();
        i32::from(fds::send(theirs.as_fd(), &message, &terminal).is_err())
    })?;
    Ok(Worker { result: ours })
}

fn run_container(context: Context<'_>) -> Result<(Pid, Option<OwnedFd>), String> {
    let container = context.dir.container(&context.container.id);
    let shared = prepare(&context).map_err(|error| error.to_string())?;
    attach_shared(&container, shared).map_err(|error| error.to_string())?;
    mount_root(&container, &context.container.root).map_err(|error| format!("failed to mount rootfs: {error}"))?;
    make_cwd(&container).map_err(|error| error.to_string())?;
    let console = Console::listen(&context)?;
    let mut container = builder(&context, console.as_ref())?
        .as_init(container.bundle())
        .with_systemd(false)
        .with_detach(true)
        .build()
        .map_err(|error| explain(&error))?;
    let terminal = console.map(Console::terminal).transpose()?;
    let pid = container.pid().ok_or("the container has no process")?;
    container.start().map_err(|error| explain(&error))?;
    Ok((Pid::from_raw(pid.as_raw()), terminal))
}

fn run_command(context: Context<'_>, command: Vec<String>) -> Result<(Pid, Option<OwnedFd>), String> {
    let dir = context.dir.container(&context.container.id);
    prepare(&context).map_err(|error| error.to_string())?;
    let spec = Spec::load(dir.bundle().join("config.json")).map_err(|error| error.to_string())?;
    let mut process = spec.process().clone().ok_or("the container has no process")?;
    process.set_args(Some(command));
    process.set_terminal(Some(context.tty));
    let mut env = process.env().clone().unwrap_or_default();
    if context.tty && !env.iter().any(|entry| entry.starts_with("TERM=")) {
        env.push("TERM=xterm".into());
    }
    process.set_env(Some(env));
    let file = context.dir.0.join(format!("exec-{}.json", std::process::id()));
    let json = serde_json::to_vec(&process).map_err(|error| error.to_string())?;
    fs::write(&file, json).map_err(|error| named(&file, error).to_string())?;
    let console = Console::listen(&context)?;
    let pid = builder(&context, console.as_ref())?
        .as_tenant()
        .with_process(Some(&file))
        .with_detach(true)
        .build()
        .map_err(|error| explain(&error));
    let _ = fs::remove_file(&file);
    let pid = pid?;
    Ok((pid, console.map(Console::terminal).transpose()?))
}

/// What both need: the agent's mounts, mounts of our own that nobody else sees, and the cgroup.
/// Returns the volumes that stay shared with the node, in order, as mounts that are nowhere yet.
fn prepare(context: &Context<'_>) -> io::Result<Vec<OwnedFd>> {
    if let Some(mounts) = &context.mounts {
        setns(mounts, CloneFlags::CLONE_NEWNS)?;
    }
    unshare(CloneFlags::CLONE_NEWNS)?;
    // From here on mounts do not reach the node, except through copies of shared ones made before.
    let shared = context.container.config.mounts.iter().filter(|mount| mount.propagation == Propagation::Bidirectional);
    let copy = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let shared = shared
        .map(|mount| open_tree(CWD, &mount.host_path, copy).map_err(|errno| named(&mount.host_path, errno.into())))
        .collect::<io::Result<Vec<_>>>()?;
    let none: Option<&str> = None;
    // The container engine leaves the propagation of bind mounts as it finds it, so it is decided here for
    // all: later mounts of the node arrive if any volume wants them.
    let is_private = |mount: &Mount| mount.propagation == Propagation::Private;
    let how =
        if context.container.config.mounts.iter().all(is_private) { MsFlags::MS_PRIVATE } else { MsFlags::MS_SLAVE };
    mount(none, "/", none, MsFlags::MS_REC | how, none)?;
    std::env::set_current_dir(&context.dir.0)?;
    let cgroup = Cgroup::new(context.hierarchies, &context.record.container_cgroup(&context.container.id));
    cgroup.join_nameless(std::process::id())?;
    Ok(shared)
}

/// Puts volumes that stay shared to where the specification says that they are.
fn attach_shared(container: &ContainerDir, shared: Vec<OwnedFd>) -> io::Result<()> {
    for (at, volume) in shared.into_iter().enumerate() {
        let path = container.shared(at);
        // A volume may be a file.
        let is_dir = fs::metadata(format!("/proc/self/fd/{}", volume.as_raw_fd()))?.is_dir();
        if is_dir {
            fs::create_dir_all(&path)?
        } else {
            drop(fs::File::create(&path)?)
        };
        move_mount(volume, "", CWD, &path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    }
    Ok(())
}

/// Mounts the container's root file system in this process's mount namespace: it vanishes with the
/// container, whatever happens to us.
fn mount_root(container: &ContainerDir, source: &RootSource) -> io::Result<()> {
    let RootSource::Overlay { layers, lower } = source else { return Ok(()) };
    let names: Vec<_> = lower.iter().map(|dir| dir.to_string_lossy()).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        names.join(":"),
        container.upper().display(),
        container.work().display()
    );
    let back = std::env::current_dir()?;
    // Relative names keep the options of many layers within a page.
    std::env::set_current_dir(layers)?;
    let result = mount(Some("overlay"), &container.root(), Some("overlay"), MsFlags::empty(), Some(options.as_str()));
    std::env::set_current_dir(back)?;
    Ok(result?)
}

/// Makes the working directory if the image has none, as other runtimes do. Links are not followed.
fn make_cwd(container: &ContainerDir) -> io::Result<()> {
    let spec = Spec::load(container.bundle().join("config.json")).map_err(io::Error::other)?;
    let Some(process) = spec.process() else { return Ok(()) };
    let mut path = container.root();
    for part in process.cwd().components().filter(|part| matches!(part, Component::Normal(_))) {
        path.push(part);
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => break,
            Err(_) => {
                fs::create_dir(&path)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
                chown(&path, Some(process.user().uid()), Some(process.user().gid()))?;
            }
        }
    }
    Ok(())
}

fn builder(context: &Context<'_>, console: Option<&Console>) -> Result<ContainerBuilder, String> {
    let mut builder = ContainerBuilder::new(context.container.id.clone(), SyscallType::default())
        .with_root_path(context.dir.engine())
        .map_err(|error| explain(&error))?
        .with_executor(Exec)
        .with_console_socket(console.map(|console| &console.path));
    let mut stdio = context.stdio.iter().map(|fd| fd.try_clone().map_err(|error| error.to_string()));
    if let (Some(stdin), Some(stdout), Some(stderr)) = (stdio.next(), stdio.next(), stdio.next()) {
        builder = builder.with_stdin(stdin?).with_stdout(stdout?).with_stderr(stderr?);
    }
    Ok(builder)
}

/// Where the container engine sends the terminal to.
struct Console {
    path: PathBuf,
    listener: UnixListener,
}

impl Console {
    /// `None` when no terminal is wanted.
    fn listen(context: &Context<'_>) -> Result<Option<Self>, String> {
        if !context.tty {
            return Ok(None);
        }
        // We are in the sandbox's directory, so the name may be relative.
        let name = format!("console-{}.sock", std::process::id());
        let listener = UnixListener::bind(&name).map_err(|error| format!("{name}: {error}"))?;
        Ok(Some(Self { path: context.dir.0.join(name), listener }))
    }

    fn terminal(self) -> Result<OwnedFd, String> {
        let _ = fs::remove_file(&self.path);
        let (stream, _) = self.listener.accept().map_err(|error| error.to_string())?;
        let mut name = [0; 256];
        let (_, fds) = fds::receive(stream.as_fd(), &mut name).map_err(|error| error.to_string())?;
        fds.into_iter().next().ok_or_else(|| "no terminal came".to_owned())
    }
}

/// An error's causes on one line; runc's words alone where a program cannot be started.
fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    match text.find("exec: \"") {
        Some(at) => text.split_off(at),
        None => text,
    }
}

/// Reads what the agent wrote about a container.
pub(super) fn load(dir: &SandboxDir, id: &str) -> io::Result<ContainerRecord> {
    let is_name = Path::new(id).components().count() == 1 && !id.starts_with('.');
    if !is_name {
        return Err(io::Error::other(format!("bad container id {id:?}")));
    }
    read_json(&dir.container(id).record())
}
