//! Keeps the authorizers' indexes in step with the roles, bindings and pods that are stored.

use crate::{
    authz::{Authorizer, Masters, NodeAuthorizer, Rbac, Union},
    core::Core,
};
use futures::StreamExt;
use orch_api::{Gvr, Key, Kind, StatusError};
use orch_store::{
    Stored,
    cache::{ResourceCache, WatchStart},
    client::{ReadAt, WatchEvent},
};
use serde_json::Value;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

const RBAC: &str = "rbac.authorization.k8s.io";
/// What decides: roles and their bindings, and what nodes have to do with.
const RESOURCES: [Gvr; 7] = [
    Gvr::of(RBAC, "v1", "roles"),
    Gvr::of(RBAC, "v1", "rolebindings"),
    Gvr::of(RBAC, "v1", "clusterroles"),
    Gvr::of(RBAC, "v1", "clusterrolebindings"),
    Gvr::of("", "v1", "pods"),
    Gvr::of("", "v1", "persistentvolumes"),
    Gvr::of("storage.k8s.io", "v1", "volumeattachments"),
];
/// How long to wait before a watch that ended is begun again.
const PAUSE: Duration = Duration::from_millis(50);

/// The indexes of the built-in authorizers.
#[derive(Clone)]
pub(crate) struct Roles {
    rbac: Arc<Rbac>,
    nodes: Arc<NodeAuthorizer>,
}

impl Roles {
    /// Empty indexes.
    pub(crate) fn new() -> Self {
        Self { rbac: Arc::new(Rbac::new()), nodes: Arc::new(NodeAuthorizer::new()) }
    }

    /// What decides with these indexes.
    pub(crate) fn authorizer(&self) -> Arc<dyn Authorizer> {
        Arc::new(Union::new(vec![Arc::new(Masters), self.nodes.clone(), self.rbac.clone()]))
    }

    /// Fills the indexes and keeps following.
    pub(crate) async fn start(&self, core: &Core) -> Result<(), StatusError> {
        for gvr in RESOURCES {
            let Some(kind) = core.registry.find(&gvr) else { continue };
            for object in core.storage.all(&kind, "").await? {
                self.upsert(&kind, &object);
            }
            let (roles, resource) = (self.clone(), core.storage.resource(&kind));
            core.ambient.tasks.spawn_loop("authorization", move || {
                let (roles, kind, resource) = (roles.clone(), kind.clone(), resource.clone());
                async move {
                    follow(resource, |object| roles.upsert(&kind, object), |object| roles.remove(&kind, object)).await;
                }
            });
        }
        Ok(())
    }

    fn upsert(&self, kind: &Kind, object: &Stored) {
        let Ok(value) = object.parse::<Value>() else { return };
        if kind.group == RBAC { self.rbac.upsert(&value) } else { self.nodes.upsert(&value) }
    }

    fn remove(&self, kind: &Kind, object: &Stored) {
        let Ok(value) = object.parse::<Value>() else { return };
        if kind.group == RBAC { self.rbac.remove(&value) } else { self.nodes.remove(&value) }
    }
}

/// Tells of each object of a resource that is there, and of each that is gone, until the store is closed. A watch that fell
/// behind begins again with the state; what has gone meanwhile is found by comparison.
pub(crate) async fn follow(resource: Arc<ResourceCache>, upsert: impl Fn(&Stored), remove: impl Fn(&Stored)) {
    let mut known: HashMap<Key, Arc<Stored>> = HashMap::new();
    while let Ok(mut events) = resource.watch(WatchStart::Initial(ReadAt::Any), None, None) {
        let mut initial: Option<HashSet<Key>> = Some(HashSet::new());
        while let Some(Ok(event)) = events.next().await {
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    upsert(&object);
                    if let Some(seen) = &mut initial {
                        seen.insert(object.key.clone());
                    }
                    known.insert(object.key.clone(), object);
                }
                WatchEvent::Deleted(object) => {
                    known.remove(&object.key);
                    remove(&object);
                }
                WatchEvent::Bookmark { .. } => {
                    let Some(seen) = initial.take() else { continue };
                    known.retain(|key, object| {
                        let stays = seen.contains(key);
                        if !stays {
                            remove(object);
                        }
                        stays
                    });
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
