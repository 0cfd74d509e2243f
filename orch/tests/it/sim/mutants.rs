//! Planted bugs of the loops that keep sets, Jobs, volumes and sizes: each of them our own controller, which misreads a field or whose
//! plans are spoilt.

use super::{
    glasses::{Misread, misreading},
    mutant::Mutant,
    planted::{By, Planted, base, key},
};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, StatefulSet},
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::Job,
    core::v1::{PersistentVolume, Pod},
    policy::v1::PodDisruptionBudget,
};
use orch::{
    api::{Key, Object},
    controllers::{cron_job::CronJobController, job::JobController},
    runtime::{Action, Controller, Plan, View, Watches, controller::of},
    sim::{Change, Edit, Scenario, Sim, scenarios},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// The planted bugs of this file.
pub(super) fn all() -> Vec<Planted> {
    [sets(), work(), volumes(), fights()].into_iter().flatten().collect()
}

fn scenario(changes: impl IntoIterator<Item = Change>, sim: impl Fn(u64) -> Sim + Send + Sync + 'static) -> Scenario {
    Scenario::new("planted", "A bug that was planted.", &[]).with(changes).on(sim)
}

/// A cluster with a built-in loop that misreads the objects of a kind.
fn shortsighted<K: Object>(name: &'static str, misread: Misread) -> impl Fn(u64) -> Sim {
    move |seed| base(seed).controller(name, move |config| misreading(config, name, K::gvr(), misread))
}

fn found(bug: &'static str, seen_by: &'static str, scenario: Scenario) -> Planted {
    Planted { bug, by: By::Hand("none"), seen_by, scenario }
}

/// A Pod that nobody owns, and nobody would.
fn disown(pod: &mut Value) {
    (pod["metadata"]["labels"], pod["metadata"]["ownerReferences"]) = (json!({}), json!([]));
}

fn image(kind: &str) -> Change {
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "app:2"}]}}}});
    Change::patch(5_000, kind, &key("web"), patch)
}

fn sets() -> Vec<Planted> {
    let set = |kind: &str, more: Value| {
        let mut set = scenarios::deployment(3, "app:1");
        (set["kind"], set["spec"]["replicas"]) = (json!(kind), Value::Null);
        for (field, value) in more.as_object().into_iter().flatten() {
            set["spec"][field] = value.clone();
        }
        Change::given(set)
    };
    vec![
        found(
            "makes the Pods of a StatefulSet at once, where one was to wait for the other",
            "order",
            scenario(
                [set("StatefulSet", json!({"replicas": 3, "serviceName": "web"}))],
                shortsighted::<StatefulSet>("statefulset", |set| {
                    set["spec"]["podManagementPolicy"] = json!("Parallel");
                }),
            ),
        ),
        found(
            "replaces the Pods of a DaemonSet without regard to maxUnavailable",
            "daemons",
            scenario(
                [set("DaemonSet", json!({})), image(scenarios::DAEMON_SET)],
                shortsighted::<DaemonSet>("daemonset", |set| {
                    set["spec"]["updateStrategy"] =
                        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%", "maxSurge": 0}});
                }),
            ),
        ),
        found(
            "a Pod that is not ready yet is not counted, so that a node gets two daemons",
            "identity",
            scenario(
                [set("DaemonSet", json!({}))],
                shortsighted::<Pod>("daemonset", |pod| {
                    let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
                    if !conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True") {
                        disown(pod);
                    }
                }),
            ),
        ),
    ]
}

