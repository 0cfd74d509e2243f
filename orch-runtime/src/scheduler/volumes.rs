//! The volumes of a pod, as far as the scheduler looks at them.

use serde::Deserialize;
use std::sync::Arc;

/// A claim that a pod uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodClaim {
    /// The claim's name.
    pub name: Arc<str>,
    /// Whether it is made for this pod alone, by the ephemeral volume of its own.
    pub ephemeral: bool,
}

/// A disk that a pod states itself and that two pods cannot always share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disk {
    /// Of Google Compute Engine.
    Gce {
        /// Its name.
        name: Arc<str>,
        /// Whether the pod only reads.
        read_only: bool,
    },
    /// Of AWS.
    Aws {
        /// Its id.
        id: Arc<str>,
    },
    /// Over iSCSI.
    Iscsi {
        /// The qualified name.
        iqn: Arc<str>,
        /// Whether the pod only reads.
        read_only: bool,
    },
    /// Of Ceph.
    Rbd {
        /// The monitors.
        monitors: Vec<Arc<str>>,
        /// The pool.
        pool: Arc<str>,
        /// The image.
        image: Arc<str>,
        /// Whether the pod only reads.
        read_only: bool,
    },
}

impl Disk {
    /// Whether two pods with these disks cannot be on one node (`isVolumeConflict`).
    pub fn conflicts(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Gce { name: a, read_only: r }, Self::Gce { name: b, read_only: s })
            | (Self::Iscsi { iqn: a, read_only: r }, Self::Iscsi { iqn: b, read_only: s }) => a == b && !(*r && *s),
            (Self::Aws { id: a }, Self::Aws { id: b }) => a == b,
            (
                Self::Rbd { monitors: m, pool: a, image: i, read_only: r },
                Self::Rbd { monitors: n, pool: b, image: j, read_only: s },
            ) => m.iter().any(|monitor| n.contains(monitor)) && a == b && i == j && !(*r && *s),
            _ => false,
        }
    }
}

/// A volume of a pod in JSON.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct VolumeJson {
    name: Arc<str>,
    persistent_volume_claim: Option<ClaimSource>,
    ephemeral: Option<serde::de::IgnoredAny>,
    gce_persistent_disk: Option<Gce>,
    aws_elastic_block_store: Option<Aws>,
    iscsi: Option<Iscsi>,
    rbd: Option<Rbd>,
}

impl VolumeJson {
    /// The claim that the volume of the named pod is.
    pub(super) fn claim(&self, pod: &str) -> Option<PodClaim> {
        match (&self.persistent_volume_claim, &self.ephemeral) {
            (Some(claim), _) => Some(PodClaim { name: claim.claim_name.clone(), ephemeral: false }),
            (None, Some(_)) => Some(PodClaim { name: format!("{pod}-{}", self.name).into(), ephemeral: true }),
            (None, None) => None,
        }
    }

    pub(super) fn disk(&self) -> Option<Disk> {
        if let Some(gce) = &self.gce_persistent_disk {
            return Some(Disk::Gce { name: gce.pd_name.clone(), read_only: gce.read_only });
        }
        if let Some(aws) = &self.aws_elastic_block_store {
            return Some(Disk::Aws { id: aws.volume_id.clone() });
        }
        if let Some(iscsi) = &self.iscsi {
            return Some(Disk::Iscsi { iqn: iscsi.iqn.clone(), read_only: iscsi.read_only });
        }
        self.rbd.as_ref().map(|rbd| Disk::Rbd {
            monitors: rbd.monitors.clone(),
            pool: rbd.pool.clone(),
            image: rbd.image.clone(),
            read_only: rbd.read_only,
        })
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ClaimSource {
    claim_name: Arc<str>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Gce {
    pd_name: Arc<str>,
    read_only: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Aws {
    #[serde(rename = "volumeID")]
    volume_id: Arc<str>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Iscsi {
    iqn: Arc<str>,
    read_only: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Rbd {
    monitors: Vec<Arc<str>>,
    pool: Arc<str>,
    image: Arc<str>,
    read_only: bool,
}
