use super::{
    super::state::{SandboxDir, named},
    fork,
};
use nix::sched::{CloneFlags, unshare};
use orch_runtime::node::container::SandboxConfig;
use std::{fs, io, path::PathBuf};

/// Makes the sandbox's namespaces and moves into them.
pub(super) fn enter(config: &SandboxConfig, dir: &SandboxDir) -> io::Result<()> {
    if !config.host_network {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS)?;
        nix::unistd::sethostname(&config.hostname)?;
        fork::loopback_up()?;
        // As containerd 2 does: in a network of its own a pod may use every port and ping.
        let _ = sysctl("net.ipv4.ip_unprivileged_port_start", "0");
        let _ = sysctl("net.ipv4.ping_group_range", "0 2147483647");
    }
    if !config.host_ipc {
        unshare(CloneFlags::CLONE_NEWIPC)?;
    }
    for (name, value) in &config.sysctls {
        sysctl(name, value)?;
    }
    if config.share_processes && !config.host_pid {
        hold_processes(dir)?;
    }
    Ok(())
}

/// Writes a kernel parameter; those of networks and of IPC are the namespace's own.
fn sysctl(name: &str, value: &str) -> io::Result<()> {
    // A name with slashes may have dots within its parts.
    let path = if name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
    if path.split('/').any(|part| part == "..") {
        return Err(io::Error::other(format!("bad sysctl {name:?}")));
    }
    let path = PathBuf::from("/proc/sys").join(path.trim_start_matches('/'));
    fs::write(&path, value).map_err(|error| named(&path, error))
}

/// Starts the first process of a PID namespace that the pod's containers share.
fn hold_processes(dir: &SandboxDir) -> io::Result<()> {
    // unshare moves the children of the caller only, and of the caller for good: so a child calls it.
    let file = dir.pause_pid();
    fork::child(|| {
        let pause = || {
            unshare(CloneFlags::CLONE_NEWPID)?;
            let pid = fork::child(|| {
                let _ = fork::reap_nothing();
                close_all();
                loop {
                    nix::unistd::pause();
                }
            })?;
            fs::write(&file, pid.to_string())
        };
        i32::from(pause().is_err())
    })
    .and_then(|pid| nix::sys::wait::waitpid(pid, None))?;
    match file.exists() {
        true => Ok(()),
        false => Err(io::Error::other("cannot make a PID namespace")),
    }
}

/// Closes what was open in the shim: the end of a pipe must not be held up by a process that only waits.
fn close_all() {
    let open = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers: Vec<i32> = open.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for fd in numbers {
        let _ = nix::unistd::close(fd);
    }
}
