//! The planted bugs: copies of our controllers with a wrong plan, and small controllers with the mistakes that people
//! make.

use super::planted::{By, Planted};
use futures::{StreamExt, future::BoxFuture};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::ReplicaSet,
    core::v1::{ConfigMap, Pod, Secret},
};
use orch::{
    api::{Key, Object},
    controllers::deployment::DeploymentController,
    runtime::{Action, Controller, Deletes, Error, Plan, View, Watches, controller::of},
    sim::{Change, Edit, Judge, Oracle, Patience, Scenario, Sim, Start, scenarios, state::Write},
    store::{
        Ambient, Client, ClientExt, Informers,
        client::{DeleteOptions, TypedEvent, WatchOptions, WriteOptions},
    },
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// A controller of ours whose plans are spoilt before they are performed.
pub(super) struct Mutant<C> {
    pub(super) inner: C,
    pub(super) spoil: fn(&mut Plan),
}

impl<C: Controller> Controller for Mutant<C> {
    const NAME: &'static str = C::NAME;
    const ABOUT: &'static str = C::ABOUT;
    const DELETES: Deletes = C::DELETES;
    const COMPONENT: &'static str = C::COMPONENT;
    type World = C::World;

    fn watches(&self) -> Watches {
        self.inner.watches()
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<Self::World> {
        self.inner.observe(key, view)
    }

    fn gather<'a>(&'a self, world: Self::World, client: &'a dyn Client) -> BoxFuture<'a, Result<Self::World, Error>> {
        self.inner.gather(world, client)
    }

    fn remember(&self, world: &Self::World, now: Timestamp, error: Option<&Error>) {
        self.inner.remember(world, now, error);
    }

    fn plan(&self, world: &Self::World, now: Timestamp) -> Plan {
        let mut plan = self.inner.plan(world, now);
        (self.spoil)(&mut plan);
        plan
    }
}

pub(super) fn base(seed: u64) -> Sim {
    Sim::new(seed).nodes(2).patience(Patience::short())
}

/// A cluster with a spoilt Deployment controller.
fn spoilt_deployment(spoil: fn(&mut Plan)) -> impl Fn(u64) -> Sim {
    move |seed| base(seed).controller("deployment", move |_| of(Mutant { inner: DeploymentController, spoil }))
}

fn with_process(
    name: &'static str,
    start: fn(Arc<dyn Client>, Ambient) -> BoxFuture<'static, ()>,
) -> impl Fn(u64) -> Sim {
    move |seed| {
        let start: Start = Arc::new(start);
        base(seed).without(name).process(name, start)
    }
}

fn rollout() -> Vec<Change> {
    let web = Key::new("default", "web");
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "app:2"}]}}}});
    vec![Change::given(scenarios::deployment(4, "app:1")), Change::patch(5_000, scenarios::DEPLOYMENT, &web, image)]
}

fn config_map(name: &str, more: Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": {"value": "1"}});
    for (field, value) in more.as_object().into_iter().flatten() {
        object["metadata"][field] = value.clone();
    }
    object
}

pub(super) fn key(name: &str) -> Key {
    Key::new("default", name)
}

const CONFIG_MAP: &str = "v1 ConfigMap";

