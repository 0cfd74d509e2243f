//! How do I decide where pods go? With a scheduler plugin in a profile of one's own. This one keeps the quiet apart from the
//! noisy: a pod labelled `sound: quiet` shares no node with one labelled `sound: noisy`, and noisy ones like company.
//!
//! `cargo run -p examples --example scheduler_plugin`, `cargo test -p examples --example scheduler_plugin`

use k8s_openapi::api::core::v1::Pod;
use orch::{
    Cluster,
    api::Key,
    controllers::scheduler::default_profile,
    runtime::scheduler::{
        Cluster as Nodes, ClusterEvent, Cycle, Filter, Hint, NodeInfo, Plugin, PodInfo, Points, Profile, Rejection,
        Score,
    },
    store::{Client, ClientExt},
};
use serde_json::{from_value, json};
use std::{collections::BTreeMap, error::Error, sync::Arc, time::Duration};

struct KeepQuiet;

impl Plugin for KeepQuiet {
    fn name(&self) -> &'static str {
        "KeepQuiet"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.filter(self.clone()).score(self, 5);
    }

    /// A pod that was refused waits until one of the other sort goes, or its own label changes.
    fn hint(&self, pod: &PodInfo, event: &ClusterEvent<'_>) -> Hint {
        match event {
            ClusterEvent::PodFreed(gone) if !disturbs(pod, gone) => Hint::Skip,
            _ => Hint::Queue,
        }
    }
}

impl Filter for KeepQuiet {
    fn filter(&self, _: &Cycle, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        match node.pods.values().any(|other| disturbs(pod, other)) {
            false => Ok(()),
            true => Err(Rejection::unschedulable("node(s) are too quiet or too noisy")),
        }
    }
}

impl Score for KeepQuiet {
    fn score(&self, _: &Cycle, pod: &PodInfo, node: &NodeInfo, _: &Nodes) -> i64 {
        let alike = node.pods.values().filter(|other| sound(pod) == "noisy" && sound(other) == "noisy").count();
        i64::try_from(alike.min(100)).unwrap_or(100)
    }
}

fn sound(pod: &PodInfo) -> &str {
    pod.labels.get("sound").unwrap_or_default()
}

fn disturbs(pod: &PodInfo, other: &PodInfo) -> bool {
    matches!((sound(pod), sound(other)), ("quiet", "noisy") | ("noisy", "quiet"))
}

/// The default plugins and ours, for pods with this `spec.schedulerName`.
fn profile() -> Profile {
    Profile { scheduler: "considerate".into(), ..default_profile() }.with(KeepQuiet)
}

async fn add(client: &Arc<dyn Client>, name: &str, sound: &str) -> Result<(), Box<dyn Error>> {
    let pod = json!({"metadata": {"name": name, "namespace": "default", "labels": {"sound": sound}},
        "spec": {"schedulerName": "considerate", "containers": [{"name": "main", "image": "music:1"}]}});
    client.add::<Pod>(&from_value(pod)?).await?;
    Ok(())
}

/// The node of a pod, once it has one.
async fn node(client: &Arc<dyn Client>, name: &str) -> Result<String, Box<dyn Error>> {
    let bound = |pod: Option<&Pod>| pod.is_some_and(|pod| node_of(pod).is_some());
    let key = Key::new("default", name);
    let pod = tokio::time::timeout(Duration::from_secs(30), client.wait_for(&key, bound)).await??;
    pod.and_then(|pod| node_of(&pod)).ok_or_else(|| "it is gone".into())
}

fn node_of(pod: &Pod) -> Option<String> {
    pod.spec.as_ref()?.node_name.clone()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let cluster = Cluster::builder().simulated_nodes(2).scheduler_profile(profile()).build().await?;
    let client = cluster.client();
    let mut nodes = BTreeMap::new();
    for (name, sound) in [("drums", "noisy"), ("library", "quiet"), ("trumpet", "noisy"), ("chess", "quiet")] {
        add(&client, name, sound).await?;
        nodes.insert(name, node(&client, name).await?);
    }
    for (name, node) in &nodes {
        println!("{name} is on {node}");
    }
    let apart =
        nodes["drums"] == nodes["trumpet"] && nodes["library"] == nodes["chess"] && nodes["drums"] != nodes["chess"];
    cluster.stop().await;
    apart.then_some(()).ok_or_else(|| "somebody is disturbed".into())
}

/// Under virtual time: what fits nowhere waits, says why in the words of kube-scheduler, and comes in when there is room.
#[tokio::test(start_paused = true)]
async fn who_would_be_disturbed_waits_until_the_noise_is_over() {
    let cluster = Cluster::builder().seed(1).simulated_nodes(1).scheduler_profile(profile()).build().await.unwrap();
    let client = cluster.client();
    add(&client, "drums", "noisy").await.unwrap();
    node(&client, "drums").await.unwrap();
    add(&client, "library", "quiet").await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let events = client.read_all::<k8s_openapi::api::core::v1::Event>("default").await.unwrap();
    let refused = |event: &&Arc<k8s_openapi::api::core::v1::Event>| {
        event.involved_object.name.as_deref() == Some("library") && event.reason.as_deref() == Some("FailedScheduling")
    };
    let refused = events.iter().find(refused).unwrap();
    let message = refused.message.as_deref().unwrap();
    assert!(message.starts_with("0/1 nodes are available: 1 node(s) are too quiet or too noisy."), "{message}");
    client.remove::<Pod>(&Key::new("default", "drums")).await.unwrap();
    assert_eq!(node(&client, "library").await.unwrap(), "node-0");
    cluster.stop().await;
}
