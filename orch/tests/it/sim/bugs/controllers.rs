//! Small controllers with the mistakes that people make.

use crate::sim::planted::key;
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::ReplicaSet,
    core::v1::{ConfigMap, Pod, Secret},
};
use orch::{
    api::{Key, Object},
    runtime::{Controller, Plan, View, Watches},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// The Pods of a set, by its selector alone.
fn selected(set: &ReplicaSet, view: &View<'_>) -> Vec<Arc<Pod>> {
    let app = set.spec.selector.match_labels.clone().unwrap_or_default();
    let has = |pod: &Pod| {
        app.iter().all(|(name, value)| pod.metadata.labels.as_ref().and_then(|l| l.get(name)) == Some(value))
    };
    view.list::<Pod>("default").into_iter().filter(|pod| has(pod)).collect()
}

pub(super) fn new_pod(set: &ReplicaSet) -> Pod {
    let template = set.spec.template.clone().unwrap_or_default();
    let mut pod: Pod = serde_json::from_value(json!({"metadata": {"generateName": "web-", "namespace": "default",
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": set.metadata.uid, "controller": true}]}})).unwrap();
    pod.metadata.labels = template.metadata.and_then(|meta| meta.labels);
    pod.spec = template.spec;
    pod
}

macro_rules! controller {
    ($name:ident, $id:literal, $world:ty, $watches:expr, |$key:ident, $view:ident| $observe:expr, |$seen:ident, $plan:ident| $decide:block) => {
        pub(super) struct $name;
        impl Controller for $name {
            const NAME: &'static str = $id;
            const ABOUT: &'static str = "Has a bug.";
            type World = $world;
            fn watches(&self) -> Watches {
                $watches
            }
            fn observe(&self, $key: &Key, $view: &View<'_>) -> Option<Self::World> {
                $observe
            }
            fn plan(&self, $seen: &Self::World, _: Timestamp) -> Plan {
                let mut $plan = Plan::default();
                $decide
                $plan
            }
        }
    };
}

controller!(
    BySelector,
    "replicaset",
    (Arc<ReplicaSet>, Vec<Arc<Pod>>),
    Watches::root::<ReplicaSet>().maps::<Pod>(|_, _| vec![key("web")]),
    |key, view| {
        let set = view.get::<ReplicaSet>(key)?;
        let pods = selected(&set, view);
        Some((set, pods))
    },
    |world, plan| {
        let (set, pods) = world;
        let wanted = set.spec.replicas.unwrap_or(1) as usize;
        if pods.len() < wanted {
            plan.create(&new_pod(set));
        }
        for pod in pods.iter().take(pods.len().saturating_sub(wanted)) {
            plan.delete(&**pod);
        }
    }
);

controller!(
    CountsTheDying,
    "replicaset",
    (Arc<ReplicaSet>, usize),
    // Only the set itself: when the dying Pod is gone nobody looks again.
    Watches::root::<ReplicaSet>().reads::<Pod>(),
    |key, view| {
        let set = view.get::<ReplicaSet>(key)?;
        let count = view.owned::<Pod>(set.metadata.uid.as_deref()?).len();
        Some((set, count))
    },
    |world, plan| {
        let (set, count) = world;
        let wanted = set.spec.replicas.unwrap_or(1) as usize;
        for _ in *count..wanted {
            plan.create(&new_pod(set));
        }
    }
);

controller!(
    Children,
    "children",
    (Arc<ConfigMap>, bool),
    Watches::root::<ConfigMap>().maps::<ConfigMap>(|_, _| vec![key("parent")]),
    |key, view| {
        let parent = view.get::<ConfigMap>(key).filter(|_| &*key.name == "parent")?;
        Some((parent, view.get::<ConfigMap>(&self::key("child")).is_some()))
    },
    |world, plan| {
        let (parent, has_child) = world;
        if !has_child {
            let mut child = ConfigMap::default();
            child.metadata.name = Some("child".into());
            child.metadata.namespace = Some("default".into());
            child.metadata.owner_references = Some(vec![
                serde_json::from_value(json!({"apiVersion": "v1", "kind": "ConfigMap",
                "name": "parent", "uid": parent.metadata.uid, "controller": true}))
                .unwrap(),
            ]);
            plan.create(&child);
        }
    }
);

controller!(
    Guard,
    "guard",
    Arc<ConfigMap>,
    Watches::root::<ConfigMap>(),
    |key, view| view.get::<ConfigMap>(key).filter(|_| &*key.name == "guarded"),
    |found, plan| {
        if found.metadata.finalizers.is_none() && !found.is_deleting() {
            let mut guarded = ConfigMap::clone(found);
            guarded.metadata.finalizers = Some(vec!["example.com/guard".into()]);
            plan.update(&**found, &guarded);
        }
    }
);

/// Tells the time in a status, since it is there.
pub(super) struct Teller;

impl Controller for Teller {
    const NAME: &'static str = "teller";
    const ABOUT: &'static str = "Has a bug.";
    type World = Arc<ConfigMap>;

    fn watches(&self) -> Watches {
        Watches::root::<ConfigMap>()
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<Self::World> {
        view.get::<ConfigMap>(key).filter(|_| &*key.name == "clock")
    }

    fn plan(&self, found: &Self::World, now: Timestamp) -> Plan {
        let mut plan = Plan { requeue_after: Some(Duration::from_secs(20)), ..Plan::default() };
        let mut told = ConfigMap::clone(found);
        told.data.get_or_insert_default().insert("checked".into(), now.to_string());
        plan.update(&**found, &told);
        plan
    }
}

/// Wants the flag to have a colour.
fn colour(found: &ConfigMap, colour: &str, plan: &mut Plan) {
    if found.data.as_ref().and_then(|data| data.get("colour")).is_none_or(|is| is != colour) {
        let mut painted = found.clone();
        painted.data.get_or_insert_default().insert("colour".into(), colour.into());
        plan.update(found, &painted);
    }
}

controller!(
    Red,
    "red",
    Arc<ConfigMap>,
    Watches::root::<ConfigMap>(),
    |key, view| view.get::<ConfigMap>(key).filter(|_| &*key.name == "flag"),
    |found, plan| {
        colour(found, "red", &mut plan);
    }
);

controller!(
    Blue,
    "blue",
    Arc<ConfigMap>,
    Watches::root::<ConfigMap>(),
    |key, view| view.get::<ConfigMap>(key).filter(|_| &*key.name == "flag"),
    |found, plan| {
        colour(found, "blue", &mut plan);
    }
);

controller!(
    Twofold,
    "twofold",
    bool,
    Watches::root::<ConfigMap>().reads::<Secret>(),
    |key, view| (&*key.name == "order").then(|| view.get::<Secret>(&self::key("order-key")).is_some()),
    |done, plan| {
        if !done {
            let mut secret = Secret::default();
            secret.metadata.name = Some("order-key".into());
            secret.metadata.namespace = Some("default".into());
            plan.ensure(&secret);
            let mut receipt = ConfigMap::default();
            receipt.metadata.name = Some("order-receipt".into());
            receipt.metadata.namespace = Some("default".into());
            plan.ensure(&receipt);
        }
    }
);
