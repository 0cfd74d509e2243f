//! [`Scenario`]: a cluster with something to do, which can be run as it is, enumerated over and explored from; and the
//! table of the built-in ones, a row for every controller.

use super::{
    case::{self, Case, Change, Check, Edit, Failed},
    fault::FaultPlan,
    run::{Failure, Outcome, Sim},
};
use orch_api::Key;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// Something to do.
#[derive(Clone)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What happens in it.
    pub about: String,
    /// Whom it puts to the test.
    pub controllers: Vec<String>,
    /// The cluster, for a seed.
    pub sim: Arc<dyn Fn(u64) -> Sim + Send + Sync>,
    /// What the user does when nothing else happens.
    pub changes: Vec<Change>,
    /// The object whose spec exploration edits: its kind and its key.
    pub subject: Option<(String, Key)>,
}

impl Scenario {
    /// A scenario with the default cluster.
    pub fn new(name: &str, about: &str, controllers: &[&str]) -> Self {
        Self {
            name: name.into(),
            about: about.into(),
            controllers: controllers.iter().map(|&name| name.into()).collect(),
            sim: Arc::new(|seed| Sim::new(seed).nodes(2).patience(super::Patience::short())),
            changes: Vec::new(),
            subject: None,
        }
    }

    /// Another cluster.
    #[must_use]
    pub fn on(mut self, sim: impl Fn(u64) -> Sim + Send + Sync + 'static) -> Self {
        self.sim = Arc::new(sim);
        self
    }

    /// What the user does.
    #[must_use]
    pub fn with(mut self, changes: impl IntoIterator<Item = Change>) -> Self {
        self.changes.extend(changes);
        self
    }

    /// The object that is explored.
    #[must_use]
    pub fn about_object(mut self, kind: &str, key: Key) -> Self {
        self.subject = Some((kind.into(), key));
        self
    }

    /// The case of a seed with these faults.
    pub fn case(&self, seed: u64, check: Check, faults: FaultPlan) -> Case {
        Case { scenario: self.name.clone(), seed, check, changes: self.changes.clone(), faults }
    }

    /// Runs a case, without comparing its end.
    pub fn play(&self, case: &Case) -> Outcome {
        let changes = case.changes.clone();
        (self.sim)(case.seed).faults(case.faults.clone()).run(async move |world| {
            case::perform(&world, &changes).await;
            world.sleep(Duration::from_secs(2)).await;
            Ok(())
        })
    }

    /// Runs a case and compares its end as the case asks for.
    pub fn judge(&self, case: &Case) -> (Outcome, Vec<Failure>) {
        let outcome = self.play(case);
        let failures = self.compare(case, &outcome, None);
        (outcome, failures)
    }

    /// What is wrong with an outcome; `clean` is the one without faults, where it is known.
    pub(super) fn compare(&self, case: &Case, outcome: &Outcome, clean: Option<&Outcome>) -> Vec<Failure> {
        let mut failures = outcome.failures.clone();
        if !failures.is_empty() || case.check == Check::Alone {
            return failures;
        }
        let other = match (clean, case.check) {
            (Some(clean), _) => clean.clone(),
            (None, Check::Fresh) => self.fresh(case, outcome),
            (None, _) => self.play(&Case { faults: FaultPlan::none(), ..case.clone() }),
        };
        let difference = match case.check {
            Check::Fresh => outcome.reached.differs(&other.reached),
            _ => outcome.normal.differs(&other.normal),
        };
        if let Some(words) = difference {
            let against = if case.check == Check::Fresh { "a fresh cluster" } else { "the clean run" };
            failures.push(Failure { kind: "end state".into(), words: format!("differs from {against}:\n{words}") });
        }
        if case.check == Check::Exact {
            let (mine, clean) = (outcome.made_and_unmade(), other.made_and_unmade());
            for (key, count) in &mine {
                let expected = clean.get(key).copied().unwrap_or(0);
                if *count > expected {
                    let (who, verb, kind) = key;
                    let words = format!("{who}: {verb} {kind} {count} times, {expected} in the clean run");
                    failures.push(Failure { kind: "excess".into(), words });
                }
            }
        }
        failures
    }

    /// A new cluster that is asked straight away for what the user wanted in the end.
    fn fresh(&self, case: &Case, outcome: &Outcome) -> Outcome {
        let changes = outcome.wanted.iter().cloned().map(Change::given).collect();
        self.play(&Case { changes, faults: FaultPlan::none(), ..case.clone() })
    }

