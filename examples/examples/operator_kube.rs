//! Does my kube-rs operator run against orch, as it is? This one knows nothing of orch ([its code](../src/operator_kube.rs));
//! here it runs against a cluster in this process, without a socket. The same operator runs over HTTPS, with kubectl as
//! the user, in `orch/tests/kubectl/operators.rs`. `cargo run -p examples --example operator_kube`

use examples::{
    operator_kube,
    scenario::{self, Failed, InProcess},
};
use orch::Cluster;
use tokio::sync::oneshot;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let cluster = Cluster::builder().simulated_nodes(1).build().await?;
    let (stop, stopped) = oneshot::channel::<()>();
    let operator = operator_kube::run(cluster.kube_client(), async { drop(stopped.await) });
    cluster.ambient().tasks.spawn_graceful(operator);

    scenario::run(&InProcess(cluster.client())).await?;
    println!("the operator on kube-rs has passed");
    drop(stop);
    cluster.stop().await;
    Ok(())
}
