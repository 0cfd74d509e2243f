//! Planted bugs: controllers of ours with a wrong plan, and small controllers and processes with the mistakes that people make.

mod controllers;
mod processes;

use super::{
    mutant::Mutant,
    planted::{By, Planted, base, key},
};
use controllers::{Blue, BySelector, Children, CountsTheDying, Guard, Red, Teller, Twofold};
use futures::future::BoxFuture;
use orch::{
    controllers::deployment::DeploymentController,
    runtime::{Action, Plan, controller::of},
    sim::{Change, Edit, Judge, Oracle, Scenario, Sim, Start, scenarios, state::Write},
    store::{Ambient, Client},
};
use processes::{counter, hasty, once, stamper};
use serde_json::{Value, json};
use std::sync::Arc;

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
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "app:2"}]}}}});
    vec![
        Change::given(scenarios::deployment(4, "app:1")),
        Change::patch(5_000, scenarios::DEPLOYMENT, &key("web"), image),
    ]
}

fn config_map(name: &str, more: Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": {"value": "1"}});
    for (field, value) in more.as_object().into_iter().flatten() {
        object["metadata"][field] = value.clone();
    }
    object
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
