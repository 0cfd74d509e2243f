//! One operator written twice, on kube-rs alone and on orch-runtime, and one story that both must pass: here in the process
//! of the cluster, in `tests/kubectl/operators.rs` over HTTPS with kubectl as the user.

use examples::{
    operator_kube,
    operator_orch::{Sites, hook, watches},
    scenario::{self, InProcess},
    site::Site,
};
use kube::CustomResourceExt;
use orch::{
    Cluster,
    api::Key,
    runtime::{Manager, leader::Election, reconciler, view::Caches},
    sim::{Change, Check, FaultPlan, Scenario, Sim, enumerate},
    store::{Client, Informers, remote::RemoteClient},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// The story of the operator on orch-runtime, whatever it speaks to the server by.
async fn on_orch(cluster: Cluster, client: Arc<dyn Client>) {
    let ambient = cluster.ambient().clone();
    let manager = Manager::new(&Caches::new(Informers::new(client, ambient.child("operator"))), &ambient)
        .lead(Election::new(Key::new("default", "sites"), "me"))
        .reconciler("sites", watches(), Sites);
    ambient.tasks.spawn_graceful(async move { manager.run(std::future::pending()).await.unwrap() });
    scenario::run(&InProcess(cluster.client())).await.unwrap();
    cluster.stop().await;
}

async fn cluster() -> Cluster {
    Cluster::builder().seed(1).simulated_nodes(1).build().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_operator_runs_in_process() {
    let cluster = cluster().await;
    let client = cluster.client();
    on_orch(cluster, client).await;
}

#[tokio::test(start_paused = true)]
async fn the_same_operator_runs_over_http() {
    let cluster = cluster().await;
    let client = Arc::new(RemoteClient::new(cluster.kube_client()));
    on_orch(cluster, client).await;
}

/// The time is real here: kube-rs' own timers and ours would move a paused clock past each other's timeouts.
#[tokio::test]
async fn the_operator_on_kube_rs_alone_runs_in_process_without_a_socket() {
    let cluster = Cluster::builder().simulated_nodes(1).build().await.unwrap();
    let operator = operator_kube::run(cluster.kube_client(), std::future::pending());
    cluster.ambient().tasks.spawn(operator);
    scenario::run(&InProcess(cluster.client())).await.unwrap();
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn its_webhook_refuses_what_it_could_only_complain_about() {
    let cluster = Cluster::builder().seed(1).admission_hook(hook()).build().await.unwrap();
    cluster.register::<Site>().await.unwrap();
    cluster.register::<Site>().await.expect("again changes nothing");
    scenario::is_refused(&InProcess(cluster.client())).await.unwrap();
    cluster.stop().await;
}

/// A site is opened, changed, loses what it owns, and is closed.
fn simulated() -> Scenario {
    let key = Key::new("default", "shop");
    let site = |name: &str| {
        let mut site: Value = scenario::site(name, "web:1", 2);
        site["metadata"]["namespace"] = json!("default");
        site
    };
    let put = |at_ms: u64, object: Value| Change { at_ms, ..Change::given(object) };
    Scenario::new("site", "A site is opened, changed, loses what it owns, and is closed.", &["sites"])
        .on(|seed| {
            let make = || reconciler::of("sites", "Runs sites.", watches, Sites);
            Sim::new(seed).nodes(1).controller("sites", move |_| make())
        })
        .with([
            Change::given(serde_json::to_value(Site::crd()).unwrap()),
            put(3_000, site("shop")),
            put(3_000, site("cafe")),
            Change::patch(20_000, "example.com/v1 Site", &key, json!({"spec": {"replicas": 3}})),
            Change::delete(40_000, "v1 Service", &key, None),
            Change::delete(60_000, "example.com/v1 Site", &key, None),
        ])
        .about_object("example.com/v1 Site", Key::new("default", "cafe"))
}

#[test]
fn the_operator_survives_lost_answers_and_a_crash_at_every_write() {
    let scenario = simulated();
    for preset in ["none", "lossy"] {
        let case = scenario.case(1, Check::Clean, FaultPlan::preset(preset).unwrap());
        let (outcome, failures) = scenario.judge(&case);
        assert!(failures.is_empty(), "{preset}: {failures:?}\n{outcome}");
    }
    // Some of each kind of perturbation; with 1000 it is all of them, in minutes.
    let done = enumerate(&scenario, "sites", 1, 30);
    done.assert();
    assert!(done.runs > 10, "only {} runs", done.runs);
}
