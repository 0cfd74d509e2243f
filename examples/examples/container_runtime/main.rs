//! Can my pods be something else than containers? Here they are functions of this process: an image is a library of
//! functions, a command names one. `kubectl logs`, exit codes, restarts, exec and attach work as they do for containers.
//!
//! `cargo run -p examples --example container_runtime`, and `cargo test -p examples --example container_runtime` for the laws
//! of all runtimes.

mod runtime;
mod state;

use futures::AsyncReadExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{LogParams, PostParams},
    runtime::wait::await_condition,
};
use orch::{Cluster, cluster::NodeParts, node::AgentConfig, store::Ambient};
use runtime::{Call, Functions, program};
use serde_json::{from_value, json};
use std::{sync::Arc, time::Duration};
use tokio::io::AsyncWriteExt;

async fn greet(mut call: Call) -> i32 {
    let whom = call.args.get(1).map_or("nobody", String::as_str);
    match call.stdout.write_all(format!("good morning, {whom}\n").as_bytes()).await {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

async fn echo(mut call: Call) -> i32 {
    let words = call.args[1..].join(" ") + "\n";
    i32::from(call.stdout.write_all(words.as_bytes()).await.is_err())
}

async fn cat(mut call: Call) -> i32 {
    i32::from(tokio::io::copy(&mut call.stdin, &mut call.stdout).await.is_err())
}

async fn sleep(call: Call) -> i32 {
    let seconds = call.args.get(1).and_then(|arg| arg.parse().ok()).unwrap_or(0);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    0
}

async fn exit(call: Call) -> i32 {
    call.args.get(1).and_then(|arg| arg.parse().ok()).unwrap_or(1)
}

/// The image `functions:1`, and who runs it.
fn functions(ambient: Ambient) -> Functions {
    let library = [
        ("greet", program(greet)),
        ("echo", program(echo)),
        ("cat", program(cat)),
        ("sleep", program(sleep)),
        ("exit", program(exit)),
    ];
    Functions::new("functions:1", library, ambient)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::temp_dir().join(format!("orch-functions-{}", std::process::id()));
    let ambient = Ambient::system();
    let runtime = Arc::new(functions(ambient.clone()));
    let parts = NodeParts { runtime: runtime.clone(), prober: runtime };
    let mut node = AgentConfig::new("functions", &directory);
    node.materialize = false; // Functions see no volumes.
    let cluster = Cluster::builder().ambient(ambient).node(node, parts).build().await?;

    let pods: Api<Pod> = Api::default_namespaced(cluster.kube_client());
    let pod = from_value(json!({"metadata": {"name": "morning"}, "spec": {
        "restartPolicy": "Never",
        "containers": [{"name": "main", "image": "functions:1", "command": ["greet", "world"]}]}}))?;
    pods.create(&PostParams::default(), &pod).await?;
    let ended = |pod: Option<&Pod>| pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref()) == Some("Succeeded");
    tokio::time::timeout(Duration::from_secs(30), await_condition(pods.clone(), "morning", ended)).await??;
    let mut log = String::new();
    pods.log_stream("morning", &LogParams::default()).await?.read_to_string(&mut log).await?;
    print!("the pod said: {log}");
    cluster.stop().await;
    std::fs::remove_dir_all(directory).ok();
    (log == "good morning, world\n")
        .then_some(())
        .ok_or_else(|| format!("it should have been a greeting: {log:?}").into())
}

/// The conformance suite: a runtime is done when it passes.
#[tokio::test]
async fn functions_obey_the_laws_of_container_runtimes() {
    let directory = std::env::temp_dir().join(format!("orch-functions-laws-{}", std::process::id()));
    let runtime = Arc::new(functions(Ambient::system()));
    let again = runtime.clone();
    let fixture = orch::node::conformance::Fixture {
        runtime,
        // What lives in a process ends with it: another instance is one that shares the state.
        reopen: Box::new(move || {
            let again = again.clone();
            Box::pin(async move { again as Arc<dyn orch::runtime::node::container::ContainerRuntime> })
        }),
        image: "functions:1".into(),
        command: |words| words.iter().map(ToString::to_string).collect(),
        logs: directory.clone(),
        real: false,
    };
    orch::node::conformance::run(&fixture).await;
    std::fs::remove_dir_all(directory).ok();
}
