//! The same pods on every runtime.

use crate::{cluster::ORCH, namespaces::inside};
use orch::{
    Cluster,
    cluster::NodeParts,
    node::{
        AgentConfig, ProcessRuntime, SimulatedRuntime,
        agent::Machine,
        conformance::pods::{World, run},
        image::Registries,
        net::{BridgeNetwork, BridgeOptions},
        oci::{OciRuntime, RuntimeOptions},
        probe::{NetProber, Prober},
        simulated::Rules,
    },
    runtime::node::container::ContainerRuntime,
    store::Ambient,
};
use std::{path::Path, sync::Arc};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_on_the_simulated_runtime() {
    let dir = tempfile::tempdir().unwrap();
    let ambient = Ambient::system();
    let runtime = Arc::new(SimulatedRuntime::new(Rules::default(), [10, 244, 0, 0].into(), ambient.clone()));
    judge(dir.path(), &ambient, runtime.clone(), runtime).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_on_the_process_runtime() {
    let dir = tempfile::tempdir().unwrap();
    let ambient = Ambient::system();
    let shim = vec![ORCH.to_owned(), "process-shim".to_owned()];
    let network = "127.201.0.0/16".parse().unwrap();
    let runtime = ProcessRuntime::open(&dir.path().join("state"), shim, network, ambient.clone()).unwrap();
    let runtime = Arc::new(runtime);
    let prober = Arc::new(NetProber { runtime: runtime.clone() });
    judge(dir.path(), &ambient, runtime, prober).await;
}

#[test]
fn pods_on_the_oci_runtime() {
    if inside("pods::pods_on_the_oci_runtime") {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        tokio.block_on(oci());
    }
}

async fn oci() {
    let dir = tempfile::Builder::new().prefix("orch-pods-").tempdir().unwrap();
    let ambient = Ambient::system();
    let bridge = BridgeOptions {
        bridge: "orchpods0".into(),
        subnet: "10.251.0.0/24".parse().unwrap(),
        service_subnet: "10.96.0.0/16".parse().unwrap(),
        directory: dir.path().join("addresses"),
    };
    let options = RuntimeOptions {
        state_dir: dir.path().join("state"),
        shim_command: vec![ORCH.into(), "oci-shim".into()],
        cgroup_root: format!("orch-pods-{}", std::process::id()),
        registries: Registries::default(),
        network: Arc::new(BridgeNetwork::open(bridge, &ambient.tasks).await.unwrap()),
        toolbox: Some(ORCH.into()),
        ambient: ambient.clone(),
    };
    let runtime = Arc::new(OciRuntime::open(options).await.unwrap());
    let prober = Arc::new(NetProber { runtime: runtime.clone() });
    judge(dir.path(), &ambient, runtime, prober).await;
}

/// Runs the suite on a cluster of one such node.
async fn judge(dir: &Path, ambient: &Ambient, runtime: Arc<dyn ContainerRuntime>, prober: Arc<dyn Prober>) {
    let mut config = AgentConfig::new("n1", dir.join("agent"));
    config.machine = Machine::default();
    config.addresses = vec![[127, 0, 0, 1].into()];
    let parts = NodeParts { runtime: runtime.clone(), prober };
    let cluster = Cluster::builder().ambient(ambient.clone()).node(config, parts).build().await.unwrap();
    let summary = run(&World { client: cluster.client(), runtime: runtime.clone() }).await;
    // A case that failed leaves its pod, which the agent would make again.
    for agent in cluster.agents() {
        agent.stop().await;
    }
    for sandbox in runtime.list().await.unwrap() {
        runtime.remove_sandbox(&sandbox.id).await.unwrap();
    }
    cluster.stop().await;
    let name = runtime.info().await.unwrap().name;
    println!("{name}: {} passed, {} skipped: {:?}", summary.passed.len(), summary.skipped.len(), summary.skipped);
    assert!(summary.failed.is_empty(), "{name}: {:#?}", summary.failed);
}
