//! Control groups of both versions, and of both at once: where they are, limits, use, who is inside.

mod layout;
mod limits;
mod usage;

pub(crate) use layout::Hierarchies;

use orch_runtime::node::container::{Resources, Stats};
use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// The controllers of version 1 that we write to; the container engine joins the others.
const V1: &[&str] = &["memory", "cpu", "cpuacct", "pids"];

/// Removes the group of that path and those below, in which nothing runs any more: what runtimes leave behind that had it as their
/// root.
pub fn remove_root(path: &str) -> io::Result<()> {
    // The top is not ours.
    if path.trim_matches('/').is_empty() { Ok(()) } else { Cgroup::new(&Hierarchies::detect()?, path).remove() }
}

/// A group, by the same path in every hierarchy.
#[derive(Clone, Debug)]
pub(crate) struct Cgroup {
    hierarchies: Hierarchies,
    /// Relative to the root of each hierarchy.
    path: String,
}

impl Cgroup {
    /// The group of that path; nothing is made yet.
    pub(crate) fn new(hierarchies: &Hierarchies, path: &str) -> Self {
        Self { hierarchies: hierarchies.clone(), path: path.trim_matches('/').to_owned() }
    }

    /// Makes the group in the hierarchies that matter, and hands it the controllers.
    pub(crate) fn create(&self) -> io::Result<()> {
        for controller in V1 {
            if let Some(dir) = self.v1(controller) {
                fs::create_dir_all(dir)?;
            }
        }
        for root in self.hierarchies.nameless() {
            let dir = root.join(&self.path);
            fs::create_dir_all(&dir)?;
            self.hierarchies.delegate(&root, &self.path);
        }
        Ok(())
    }

    /// Sets limits; unset ones stay as they are.
    pub(crate) fn limit(&self, resources: &Resources) -> io::Result<()> {
        for write in limits::writes(resources, self.hierarchies.is_unified()) {
            let Some(dir) = self.controller(write.controller) else { continue };
            let path = dir.join(write.file);
            if let Err(error) = fs::write(&path, &write.value)
                && write.required
            {
                return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display())));
            }
        }
        Ok(())
    }

    /// Moves a process into the group, in every hierarchy where the group exists.
    pub(crate) fn join(&self, pid: u32) -> io::Result<()> {
        self.dirs().iter().try_for_each(|dir| fs::write(dir.join("cgroup.procs"), pid.to_string()))
    }

    /// Moves a process only in the hierarchies without controllers of version 1: the rest is the
    /// container engine's to join.
    pub(crate) fn join_nameless(&self, pid: u32) -> io::Result<()> {
        let roots = self.hierarchies.nameless();
        roots.iter().try_for_each(|root| fs::write(root.join(&self.path).join("cgroup.procs"), pid.to_string()))
    }

    /// What is used now.
    pub(crate) fn stats(&self) -> Stats {
        usage::stats(&|controller, file| fs::read_to_string(self.controller(controller)?.join(file)).ok())
    }

    /// How many processes the kernel killed here for want of memory.
    pub(crate) fn oom_kills(&self) -> u64 {
        usage::oom_kills(&|controller, file| fs::read_to_string(self.controller(controller)?.join(file)).ok())
    }

    /// Kills every process of the group and of those below.
    pub(crate) fn kill(&self) {
        if let Some(root) = self.hierarchies.unified()
            && fs::write(root.join(&self.path).join("cgroup.kill"), "1").is_ok()
            && !self.hierarchies.is_hybrid()
        {
            return;
        }
        if let Some(dir) = self.controller("pids").or_else(|| self.controller("memory")) {
            kill_below(&dir);
        }
    }

    /// Removes the group and those below, in every hierarchy. Processes must have been killed: this
    /// waits a little for them to be gone.
    pub(crate) fn remove(&self) -> io::Result<()> {
        let mut result = Ok(());
        for attempt in 0..50 {
            result = self.dirs().iter().try_for_each(|dir| remove_below(dir));
            if result.is_ok() {
                break;
            }
            // The kernel has no event for "the last process is really gone" in version 1.
            thread::sleep(Duration::from_millis(1 << (attempt / 10)));
        }
        result
    }

    /// Whether other groups are inside, anywhere.
    pub(crate) fn has_children(&self) -> bool {
        let is_dir = |entry: fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
        self.dirs().iter().any(|dir| fs::read_dir(dir).into_iter().flatten().flatten().any(is_dir))
    }

    /// The group's directory in the hierarchy of a controller.
    fn controller(&self, controller: &str) -> Option<PathBuf> {
        self.v1(controller).or_else(|| Some(self.hierarchies.unified()?.join(&self.path)))
    }

    fn v1(&self, controller: &str) -> Option<PathBuf> {
        Some(self.hierarchies.v1(controller)?.join(&self.path))
    }

    /// Where the group exists.
    fn dirs(&self) -> Vec<PathBuf> {
        let mut dirs: Vec<PathBuf> = self.hierarchies.all().map(|root| root.join(&self.path)).collect();
        dirs.sort();
        dirs.dedup();
        dirs.retain(|dir| dir.is_dir());
        dirs
    }
}

fn kill_below(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            kill_below(&entry.path());
        }
    }
    let procs = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    for pid in procs.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
}

fn remove_below(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_below(&entry.path())?;
        }
    }
    match fs::remove_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
