use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// Where control groups are mounted: version 1, version 2, or a mixture ("hybrid").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hierarchies {
    /// Controller (or `name=…`) to mount point.
    v1: BTreeMap<String, PathBuf>,
    /// Mount point of version 2.
    v2: Option<PathBuf>,
}

impl Hierarchies {
    /// Those of this machine.
    pub(crate) fn detect() -> io::Result<Self> {
        Ok(Self::parse(&fs::read_to_string("/proc/self/mountinfo")?))
    }

    /// Reads the text of `/proc/PID/mountinfo`. A mount of a part of a hierarchy is left aside.
    pub(crate) fn parse(mountinfo: &str) -> Self {
        let mut found = Self::default();
        for line in mountinfo.lines() {
            let Some((mount, filesystem)) = line.split_once(" - ") else { continue };
            let mut mount = mount.split(' ').skip(3);
            let (Some("/"), Some(point)) = (mount.next(), mount.next()) else { continue };
            let mut filesystem = filesystem.split(' ');
            let (kind, options) = (filesystem.next(), filesystem.nth(1).unwrap_or_default());
            match kind {
                Some("cgroup2") if found.v2.is_none() => found.v2 = Some(point.into()),
                Some("cgroup") => {
                    let flags = ["rw", "ro", "xattr", "clone_children", "noprefix"];
                    for controller in options.split(',').filter(|option| !flags.contains(option)) {
                        if !controller.starts_with("release_agent") {
                            found.v1.entry(controller.to_owned()).or_insert_with(|| point.into());
                        }
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// Whether limits are set through version 2.
    pub(crate) fn is_unified(&self) -> bool {
        self.v2.is_some() && !self.v1.contains_key("memory")
    }

    /// Whether both versions are there.
    pub(crate) fn is_hybrid(&self) -> bool {
        self.v2.is_some() && !self.is_unified()
    }

    /// Whether a resource can be limited and measured.
    pub(crate) fn has(&self, controller: &str) -> bool {
        let available = |root: &PathBuf| {
            let list = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
            list.split_whitespace().any(|name| name == controller)
        };
        self.v1.contains_key(controller) || self.v2.as_ref().is_some_and(available)
    }

    /// Mount point of a controller of version 1.
    pub(crate) fn v1(&self, controller: &str) -> Option<&Path> {
        self.v1.get(controller).map(PathBuf::as_path)
    }

    /// Mount point of version 2.
    pub(crate) fn unified(&self) -> Option<&Path> {
        self.v2.as_deref()
    }

    /// Every mount point.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Path> {
        self.v1.values().chain(&self.v2).map(PathBuf::as_path)
    }

    /// Version 2, and what systemd tracks its services by: whoever is not moved out of a service's group
    /// there dies with the service.
    pub(super) fn nameless(&self) -> Vec<PathBuf> {
        self.v2.iter().chain(self.v1.get("name=systemd")).cloned().collect()
    }

    /// Hands the controllers of version 2 down to the parent of `path`.
    pub(super) fn delegate(&self, root: &Path, path: &str) {
        if Some(root) != self.unified() {
            return;
        }
        let controllers = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        let mut dir = root.to_owned();
        for name in path.split('/') {
            for controller in controllers.split_whitespace() {
                // Refused where processes live beside groups: then the limit itself fails and says so.
                let _ = fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}"));
            }
            dir.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
25 22 0:22 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
26 25 0:23 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw
27 25 0:24 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory
28 25 0:25 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
29 25 0:26 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
30 25 0:27 /part /mnt/part rw - cgroup cgroup rw,pids
";

    #[test]
    fn a_hybrid_machine_limits_through_version_1() {
        let found = Hierarchies::parse(HYBRID);
        assert!(found.is_hybrid() && !found.is_unified());
        assert_eq!(found.v1("cpuacct"), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct")));
        assert_eq!(found.v1("pids"), None, "a part of a hierarchy is not its root");
        assert_eq!(found.nameless().len(), 2);
    }

    #[test]
    fn a_machine_with_version_2_alone_is_unified() {
        let found = Hierarchies::parse("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n");
        assert!(found.is_unified() && !found.is_hybrid());
        assert_eq!(found.unified(), Some(Path::new("/sys/fs/cgroup")));
    }
}