fn work() -> Vec<Planted> {
    let job = |spec: Value| Change::given(scenarios::job(spec, json!({"run": "3"})));
    let spoilt = |spoil: fn(&mut Plan)| {
        move |seed| base(seed).controller("job", move |_| of(Mutant { inner: JobController::default(), spoil }))
    };
    let indexed = || job(json!({"completionMode": "Indexed", "completions": 3, "parallelism": 2}));
    vec![
        found(
            "runs a Job once more than it was asked to",
            "work",
            scenario(
                [job(json!({"completions": 3}))],
                shortsighted::<Job>("job", |job| {
                    job["spec"]["completions"] = json!(job["spec"]["completions"].as_i64().unwrap() + 1);
                }),
            ),
        ),
        found(
            "starts an index of a Job again while its first Pod begins",
            "identity",
            scenario([indexed()], |seed| {
                let misread: Misread = |pod| {
                    if pod["status"]["phase"] == "Pending" {
                        disown(pod);
                    }
                };
                shortsighted::<Pod>("job", misread)(seed).most_writes(400)
            }),
        ),
        found(
            "starts an index of a Job again that has succeeded",
            "work",
            scenario([indexed()], move |seed| spoilt(miss_by_one)(seed).most_writes(400)),
        ),
        found(
            "says that a Job has ended while Pods of it are still ending",
            "work",
            scenario(
                [job(json!({"completions": 2, "parallelism": 2, "activeDeadlineSeconds": 2}))],
                shortsighted::<Pod>("job", |pod| {
                    if !pod["metadata"]["deletionTimestamp"].is_null() {
                        disown(pod);
                    }
                }),
            ),
        ),
        Planted {
            bug: "counts a Pod of a Job before its finalizer goes, and so again after a crash between the two",
            by: By::Enumerating("job"),
            seen_by: "counted once",
            scenario: Scenario {
                controllers: vec!["job".into()],
                ..scenario([job(json!({"completions": 2}))], spoilt(count_at_once))
            },
        },
        found(
            "a Pod of a Job that has succeeded counts twice",
            "counted once",
            scenario([job(json!({"completions": 3}))], spoilt(count_twice)),
        ),
        found(
            "forgets to take the finalizer off the Pods that are counted",
            "desired state",
            scenario([job(json!({"completions": 2}))], spoilt(forget_the_finalizer)),
        ),
        found(
            "a Job for a time has a name of its own, so that the time comes twice",
            "identity",
            scenario(
                [
                    Change::given(scenarios::cron_job("* * * * *", scenarios::job(json!({}), json!({"run": "2"})))),
                    // Long enough for a time to come.
                    Change::patch(70_000, scenarios::CRON_JOB, &key("work"), json!({"spec": {"suspend": true}})),
                ],
                |seed| {
                    base(seed).most_writes(400).controller("cronjob", |_| {
                        of(Mutant { inner: CronJobController::default(), spoil: draw_names })
                    })
                },
            ),
        ),
    ]
}

fn volumes() -> Vec<Planted> {
    let meta = |name: &str| json!({"name": name, "namespace": "default"});
    let claim = |at_ms, name: &str| {
        Change::at(
            at_ms,
            Edit::Put {
                object: json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta(name),
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "by-hand", "resources": {"requests": {"storage": "1Gi"}}}}),
            },
        )
    };
    let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "only"}, "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "by-hand",
        "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": "/data"}}});
    vec![found(
        "a volume that a claim has is taken for one that is free",
        "volumes",
        scenario([Change::given(volume), claim(1_000, "first"), claim(5_000, "second")], |seed| {
            let misread: Misread = |volume| {
                volume["spec"]["claimRef"] = Value::Null;
                volume["status"]["phase"] = json!("Available");
            };
            shortsighted::<PersistentVolume>("persistentvolume-binder-controller", misread)(seed).most_writes(400)
        }),
    )]
}

fn fights() -> Vec<Planted> {
    let autoscaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"minReplicas": 1, "maxReplicas": 5, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}});
    let budget = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}});
    let evict = |at_ms, nth| Change::at(at_ms, Edit::Evict { app: "web".into(), nth });
    let mut daemons = scenarios::deployment(1, "app:1");
    (daemons["kind"], daemons["spec"]["replicas"]) = (json!("DaemonSet"), Value::Null);
    daemons["spec"]["template"]["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
    let taint = json!({"spec": {"taints": [{"key": "busy", "value": "yes", "effect": "NoExecute"}]}});
    vec![
        found(
            "an autoscaler without a tolerance: now one too few, now one too many",
            "fight",
            scenario([Change::given(scenarios::deployment(4, "app:1")), Change::given(autoscaler)], |seed| {
                base(seed).most_writes(1_000).controller("horizontal-pod-autoscaler-controller", |_| of(Intolerant))
            }),
        ),
        found(
            "insists on a number of replicas that an autoscaler sets",
            "fight",
            scenario([Change::given(scenarios::deployment(4, "app:1"))], |seed| {
                let sim = base(seed).most_writes(1_000).controller("insistent", |_| of(Wants::<2>));
                sim.controller("horizontal-pod-autoscaler-controller", |_| of(Wants::<4>))
            }),
        ),
        found(
            "evicts Pods that tolerate a taint, as often as they are made",
            "fight",
            scenario(
                [Change::given(daemons), Change::patch(5_000, "v1 Node", &Key::cluster("node-0"), taint)],
                |seed| {
                    let misread: Misread = |pod| pod["spec"]["tolerations"] = json!([]);
                    shortsighted::<Pod>("taint-eviction-controller", misread)(seed).most_writes(1_000)
                },
            ),
        ),
        found(
            "takes a budget for one that asks for a Pod less",
            "disruption budget",
            scenario(
                [
                    Change::given(scenarios::replica_set(3)),
                    Change::given(budget),
                    evict(6_000, 0),
                    evict(6_010, 1),
                    evict(6_020, 2),
                ],
                shortsighted::<PodDisruptionBudget>("disruption-controller", |budget| {
                    budget["spec"]["minAvailable"] = json!(1);
                }),
            ),
        ),
    ]
}

