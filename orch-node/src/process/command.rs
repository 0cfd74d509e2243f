//! What a container of the process runtime runs, and what it uses.

use super::{TOOLBOX, records::failed, shim::Launch};
use jiff::Timestamp;
use nix::sys::signal::Signal;
use orch_runtime::node::container::{ContainerConfig, RuntimeError, Stats};
use std::{
    fs,
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// The search path of containers that set none.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What to run, from a container's configuration. `program` is orch's own executable.
pub(super) fn launch(
    id: String,
    dir: &Path,
    config: ContainerConfig,
    program: &str,
    ip: Option<&IpAddr>,
    logs: &Path,
    now: Timestamp,
) -> Result<Launch, RuntimeError> {
    let mut argv: Vec<String> = config.command.into_iter().chain(config.args).collect();
    let mut env = vec![("PATH".to_owned(), PATH.to_owned())];
    env.retain(|(name, _)| !config.env.iter().any(|(own, _)| own == name));
    env.extend(config.env);
    env.push(("ORCH_ROOT".into(), dir.join("root").display().to_string()));
    if let Some(ip) = ip {
        env.push(("ORCH_POD_IP".into(), ip.to_string()));
    }
    if config.image.starts_with(TOOLBOX) {
        argv = toolbox(argv, program, &env);
    }
    if argv.is_empty() {
        let words = "no command specified: images are not unpacked, so the pod must name a command of this machine";
        return Err(RuntimeError::Create(words.into()));
    }
    let signal = config.stop_signal.as_deref().and_then(|s| s.parse::<Signal>().ok()).unwrap_or(Signal::SIGTERM);
    let cwd = if config.working_dir.is_empty() { dir.join("root") } else { PathBuf::from(config.working_dir) };
    Ok(Launch {
        id,
        name: config.name,
        attempt: config.attempt,
        image: config.image,
        argv,
        env,
        cwd,
        log: logs.join(config.log_path),
        stop_signal: signal as i32,
        created_at: now,
        labels: config.labels,
        annotations: config.annotations,
        stdin: config.stdin,
        stdin_once: config.stdin_once,
        tty: config.tty,
    })
}

/// Commands of the toolbox image are orch's own where the machine has none of that name.
fn toolbox(mut argv: Vec<String>, program: &str, env: &[(String, String)]) -> Vec<String> {
    let own = [program.to_owned(), "toolbox".to_owned()];
    match argv.first().map(String::as_str) {
        Some("/orch" | "orch") => {
            argv.remove(0);
            std::iter::once(program.to_owned()).chain(argv).collect()
        }
        Some(first) if find(first, env).is_none() && is_command(first) => {
            let name = name_of(first).to_owned();
            own.into_iter().chain([name]).chain(argv.into_iter().skip(1)).collect()
        }
        Some(_) => argv,
        None => own.into(),
    }
}

fn is_command(program: &str) -> bool {
    let inside = !program.contains('/') || program.starts_with("/bin/");
    inside && crate::toolbox::COMMANDS.contains(&name_of(program))
}

fn name_of(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// What an exec in a container runs: in the toolbox image, commands are found as for its containers.
pub(super) fn exec(launch: &Launch, argv: Vec<String>, program: &str) -> Vec<String> {
    if launch.image.starts_with(TOOLBOX) { toolbox(argv, program, &launch.env) } else { argv }
}

/// Whether the container's command can be run at all, so that the refusal comes at once and in words.
pub(super) fn check(dir: &Path) -> Result<(), RuntimeError> {
    let path = dir.join("launch.json");
    let bytes = fs::read(&path).map_err(|e| failed(path.display(), e))?;
    let launch: Launch = serde_json::from_slice(&bytes).map_err(|e| failed(path.display(), e))?;
    check_program(&launch.argv, &launch.env)
}

/// Whether a command's program is there.
pub(super) fn check_program(argv: &[String], env: &[(String, String)]) -> Result<(), RuntimeError> {
    let program = argv.first().cloned().unwrap_or_default();
    match find(&program, env) {
        Some(_) => Ok(()),
        None if program.contains('/') => {
            Err(RuntimeError::Start(format!("exec: {program:?}: stat {program}: no such file or directory")))
        }
        None => Err(RuntimeError::Start(format!("exec: {program:?}: executable file not found in $PATH"))),
    }
}

fn find(program: &str, env: &[(String, String)]) -> Option<PathBuf> {
    let executable = |path: &Path| fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|p| executable(p));
    }
    let path = env.iter().rev().find(|(name, _)| name == "PATH").map_or(PATH, |(_, value)| value.as_str());
    path.split(':').map(|dir| Path::new(dir).join(program)).find(|p| executable(p))
}

/// What a process uses, from `/proc`; nothing when it is gone.
pub(super) fn usage(pid: u32) -> Stats {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return Stats::default() };
    // Fields after the name, which may hold anything: 12 and 13 are user and system time in ticks of 10 ms.
    let fields: Vec<u64> =
        stat.rsplit(") ").next().unwrap_or_default().split(' ').map(|f| f.parse().unwrap_or(0)).collect();
    let field = |n: usize| fields.get(n).copied().unwrap_or(0);
    let pages: u64 = fs::read_to_string(format!("/proc/{pid}/statm"))
        .ok()
        .and_then(|s| s.split(' ').nth(1)?.parse().ok())
        .unwrap_or(0);
    Stats {
        cpu: Duration::from_millis((field(11) + field(12)) * 10),
        memory_bytes: pages * 4096,
        pids: field(17).max(1),
    }
}
