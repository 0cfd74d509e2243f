//! Where a container sees the volumes of its pod (`kubelet_pods.go`, makeMounts).

use super::directory;
use crate::{agent::context::Node, env::expand::expand};
use k8s_openapi::api::core::v1::{Container, Pod, VolumeMount};
use orch_runtime::node::container::{Mount, Propagation};
use std::{
    io,
    path::{Component, Path, PathBuf},
};

/// The mounts of a container; `subPath`s are made when they are missing.
pub async fn mounts(node: &Node, pod: &Pod, container: &Container, env: &[(String, String)]) -> io::Result<Vec<Mount>> {
    let mut mounts = Vec::new();
    for wanted in container.volume_mounts.iter().flatten() {
        let volumes = pod.spec.iter().flat_map(|s| s.volumes.iter().flatten());
        let Some(volume) = volumes.into_iter().find(|v| v.name == wanted.name) else {
            let words = format!("cannot find volume {:?} to mount into container {:?}", wanted.name, container.name);
            return Err(io::Error::other(words));
        };
        let root = match &volume.host_path {
            Some(host) => PathBuf::from(&host.path),
            None => {
                let dir = directory(node, pod, &volume.name);
                // A persistent volume is a link to where it is.
                tokio::fs::read_link(&dir).await.unwrap_or(dir)
            }
        };
        let claim = volume.persistent_volume_claim.as_ref();
        let kept = claim.is_some_and(|claim| claim.read_only == Some(true))
            || volume.config_map.is_some() && wanted.sub_path.is_none();
        mounts.push(Mount {
            host_path: below(&root, &sub_path(wanted, env)).await?,
            container_path: PathBuf::from("/").join(&wanted.mount_path),
            read_only: wanted.read_only == Some(true) || kept,
            propagation: match wanted.mount_propagation.as_deref() {
                Some("HostToContainer") => Propagation::HostToContainer,
                Some("Bidirectional") => Propagation::Bidirectional,
                _ => Propagation::Private,
            },
        });
    }
    Ok(mounts)
}

fn sub_path(mount: &VolumeMount, env: &[(String, String)]) -> String {
    let lookup = |name: &str| env.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    match (&mount.sub_path, &mount.sub_path_expr) {
        (Some(path), _) if !path.is_empty() => path.clone(),
        (_, Some(path)) => expand(path, lookup),
        _ => String::new(),
    }
}

/// A path below a volume, made when it is missing; links must not lead out of the volume.
async fn below(root: &Path, sub: &str) -> io::Result<PathBuf> {
    if sub.is_empty() {
        return Ok(root.to_owned());
    }
    if Path::new(sub).components().any(|c| !matches!(c, Component::Normal(_) | Component::CurDir)) {
        return Err(io::Error::other(format!("invalid subPath {sub:?}")));
    }
    let path = root.join(sub);
    if !tokio::fs::try_exists(&path).await? {
        make(root, Path::new(sub)).await?;
    }
    let (real, root) = (tokio::fs::canonicalize(&path).await?, tokio::fs::canonicalize(root).await?);
    if real.starts_with(&root) {
        Ok(real)
    } else {
        Err(io::Error::other(format!("subPath {sub:?} leads out of its volume")))
    }
}

/// Makes the directories of a path below a volume. Whoever may write to the volume may write to them (`SafeMakeDir`).
async fn make(root: &Path, sub: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = tokio::fs::metadata(root).await?.permissions().mode() & 0o7777;
    let mut path = root.to_owned();
    for component in sub.components() {
        path.push(component);
        match tokio::fs::create_dir(&path).await {
            Ok(()) => crate::files::set_mode(&path, mode).await?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