/// Every planted bug.
pub(super) fn all() -> Vec<Planted> {
    let scenario = |changes: Vec<Change>| {
        Scenario::new("planted", "A bug that was planted.", &["deployment", "replicaset"]).with(changes)
    };
    let ended = |changes: Vec<Change>, object: &str| scenario(changes).about_object(CONFIG_MAP, key(object));
    vec![
        Planted {
            bug: "one Pod too many while rolling out: maxSurge forgotten at a step",
            by: By::Hand("none"),
            seen_by: "rollout",
            scenario: scenario(rollout())
                .on(spoilt_deployment(|plan| scale(plan, |before, after| after + i64::from(after > before) * 2))),
        },
        Planted {
            bug: "maxUnavailable rounded up: the old ReplicaSet shrinks by one too many",
            by: By::Hand("none"),
            seen_by: "rollout",
            scenario: scenario(rollout()).on(spoilt_deployment(|plan| {
                scale(plan, |before, after| after - i64::from(after < before && after > 0))
            })),
        },
        Planted {
            bug: "a status that tells when it was checked, and so is never the same",
            by: By::Hand("none"),
            seen_by: "rest",
            scenario: scenario(vec![Change::given(config_map("clock", json!({})))])
                .on(|seed| base(seed).most_writes(400).controller("teller", |_| of(Teller))),
        },
        Planted {
            bug: "the list of what it owns is not asked whose it is: Pods of others are deleted",
            by: By::Hand("none"),
            seen_by: "only its own",
            scenario: scenario(vec![
                Change::given(scenarios::replica_set(1)),
                Change::at(3_000, Edit::Put { object: others_pod() }),
            ])
            .on(|seed| base(seed).without("garbage-collector-controller").controller("replicaset", |_| of(BySelector))),
        },
        Planted {
            bug: "decides from a cache that has not seen what it wrote itself",
            by: By::Hand("slow"),
            seen_by: "replicas",
            scenario: scenario(vec![
                Change::given(scenarios::replica_set(1)),
                Change::patch(2_900, scenarios::REPLICA_SET, &key("web"), json!({"spec": {"replicas": 3}})),
            ])
            .on(with_process("replicaset", |client, ambient| Box::pin(hasty(client, ambient)))),
        },
        Planted {
            bug: "a Pod that is being deleted counts as one that is there",
            by: By::Exploring,
            seen_by: "desired state",
            scenario: scenario(vec![Change::given(scenarios::replica_set(2))])
                .about_object(scenarios::REPLICA_SET, key("web"))
                .on(|seed| base(seed).controller("replicaset", |_| of(CountsTheDying))),
        },
        Planted {
            bug: "creates for an owner that is being deleted",
            by: By::Hand("none"),
            seen_by: "nothing for the dead",
            scenario: scenario(vec![
                Change::given(config_map("parent", json!({"finalizers": ["example.com/hold"]}))),
                Change::delete(3_000, CONFIG_MAP, &key("parent"), None),
                Change::delete(8_000, CONFIG_MAP, &key("child"), None),
            ])
            .on(|seed| base(seed).controller("children", |_| of(Children))),
        },
        Planted {
            bug: "a finalizer that nobody takes off again",
            by: By::Hand("none"),
            seen_by: "desired state",
            scenario: scenario(vec![
                Change::given(config_map("guarded", json!({}))),
                Change::delete(3_000, CONFIG_MAP, &key("guarded"), None),
            ])
            .on(|seed| base(seed).controller("guard", |_| of(Guard))),
        },
        Planted {
            bug: "two controllers that want different things",
            by: By::Hand("none"),
            seen_by: "rest",
            scenario: scenario(vec![Change::given(config_map("flag", json!({})))])
                .on(|seed| base(seed).most_writes(400).controller("red", |_| of(Red)).controller("blue", |_| of(Blue))),
        },
        Planted {
            bug: "dies between two writes, and takes the first for both",
            by: By::Enumerating("twofold"),
            seen_by: "end state",
            scenario: scenario(vec![Change::given(config_map("order", json!({})))])
                .on(|seed| base(seed).controller("twofold", |_| of(Twofold))),
        },
        Planted {
            bug: "acts on the event and not on the state",
            by: By::Enumerating("counter"),
            seen_by: "end state",
            scenario: scenario(vec![
                Change::given(config_map("counted", json!({"labels": {"count": "me"}}))),
                Change::delete(3_000, CONFIG_MAP, &key("counted"), None),
            ])
            .on(with_process("counter", |client, ambient| Box::pin(counter(client, ambient)))),
        },
        Planted {
            bug: "an update without a precondition undoes another's",
            by: By::Hand("watches"),
            seen_by: "the user's word",
            scenario: ended(
                vec![
                    Change::given(config_map("shared", json!({}))),
                    Change::patch(4_000, CONFIG_MAP, &key("shared"), json!({"data": {"value": "2"}})),
                ],
                "shared",
            )
            .on(|seed| {
                with_process("stamper", |client, ambient| Box::pin(stamper(client, ambient)))(seed)
                    .oracle(|| Box::new(UsersWord))
            }),
        },
        Planted {
            bug: "creates again what it has created, since the answer was lost",
            by: By::Enumerating("once"),
            seen_by: "end state",
            scenario: scenario(vec![Change::given(config_map("task", json!({})))])
                .on(with_process("once", |client, ambient| Box::pin(once(client, ambient)))),
        },
    ]
}

/// Changes how many replicas a plan asks ReplicaSets for.
fn scale(plan: &mut Plan, change: impl Fn(i64, i64) -> i64) {
    for action in &mut plan.actions {
        if let Action::Update { target, subresource: None, before, body } = action
            && &*target.kind == "ReplicaSet"
            && let (Some(old), Some(new)) = (before["spec"]["replicas"].as_i64(), body["spec"]["replicas"].as_i64())
        {
            body["spec"]["replicas"] = json!(change(old, new));
        }
    }
}

/// A Pod like those of `web` that somebody else controls.
fn others_pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "another", "namespace": "default", "labels": {"app": "web"},
        "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "theirs", "uid": "7", "controller": true}]},
        "spec": {"containers": [{"name": "main", "image": "app:1"}]}})
}

/// The Pods of a set, by its selector alone.
fn selected(set: &ReplicaSet, view: &View<'_>) -> Vec<Arc<Pod>> {
    let app = set.spec.selector.match_labels.clone().unwrap_or_default();
    let has = |pod: &Pod| {
        app.iter().all(|(name, value)| pod.metadata.labels.as_ref().and_then(|l| l.get(name)) == Some(value))
    };
    view.list::<Pod>("default").into_iter().filter(|pod| has(pod)).collect()
}