    /// A failed case as a report.
    pub fn failed(&self, case: &Case, outcome: &Outcome, failures: Vec<Failure>) -> Failed {
        Failed { case: case.clone(), failures, tail: outcome.history.tail(25) }
    }
}

/// Every built-in scenario. A new controller gets its runs (by hand, enumerated, explored) by a row here.
pub fn all() -> Vec<Scenario> {
    let web = Key::new("default", "web");
    vec![
        Scenario::new(
            "rollout",
            "A Deployment is created, gets another image, is scaled up and down.",
            &["deployment", "replicaset"],
        )
        .with([
            Change::given(deployment(2, "app:1")),
            Change::patch(4_000, DEPLOYMENT, &web, image("app:2")),
            Change::patch(9_000, DEPLOYMENT, &web, json!({"spec": {"replicas": 3}})),
            Change::patch(14_000, DEPLOYMENT, &web, json!({"spec": {"replicas": 1}})),
        ])
        .about_object(DEPLOYMENT, web.clone()),
        Scenario::new("replicas", "A ReplicaSet loses a Pod and is scaled.", &["replicaset"])
            .with([
                Change::given(replica_set(2)),
                Change::at(4_000, Edit::Kill { app: "web".into(), nth: 0 }),
                Change::patch(8_000, REPLICA_SET, &web, json!({"spec": {"replicas": 3}})),
            ])
            .about_object(REPLICA_SET, web.clone()),
        Scenario::new("service", "A Service leads to the Pods of a ReplicaSet that is scaled.", &["endpointslice"])
            .with([
                Change::given(replica_set(2)),
                Change::given(service()),
                Change::patch(5_000, REPLICA_SET, &web, json!({"spec": {"replicas": 1}})),
            ])
            .about_object("v1 Service", web.clone()),
        Scenario::new(
            "namespace",
            "A Namespace with something in it is deleted.",
            &["namespace", "serviceaccount", "root-ca-certificate-publisher"],
        )
        .with([
            Change::given(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})),
            Change::at(1_000, Edit::Put { object: config_map("shop", "menu") }),
            Change::delete(4_000, "v1 Namespace", &Key::cluster("shop"), None),
        ]),
        Scenario::new("collect", "A Deployment is deleted, in the foreground.", &["garbage-collector-controller"])
            .with([Change::given(deployment(2, "app:1")), Change::delete(5_000, DEPLOYMENT, &web, Some("Foreground"))]),
        Scenario::new(
            "orphans",
            "A Deployment is deleted and leaves its ReplicaSet behind.",
            &["garbage-collector-controller", "replicaset"],
        )
        .with([Change::given(deployment(2, "app:1")), Change::delete(5_000, DEPLOYMENT, &web, Some("Orphan"))]),
        Scenario::new(
            "account",
            "A token account is deleted and comes back.",
            &["serviceaccount", "root-ca-certificate-publisher"],
        )
        .with([
            Change::delete(1_000, "v1 ServiceAccount", &Key::new("default", "default"), None),
            Change::patch(
                2_000,
                "v1 ConfigMap",
                &Key::new("default", "kube-root-ca.crt"),
                json!({"data": {"ca.crt": "x"}}),
            ),
        ]),
        Scenario::new(
            "taint",
            "A node gets a taint that its Pods do not tolerate.",
            &["taint-eviction-controller", "node-lifecycle"],
        )
        .with([
            Change::given(replica_set(2)),
            Change::patch(
                5_000,
                "v1 Node",
                &Key::cluster("node-0"),
                json!({"spec": {"taints": [
                    {"key": "broken", "value": "yes", "effect": "NoExecute"}]}}),
            ),
        ]),
    ]
}

/// `apps/v1 Deployment`
pub const DEPLOYMENT: &str = "apps/v1 Deployment";
/// `apps/v1 ReplicaSet`
pub const REPLICA_SET: &str = "apps/v1 ReplicaSet";

/// A Deployment `default/web`.
pub fn deployment(replicas: u32, image: &str) -> Value {
    workload("Deployment", replicas, image)
}

/// A ReplicaSet `default/web`.
pub fn replica_set(replicas: u32) -> Value {
    workload("ReplicaSet", replicas, "app:1")
}

fn workload(kind: &str, replicas: u32, image: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web", "namespace": "default"}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
            "terminationGracePeriodSeconds": 5, "containers": [{"name": "main", "image": image}]}},
    }})
}

fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}})
}

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}})
}

fn config_map(namespace: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": {"a": "1"}})
}
