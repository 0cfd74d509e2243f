//! The OCI runtime specification of a container, from what the pod wants and the image says.

use super::{state::ContainerDir, user::Identity};
use orch_runtime::node::container::{ContainerConfig, Mount, Propagation, SandboxConfig};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What the specification is made from.
pub(super) struct Input<'a> {
    pub(super) sandbox: &'a SandboxConfig,
    pub(super) container: &'a ContainerConfig,
    pub(super) image: &'a crate::image::ImageConfig,
    pub(super) identity: &'a Identity,
    /// Names without `CAP_`.
    pub(super) capabilities: &'a [&'static str],
    pub(super) oom_score_adj: Option<i64>,
    pub(super) cgroup: &'a str,
    /// Whether the device controller is that of version 1, which the engine can set.
    pub(super) device_cgroup: bool,
    pub(super) is_unified: bool,
    pub(super) dir: &'a ContainerDir,
    /// Of a shared PID namespace.
    pub(super) pause_pid: Option<u32>,
    /// Files and directories of the sandbox that every container gets.
    pub(super) shm: &'a Path,
    pub(super) resolv_conf: &'a Path,
    pub(super) hostname: &'a Path,
    /// Device nodes of the machine, for privileged containers.
    pub(super) devices: Vec<Value>,
    pub(super) seccomp: Option<Value>,
}

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const MASKED: &[&str] = &[
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

const READ_ONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// `config.json`.
pub(super) fn spec(input: &Input<'_>) -> Result<Value, String> {
    let privileged = input.container.security.privileged;
    let args = args(input)?;
    Ok(json!({
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs", "readonly": input.container.security.read_only_root},
        "process": {
            "terminal": input.container.tty,
            "user": {
                "uid": input.identity.uid,
                "gid": input.identity.gid,
                "additionalGids": input.identity.groups,
            },
            "args": args,
            "env": env(input),
            "cwd": cwd(input)?,
            "capabilities": capabilities(input.capabilities),
            "noNewPrivileges": input.container.security.no_new_privileges,
            "oomScoreAdj": input.oom_score_adj,
        },
        "mounts": mounts(input)?,
        "annotations": {},
        "linux": {
            "cgroupsPath": format!("/{}", input.cgroup.trim_start_matches('/')),
            "namespaces": namespaces(input),
            "resources": resources(input),
            "devices": input.devices,
            "rootfsPropagation": propagation(input),
            "maskedPaths": if privileged { &[][..] } else { MASKED },
            "readonlyPaths": if privileged { &[][..] } else { READ_ONLY },
            "seccomp": input.seccomp,
        },
    }))
}

fn args(input: &Input<'_>) -> Result<Vec<String>, String> {
    let (container, image) = (input.container, &input.image.config);
    let mut args = container.command.clone();
    if args.is_empty() {
        args.clone_from(&image.entrypoint);
        args.extend(if container.args.is_empty() { image.cmd.clone() } else { container.args.clone() });
    } else {
        args.extend(container.args.clone());
    }
    match args.is_empty() {
        true => Err("no command specified".into()),
        false => Ok(args),
    }
}

/// The image's, then the runtime's, then the pod's; the last one of a name wins.
fn env(input: &Input<'_>) -> Vec<String> {
    let mut env: Vec<String> = vec![DEFAULT_PATH.to_owned(), format!("HOSTNAME={}", input.sandbox.hostname)];
    if input.container.tty {
        env.push("TERM=xterm".into());
    }
    let pods = input.container.env.iter().map(|(name, value)| format!("{name}={value}"));
    for entry in input.image.config.env.iter().cloned().chain(pods) {
        let name = entry.split_once('=').map_or(entry.as_str(), |(name, _)| name);
        env.retain(|old| old.split_once('=').map(|(name, _)| name) != Some(name));
        env.push(entry);
    }
    env
}

fn cwd(input: &Input<'_>) -> Result<String, String> {
    let wanted = [&input.container.working_dir, &input.image.config.working_dir];
    let cwd = wanted.into_iter().find(|dir| !dir.is_empty()).map_or("/", String::as_str);
    match cwd.starts_with('/') {
        true => Ok(cwd.to_owned()),
        false => Err(format!("working directory {cwd:?} is not absolute")),
    }
}

fn capabilities(names: &[&str]) -> Value {
    let names: Vec<String> = names.iter().map(|name| format!("CAP_{name}")).collect();
    json!({"bounding": names, "effective": names, "permitted": names})
}

/// Network, IPC and host name are the shim's own, in which it starts its containers.
fn namespaces(input: &Input<'_>) -> Vec<Value> {
    let mut namespaces = vec![json!({"type": "mount"})];
    match input.pause_pid {
        _ if input.sandbox.host_pid => {}
        Some(pid) => namespaces.push(json!({"type": "pid", "path": format!("/proc/{pid}/ns/pid")})),
        None => namespaces.push(json!({"type": "pid"})),
    }
    // As the kubelet has it: version 1 shows the node's tree, version 2 the container's own.
    if input.is_unified && !input.container.security.privileged {
        namespaces.push(json!({"type": "cgroup"}));
    }
    namespaces
}

/// Limits are set before the container is made; only the list of devices is the engine's to write.
fn resources(input: &Input<'_>) -> Value {
    if !input.device_cgroup {
        return Value::Null;
    }
    let all = input.container.security.privileged;
    json!({"devices": [{"allow": all, "access": "rwm"}]})
}

fn propagation(input: &Input<'_>) -> &'static str {
    let shared = input.container.mounts.iter().any(|mount| mount.propagation == Propagation::Bidirectional);
    if shared { "shared" } else { "slave" }
}

fn mounts(input: &Input<'_>) -> Result<Vec<Value>, String> {
    let writable = if input.container.security.privileged { "rw" } else { "ro" };
    let mount = |kind: &str, target: &str, options: &[&str]| {
        json!({
            "destination": target, "type": kind, "source": kind, "options": options,
        })
    };
    let mut mounts = vec![
        mount("proc", "/proc", &["nosuid", "noexec", "nodev"]),
        mount("tmpfs", "/dev", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("devpts", "/dev/pts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        mount("mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]),
        mount("sysfs", "/sys", &["nosuid", "noexec", "nodev", writable]),
        mount("cgroup", "/sys/fs/cgroup", &["nosuid", "noexec", "nodev", "relatime", writable]),
    ];
    let own = |target: &str| input.container.mounts.iter().any(|mount| mount.container_path == Path::new(target));
    let shm = if input.sandbox.host_ipc { Path::new("/dev/shm") } else { input.shm };
    for (source, target) in
        [(shm, "/dev/shm"), (input.resolv_conf, "/etc/resolv.conf"), (input.hostname, "/etc/hostname")]
    {
        if !own(target) {
            mounts.push(bind(source, target, "rw", "rprivate"));
        }
    }
    let mut shared = 0;
    for mount in &input.container.mounts {
        let source = match mount.propagation {
            // The shim mounts a copy there that is still the node's peer.
            Propagation::Bidirectional => {
                shared += 1;
                input.dir.shared(shared - 1)
            }
            _ => mount.host_path.clone(),
        };
        mounts.push(volume(mount, &source)?);
    }
    Ok(mounts)
}

fn bind(source: &Path, target: &str, access: &str, propagation: &str) -> Value {
    json!({"destination": target, "type": "bind", "source": source, "options": ["rbind", propagation, access]})
}

fn volume(mount: &Mount, source: &Path) -> Result<Value, String> {
    let real = std::fs::canonicalize(&mount.host_path)
        .map_err(|error| format!("failed to generate mount of {}: {error}", mount.host_path.display()))?;
    let source = if source == mount.host_path { &real } else { source };
    let target: PathBuf = mount.container_path.clone();
    let target = target.to_str().ok_or("a mount path is not UTF-8")?;
    if !target.starts_with('/') {
        return Err(format!("mount path {target:?} is not absolute"));
    }
    let propagation = match mount.propagation {
        Propagation::Private => "rprivate",
        Propagation::HostToContainer => "rslave",
        Propagation::Bidirectional => "rshared",
    };
    Ok(bind(source, target, if mount.read_only { "ro" } else { "rw" }, propagation))
}

/// The signal of a name (`SIGTERM`, `TERM`) or a number.
pub(super) fn signal_number(name: &str) -> Result<i32, String> {
    let upper = name.to_ascii_uppercase();
    let number = upper.parse().ok().filter(|number| (1..=64).contains(number));
    let full = if upper.starts_with("SIG") { upper.clone() } else { format!("SIG{upper}") };
    let named = full.parse::<nix::sys::signal::Signal>().map(|signal| signal as i32);
    number.or(named.ok()).ok_or_else(|| format!("unknown stop signal {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(container: ContainerConfig, look: impl Fn(&Value)) {
        let image: crate::image::ImageConfig = serde_json::from_value(json!({
            "config": {"Entrypoint": ["/run"], "Cmd": ["serve"], "Env": ["PATH=/bin", "A=image"], "WorkingDir": "/srv"},
            "rootfs": {"type": "layers", "diff_ids": []},
        }))
        .unwrap();
        let input = Input {
            sandbox: &SandboxConfig { hostname: "web-0".into(), ..Default::default() },
            container: &container,
            image: &image,
            identity: &Identity::default(),
            capabilities: &["CHOWN"],
            oom_score_adj: Some(5),
            cgroup: "kubepods/x",
            device_cgroup: true,
            is_unified: false,
            dir: &ContainerDir("/s/containers/c".into()),
            pause_pid: None,
            shm: Path::new("/s/shm"),
            resolv_conf: Path::new("/s/resolv.conf"),
            hostname: Path::new("/s/hostname"),
            devices: Vec::new(),
            seccomp: None,
        };
        let spec = spec(&input).unwrap();
        serde_json::from_value::<oci_spec::runtime::Spec>(spec.clone()).expect("a valid specification");
        look(&spec);
    }

    #[test]
    fn command_and_args_follow_the_rules_of_kubernetes() {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        for (command, args, expected) in [
            (&[][..], &[][..], &["/run", "serve"][..]),
            (&[], &["x"], &["/run", "x"]),
            (&["/c"], &[], &["/c"]),
            (&["/c"], &["x"], &["/c", "x"]),
        ] {
            let container = ContainerConfig { command: words(command), args: words(args), ..Default::default() };
            check(container, |spec| assert_eq!(spec["process"]["args"], json!(expected)));
        }
    }

    #[test]
    fn the_pods_environment_replaces_the_images() {
        let container = ContainerConfig { env: vec![("A".into(), "pod".into())], ..Default::default() };
        check(container, |spec| {
            assert_eq!(spec["process"]["env"], json!(["HOSTNAME=web-0", "PATH=/bin", "A=pod"]));
            assert_eq!(spec["process"]["cwd"], "/srv");
        });
    }

    #[test]
    fn stop_signals_have_names_and_numbers() {
        assert_eq!(["SIGQUIT", "quit", "3"].map(|name| signal_number(name).unwrap()), [3; 3]);
        assert!(signal_number("SIGFOO").is_err());
    }
}
