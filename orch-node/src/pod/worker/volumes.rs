//! The volumes of a pod, and the objects that they and the environment show.

use super::{Done, Worker};
use crate::{
    follow::{Followed, Lookup},
    pod::{backoff::later, observed::Volumes},
    volume,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use orch_api::{Gvr, Key};
use std::{collections::BTreeMap, time::Duration};

/// Labels or annotations.
pub(super) type Tags = Option<BTreeMap<String, String>>;

impl Worker {
    pub(super) fn prepare_volumes(&mut self) {
        if std::mem::replace(&mut self.seen.busy.volumes, true) {
            return;
        }
        let (node, shared, references) = (self.node.clone(), self.shared.clone(), self.references.clone());
        self.ops.push(Box::pin(async move {
            for followed in references.values() {
                followed.loaded().await;
            }
            Done::Volumes(match shared.pod().decode::<Pod>() {
                Ok(pod) => volume::prepare(&node, &pod, &*references).await,
                Err(error) => Err(volume::MountError::SetUp { volume: String::new(), why: error.to_string() }),
            })
        }));
    }

    /// Has the volumes written anew when the labels or annotations changed that downwardAPI volumes show.
    pub(super) fn notice_tags(&mut self, pod: &Pod, now: Timestamp) {
        let (labels, annotations) = (&pod.metadata.labels, &pod.metadata.annotations);
        match &self.shown {
            Some((l, a)) if l == labels && a == annotations => return,
            Some(_) => self.refresh_volumes_at = Some(now),
            None => {}
        }
        self.shown = Some((labels.clone(), annotations.clone()));
    }

    /// When volumes must be looked at again; begins it when that is now.
    pub(super) fn refresh_due(&mut self, now: Timestamp) -> Option<Timestamp> {
        let at = self.refresh_volumes_at.filter(|_| self.seen.ending_since.is_none())?;
        if at > now {
            return Some(at);
        }
        if !self.seen.busy.volumes {
            self.refresh_volumes_at = None;
            self.prepare_volumes();
        }
        None
    }

    pub(super) fn watch_references(&mut self) {
        if self.references.is_empty() {
            return;
        }
        let mut receivers: Vec<_> = self.references.values().map(Followed::changes).collect();
        for receiver in &mut receivers {
            receiver.mark_unchanged();
        }
        self.ops.push(Box::pin(async move {
            let changes = receivers.iter_mut().map(|r| {
                Box::pin(async move {
                    if r.changed().await.is_err() {
                        futures::future::pending::<()>().await;
                    }
                })
            });
            futures::future::select_all(changes).await;
            Done::References
        }));
    }

    pub(super) fn volumes_prepared(&mut self, result: Result<Option<Timestamp>, volume::MountError>, now: Timestamp) {
        self.seen.busy.volumes = false;
        match result {
            Ok(again) => {
                self.volume_delay = Duration::ZERO;
                self.seen.volumes = Volumes::Ready;
                self.refresh_volumes_at = [self.refresh_volumes_at, again].into_iter().flatten().min();
            }
            Err(error) => {
                self.warn("FailedMount", error.to_string());
                self.volume_delay = (self.volume_delay * 2).clamp(Duration::from_millis(500), Duration::from_secs(122));
                let at = later(now, self.volume_delay);
                match self.seen.volumes {
                    Volumes::Ready => self.refresh_volumes_at = Some(at),
                    _ => self.seen.volumes = Volumes::RetryAt(at),
                }
            }
        }
    }
}

impl crate::env::Lookups for BTreeMap<(Gvr, Key), Followed> {
    fn lookup(&self, resource: &Gvr, key: &Key) -> Lookup {
        self.get(&(resource.clone(), key.clone())).map_or(Lookup::Absent, Followed::get)
    }
}
