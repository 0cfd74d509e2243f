//! Making of a container: everything but starting it.

use super::{
    capabilities,
    cgroup::{Cgroup, Hierarchies},
    devices,
    pod::Pod,
    seccomp, spec,
    state::{ContainerRecord, RootSource, failed, write_json},
    user,
};
use crate::image::{ImageRecord, ImageStore, flatten};
use jiff::Timestamp;
use orch_runtime::node::container::{ContainerConfig, RuntimeError};
use std::{fs, path::PathBuf};

/// What a container is made with.
pub(super) struct Maker<'a> {
    pub(super) store: &'a ImageStore,
    pub(super) hierarchies: &'a Hierarchies,
    /// Whether overlayfs is to be had.
    pub(super) overlay: bool,
    pub(super) now: Timestamp,
}

impl Maker<'_> {
    /// Lays out a container's directory. The record is written last: without it there is no container.
    pub(super) fn make(
        &self,
        pod: &Pod,
        id: String,
        config: ContainerConfig,
        image: &ImageRecord,
    ) -> Result<ContainerRecord, RuntimeError> {
        let dir = pod.dir.container(&id);
        let made = self.lay_out(pod, id, config, image);
        if made.is_err() {
            let _ = fs::remove_dir_all(&dir.0);
        }
        made
    }

    fn lay_out(
        &self,
        pod: &Pod,
        id: String,
        config: ContainerConfig,
        image: &ImageRecord,
    ) -> Result<ContainerRecord, RuntimeError> {
        let (dir, sandbox) = (pod.dir.container(&id), pod.record());
        for part in [dir.root(), dir.upper(), dir.work()] {
            fs::create_dir_all(part).map_err(failed)?;
        }
        let json = self.spec(pod, &id, &config, image).map_err(RuntimeError::Create)?;
        write_json(&dir.bundle().join("config.json"), &json).map_err(failed)?;
        let root = self.root(&dir, image)?;

        let cgroup = Cgroup::new(self.hierarchies, &sandbox.container_cgroup(&id));
        let limited = cgroup.create().and_then(|()| cgroup.limit(&config.resources));
        limited.map_err(|error| RuntimeError::Create(format!("failed to set limits: {error}")))?;

        let stop_signal = [config.stop_signal.as_deref(), Some(&image.config.config.stop_signal)];
        let stop_signal = stop_signal.into_iter().flatten().find(|name| !name.is_empty()).unwrap_or("SIGTERM");
        let stop_signal = spec::signal_number(stop_signal).map_err(RuntimeError::Create)?;
        let log_path = match config.log_path.as_os_str().is_empty() {
            true => PathBuf::new(),
            false => sandbox.config.log_directory.join(&config.log_path),
        };
        let record = ContainerRecord {
            id,
            sandbox: sandbox.id,
            image_id: image.id.clone(),
            created_at: self.now,
            log_path,
            stop_signal,
            root,
            config,
        };
        write_json(&dir.record(), &record).map_err(failed)?;
        Ok(record)
    }

    fn root(&self, dir: &super::state::ContainerDir, image: &ImageRecord) -> Result<RootSource, RuntimeError> {
        let mut lower = self.store.lower_dirs(image);
        if !self.overlay {
            flatten(&lower, &dir.root()).map_err(failed)?;
            return Ok(RootSource::Copied);
        }
        if lower.is_empty() {
            let empty = dir.0.join("empty");
            fs::create_dir_all(&empty).map_err(failed)?;
            lower.push(empty);
        }
        let layers = lower.first().and_then(|dir| dir.parent()).map(PathBuf::from).unwrap_or_default();
        let lower = lower.iter().filter_map(|dir| dir.file_name()).map(PathBuf::from).collect();
        Ok(RootSource::Overlay { layers, lower })
    }

    fn spec(
        &self,
        pod: &Pod,
        id: &str,
        config: &ContainerConfig,
        image: &ImageRecord,
    ) -> Result<serde_json::Value, String> {
        let (sandbox, lower) = (pod.record(), self.store.lower_dirs(image));
        let security = &config.security;
        let passwd = user::read_from_layers(&lower, "passwd");
        let group = user::read_from_layers(&lower, "group");
        let identity = user::resolve(&image.config.config.user, security, &passwd, &group)?;
        let ours = capabilities::ours();
        let device_cgroup = self.hierarchies.v1("devices").is_some();
        let pause_pid = fs::read_to_string(pod.dir.pause_pid()).ok().and_then(|pid| pid.parse().ok());
        spec::spec(&spec::Input {
            sandbox: &sandbox.config,
            container: config,
            image: &image.config,
            identity: &identity,
            capabilities: &capabilities::granted(security, ours, device_cgroup)?,
            oom_score_adj: config.resources.oom_score_adj.map(|wanted| clamp_oom(wanted, ours)),
            cgroup: &sandbox.container_cgroup(id),
            device_cgroup,
            is_unified: self.hierarchies.is_unified(),
            dir: &pod.dir.container(id),
            pause_pid,
            shm: &pod.dir.shm(),
            resolv_conf: &pod.dir.resolv_conf(),
            hostname: &pod.dir.hostname(),
            devices: if security.privileged { devices::of_the_machine() } else { Vec::new() },
            seccomp: seccomp::filter(security.seccomp_profile.as_deref(), security.privileged)?,
        })
    }
}

/// Without CAP_SYS_RESOURCE a process may not become less likely to be killed than it is.
fn clamp_oom(wanted: i64, ours: u64) -> i64 {
    let wanted = wanted.clamp(-1000, 1000);
    if capabilities::may_raise_limits(ours) {
        return wanted;
    }
    let current = fs::read_to_string("/proc/self/oom_score_adj").ok().and_then(|text| text.trim().parse().ok());
    wanted.max(current.unwrap_or(0))
}
