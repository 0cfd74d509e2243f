//! How many clusters can my tests have? Hundreds in one process: each test its own, with every controller, a scheduler
//! and nodes, and none sees another. `cargo test -p examples --test many`

use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::Deployment;
use orch::{Cluster, api::Key, store::ClientExt};
use serde_json::{from_value, json};

const CLUSTERS: i32 = 200;

#[tokio::test(start_paused = true)]
async fn hundreds_of_clusters_run_side_by_side_in_one_process() {
    let ready = try_join_all((0..CLUSTERS).map(|number| replicas_become_ready(number % 5))).await.unwrap();
    assert_eq!(ready.len(), CLUSTERS as usize);
    assert!(ready.iter().enumerate().all(|(number, ready)| *ready == number as i32 % 5));
}

/// A test as anyone would write it: a cluster from a seed, an object in it, and what becomes of that.
async fn replicas_become_ready(replicas: i32) -> Result<i32, Box<dyn std::error::Error>> {
    let cluster = Cluster::builder().seed(7).simulated_nodes(2).build().await?;
    cluster.client().add(&web(replicas)?).await?;
    let is_ready = |web: Option<&Deployment>| {
        let status = web.and_then(|web| web.status.as_ref());
        status.is_some_and(|s| s.observed_generation.is_some() && s.ready_replicas.unwrap_or(0) == replicas)
    };
    let web = cluster.client().wait_for(&Key::new("default", "web"), is_ready).await?;
    cluster.stop().await;
    Ok(web.and_then(|web| web.status.clone()).and_then(|status| status.ready_replicas).unwrap_or(0))
}

fn web(replicas: i32) -> Result<Deployment, serde_json::Error> {
    from_value(json!({
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "example.org/web:1"}]},
            },
        },
    }))
}
