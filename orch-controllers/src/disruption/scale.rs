//! How many pods their controllers want: the total of which a percentage of a budget is taken (`getExpectedScale`).

use crate::common::facts::PodFacts;
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet, StatefulSet},
    core::v1::ReplicationController,
};
use orch_api::{Gvk, Key, Object, StatusError};
use orch_runtime::{Discovery, View, view::Known};
use orch_store::{Client, Stored, stored::Owner};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};

/// The scale of each controller of some pods.
#[derive(Default)]
pub(super) struct Scales {
    /// Replicas by the UID of the controller.
    known: BTreeMap<Arc<str>, i32>,
    /// Whether some pods have no controller.
    pub(super) unmanaged: bool,
    /// Controllers of kinds that are not in the caches, each with one of its pods.
    unknown: Vec<(Owner, Arc<str>)>,
    /// Why a scale could not be had.
    error: Option<String>,
}

impl Scales {
    /// What the caches know.
    pub(super) fn of(pods: &[Known<PodFacts>], view: &View<'_>) -> Self {
        let mut scales = Self::default();
        let mut seen: Vec<Arc<str>> = Vec::new();
        for pod in pods {
            let Some(owner) = pod.stored.controller() else {
                scales.unmanaged = true;
                continue;
            };
            if seen.contains(&owner.uid) {
                continue;
            }
            seen.push(owner.uid.clone());
            match cached(owner, &pod.stored.key.namespace, view) {
                Some((uid, replicas)) => drop(scales.known.insert(uid, replicas)),
                None => scales.unknown.push((owner.clone(), pod.stored.key.name.clone())),
            }
        }
        scales
    }

    /// Asks for the `scale` of controllers of other kinds.
    pub(super) async fn ask(&mut self, namespace: &str, discovery: &dyn Discovery, client: &dyn Client) {
        for (owner, pod) in std::mem::take(&mut self.unknown) {
            match asked(&owner, namespace, discovery, client).await {
                Ok(Some(replicas)) => drop(self.known.insert(owner.uid.clone(), replicas)),
                Ok(None) => return self.unknown = vec![(owner, pod)],
                Err(why) => return self.error = Some(why),
            }
        }
    }

    /// All of them together, or why that cannot be said.
    pub(super) fn total(&self) -> Result<i32, String> {
        match (&self.error, self.unknown.first()) {
            (Some(why), _) => Err(why.clone()),
            (None, Some((_, pod))) => Err(format!("found no controllers for pod {pod:?}")),
            (None, None) => Ok(self.known.values().sum()),
        }
    }
}

/// Who really decides about the number, and the number: a Deployment speaks for its ReplicaSets.
fn cached(owner: &Owner, namespace: &str, view: &View<'_>) -> Option<(Arc<str>, i32)> {
    let key = Key::new(namespace, owner.name.clone());
    let group = Gvk::parse(&owner.api_version, &owner.kind).group;
    let found = match (&*group, &*owner.kind) {
        ("apps", "ReplicaSet") => {
            let set = view.stored(&ReplicaSet::gvr(), &key).filter(|set| set.meta.uid == owner.uid)?;
            match set.controller().filter(|c| &*c.kind == "Deployment") {
                Some(deployment) => {
                    let key = Key::new(namespace, deployment.name.clone());
                    view.stored(&Deployment::gvr(), &key).filter(|d| d.meta.uid == deployment.uid)?
                }
                None => set,
            }
        }
        ("apps", "StatefulSet") => view.stored(&StatefulSet::gvr(), &key).filter(|s| s.meta.uid == owner.uid)?,
        ("", "ReplicationController") => {
            view.stored(&ReplicationController::gvr(), &key).filter(|s| s.meta.uid == owner.uid)?
        }
        _ => return None,
    };
    Some((found.meta.uid.clone(), replicas(&found)?))
}

fn replicas(stored: &Stored) -> Option<i32> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Scale {
        spec: Spec,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Spec {
        replicas: Option<i32>,
    }
    stored.parse::<Scale>().ok().map(|scale| scale.spec.replicas.unwrap_or(0))
}

/// The scale of a controller of any kind; `None` when there is no such controller.
async fn asked(
    owner: &Owner,
    namespace: &str,
    discovery: &dyn Discovery,
    client: &dyn Client,
) -> Result<Option<i32>, String> {
    let wanted = Gvk::parse(&owner.api_version, &owner.kind);
    let served = discovery.served();
    let same = |kind: &Gvk| kind.group == wanted.group && kind.kind == wanted.kind;
    let Some(found) = served.iter().find(|s| same(&s.kind)) else { return Ok(None) };
    match client.get(&found.gvr, &Key::new(namespace, owner.name.clone()), Some("scale")).await {
        Ok(scale) if scale.meta.uid == owner.uid => Ok(replicas(&scale)),
        Ok(_) => Ok(None),
        Err(error) if error.is_not_found() && names_an_object(&error) => Ok(None),
        Err(error) if error.is_not_found() => {
            Err(format!("{} does not implement the scale subresource", found.gvr.group_resource()))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a 404 is about an object, and not about a path that nobody serves.
fn names_an_object(error: &StatusError) -> bool {
    error.details().and_then(|d| d.name.as_deref()).is_some_and(|name| !name.is_empty())
}