/// The Pod for an index is made for the one before it.
fn miss_by_one(plan: &mut Plan) {
    const INDEX: &str = "/metadata/annotations/batch.kubernetes.io~1job-completion-index";
    for action in &mut plan.actions {
        if let Action::Create { body, .. } = action
            && let Some(index) = Arc::make_mut(body).pointer_mut(INDEX)
        {
            let number: u32 = index.as_str().unwrap().parse().unwrap();
            *index = json!(number.saturating_sub(1).to_string());
        }
    }
}

/// What is to be noted is counted straight away.
fn count_at_once(plan: &mut Plan) {
    for action in &mut plan.actions {
        if let Action::Update { subresource: Some("status"), body, .. } = action
            && let Some(noted) = body["status"]["uncountedTerminatedPods"]["succeeded"].as_array().map(Vec::len)
        {
            let before = body["status"]["succeeded"].as_u64().unwrap_or(0);
            body["status"]["succeeded"] = json!(before + noted as u64);
            body["status"]["uncountedTerminatedPods"] = json!({});
        }
    }
}

/// Where a status tells of Pods that have succeeded, it tells of one more.
fn count_twice(plan: &mut Plan) {
    for action in &mut plan.actions {
        if let Action::Update { subresource: Some("status"), body, .. } = action
            && let Some(succeeded) = body["status"]["succeeded"].as_i64().filter(|count| *count > 0)
        {
            body["status"]["succeeded"] = json!(succeeded + 1);
        }
    }
}

/// Patches of Pods, which take finalizers off, are left out.
fn forget_the_finalizer(plan: &mut Plan) {
    let before = plan.actions.len();
    plan.actions.retain(|action| !matches!(action, Action::Patch { target, .. } if &*target.kind == "Pod"));
    if plan.actions.len() < before {
        plan.requeue_after = Some(Duration::from_secs(600));
    }
}

/// The API server is to draw the names of Jobs.
fn draw_names(plan: &mut Plan) {
    for action in &mut plan.actions {
        if let Action::Create { target, body, .. } = action
            && &*target.kind == "Job"
        {
            target.key.name = "".into();
            let body = Arc::make_mut(body);
            body["metadata"].as_object_mut().unwrap().remove("name");
            body["metadata"]["generateName"] = json!("work-");
        }
    }
}

/// The Deployment that an autoscaler scales is at a number of replicas; `plan` says at which it is to be.
fn scale(deployment: &Deployment, replicas: i32, plan: &mut Plan) {
    let mut scaled = deployment.clone();
    scaled.spec.replicas = Some(replicas);
    plan.update(deployment, &scaled);
}

fn replicas(deployment: &Deployment) -> i32 {
    deployment.spec.replicas.unwrap_or(1)
}

/// Shares a load between Pods, and is satisfied by nothing but what each was meant to have.
struct Intolerant;

impl Controller for Intolerant {
    const NAME: &'static str = "horizontal-pod-autoscaler-controller";
    const ABOUT: &'static str = "Has a bug.";
    type World = Arc<Deployment>;

    fn watches(&self) -> Watches {
        Watches::root::<HorizontalPodAutoscaler>().reads::<Deployment>()
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<Self::World> {
        view.get::<Deployment>(key)
    }

    fn plan(&self, deployment: &Self::World, _: Timestamp) -> Plan {
        let mut plan = Plan { requeue_after: Some(Duration::from_secs(15)), ..Plan::default() };
        let has = replicas(deployment);
        let each = 1_100 / has.max(1);
        scale(deployment, has + (each - 250).signum(), &mut plan);
        plan
    }
}

/// Wants a number of replicas whatever others want: an autoscaler at its limit, or what applies a file with replicas in it.
struct Wants<const REPLICAS: i32>;

impl<const REPLICAS: i32> Controller for Wants<REPLICAS> {
    const NAME: &'static str = if REPLICAS == 4 { "horizontal-pod-autoscaler-controller" } else { "insistent" };
    const ABOUT: &'static str = "Wants a number of replicas.";
    type World = Arc<Deployment>;

    fn watches(&self) -> Watches {
        Watches::root::<Deployment>()
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<Self::World> {
        view.get::<Deployment>(key)
    }

    fn plan(&self, deployment: &Self::World, _: Timestamp) -> Plan {
        let mut plan = Plan::default();
        if replicas(deployment) != REPLICAS {
            scale(deployment, REPLICAS, &mut plan);
        }
        plan
    }
}
