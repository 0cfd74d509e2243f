//! How do I write an operator? This one ([its code](../src/operator_orch.rs)) runs a Deployment and a Service for every
//! `Site`, a kind of its own: with a finalizer, status conditions, events, a validating webhook, leader election, metrics,
//! and a reconcile that reads what it wrote. `cargo run -p examples --example operator_orch`

use examples::{
    operator_orch::{Sites, hook, watches},
    scenario::{self, Failed, InProcess},
};
use orch::{
    Cluster,
    api::Key,
    runtime::{Manager, leader::Election},
};

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let cluster = Cluster::builder().simulated_nodes(1).admission_hook(hook()).build().await?;
    let manager = Manager::new(&cluster.caches(), cluster.ambient())
        .lead(Election::new(Key::new("default", "sites"), "this-process"))
        .reconciler("sites", watches(), Sites);
    let metrics = manager.metrics().clone();
    // A program of its own would await `manager.run_until_signal()`.
    cluster.ambient().tasks.spawn_graceful(async move { drop(manager.run(std::future::pending()).await) });

    let user = InProcess(cluster.client());
    scenario::run(&user).await?;
    scenario::is_refused(&user).await?;
    println!("the operator on orch-runtime has passed");
    let text = metrics.text();
    let line = text.lines().find(|line| line.contains("reconcile_total") && line.contains("success"));
    println!("{}", line.unwrap_or("nothing was measured"));
    cluster.stop().await;
    Ok(())
}