fn new_pod(set: &ReplicaSet) -> Pod {
    let template = set.spec.template.clone().unwrap_or_default();
    let mut pod: Pod = serde_json::from_value(json!({"metadata": {"generateName": "web-", "namespace": "default",
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": set.metadata.uid, "controller": true}]}})).unwrap();
    pod.metadata.labels = template.metadata.and_then(|meta| meta.labels);
    pod.spec = template.spec;
    pod
}

macro_rules! controller {
    ($name:ident, $id:literal, $world:ty, $watches:expr, |$key:ident, $view:ident| $observe:expr, |$seen:ident, $plan:ident| $decide:block) => {
        struct $name;
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
struct Teller;

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

/// Ten times a second, what the cache lacks is created.
async fn hasty(client: Arc<dyn Client>, ambient: Ambient) {
    let informers = Informers::new(client.clone(), ambient.clone());
    let (sets, pods) = (informers.of::<ReplicaSet>(), informers.of::<Pod>());
    let work = async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            for set in sets.list("default").iter().filter_map(|set| set.decode::<ReplicaSet>().ok()) {
                let wanted = set.spec.replicas.unwrap_or(1) as usize;
                let has = pods.owned_by(set.metadata.uid.as_deref().unwrap_or_default()).len();
                for _ in has..wanted {
                    let _ = client.add(&new_pod(&set)).await;
                }
            }
        }
    };
    ambient.tasks.cancelled().run_until_cancelled(work).await;
}

/// A ConfigMap for each that appears, gone with each that goes.
async fn counter(client: Arc<dyn Client>, ambient: Ambient) {
    let work = async {
        loop {
            let options = WatchOptions { labels: "count=me".into(), ..WatchOptions::default() };
            let Ok(mut events) = client.follow::<ConfigMap>(&options).await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            while let Some(Ok(event)) = events.next().await {
                let name = |found: &ConfigMap| format!("{}-count", found.metadata.name.clone().unwrap_or_default());
                let _ = match event {
                    TypedEvent::Added(found) => {
                        let body = config_map(&name(&found), json!({}));
                        client
                            .create(&ConfigMap::gvr(), &key(&name(&found)), None, body, &WriteOptions::default())
                            .await
                            .map(drop)
                    }
                    TypedEvent::Deleted(found) => {
                        client.remove_with::<ConfigMap>(&key(&name(&found)), &DeleteOptions::default()).await.map(drop)
                    }
                    _ => Ok(()),
                };
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    ambient.tasks.cancelled().run_until_cancelled(work).await;
}

/// Writes down ten times that it was here, over whatever is there.
async fn stamper(client: Arc<dyn Client>, ambient: Ambient) {
    let shared = Informers::new(client.clone(), ambient.clone()).of::<ConfigMap>();
    let work = async {
        let mut stamps = 0;
        while stamps < 10 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let Some(found) = shared.get(&key("shared")) else { continue };
            let Ok(mut body) = found.parse::<Value>() else { continue };
            stamps += 1;
            body["data"]["stamp"] = json!(stamps.to_string());
            body["metadata"]["resourceVersion"] = json!("");
            let _ = client.update(&ConfigMap::gvr(), &key("shared"), None, body, &WriteOptions::default()).await;
        }
        std::future::pending::<()>().await;
    };
    ambient.tasks.cancelled().run_until_cancelled(work).await;
}

/// One helper for the task, created until the API server says that it is.
async fn once(client: Arc<dyn Client>, ambient: Ambient) {
    let work = async {
        let _ = client.wait_for::<ConfigMap, _>(&key("task"), |task| task.is_some()).await;
        let helpers = client.read_all::<ConfigMap>("default").await.unwrap_or_default();
        let is_helper = |found: &ConfigMap| found.metadata.generate_name.as_deref() == Some("helper-");
        if !helpers.iter().any(|found| is_helper(found)) {
            let mut helper = ConfigMap::default();
            helper.metadata.generate_name = Some("helper-".into());
            helper.metadata.namespace = Some("default".into());
            while client.add(&helper).await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        std::future::pending::<()>().await;
    };
    ambient.tasks.cancelled().run_until_cancelled(work).await;
}

/// An oracle of an operator author: what the user wrote stays.
struct UsersWord;

impl Oracle for UsersWord {
    fn name(&self) -> &'static str {
        "the user's word"
    }

    fn judge(&mut self, write: &Write, _: &Judge<'_>) -> Result<(), String> {
        let (Some(old), Some(new)) = (&write.old, &write.new) else { return Ok(()) };
        match &*write.who == "user" || old.at("/data/value") == new.at("/data/value") {
            true => Ok(()),
            false => Err(format!("{new} said {} and says {}", old.at("/data/value"), new.at("/data/value"))),
        }
    }
}
