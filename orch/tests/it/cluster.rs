use crate::world::{World, condition, is_ready, key};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{ConfigMap, Event, Namespace, Node, Pod},
};
use orch::{
    Cluster,
    api::{Key, Object},
    store::{
        ClientExt,
        client::{DeleteOptions, Propagation},
    },
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

impl World {
    async fn images(&self) -> Vec<String> {
        let pods = self.all::<Pod>().await;
        let mut images: Vec<String> =
            pods.iter().map(|p| p.spec.as_ref().unwrap().containers[0].image.clone().unwrap()).collect();
        images.sort();
        images
    }

    async fn web(&self) -> Arc<Deployment> {
        let deployment: Arc<Deployment> = self.add(web("app:1")).await;
        self.rolled_out().await;
        deployment
    }

    /// Waits until the Deployment has three ready replicas of its newest template and no others.
    async fn rolled_out(&self) {
        let done = |d: Option<&Deployment>| {
            d.is_some_and(|d| {
                let status = d.status.clone().unwrap_or_default();
                let of_now = status.observed_generation == d.metadata.generation;
                let counts =
                    [status.replicas, status.updated_replicas, status.ready_replicas, status.available_replicas];
                of_now && counts == [Some(3); 4]
            })
        };
        self.until(&key("web"), done).await;
    }

    async fn gone<K: Object>(&self, key: &Key) {
        self.until::<K>(key, |object| object.is_none()).await;
    }
}

fn web(image: &str) -> Value {
    json!({"metadata": {"name": "web", "namespace": "default"}, "spec": {
        "replicas": 3, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": image}]}},
    }})
}

fn pod(name: &str, spec: Value) -> Value {
    let mut spec = spec;
    spec["containers"] = json!([{"name": "main", "image": "app:1", "resources": spec.get("resources").cloned()}]);
    spec.as_object_mut().unwrap().remove("resources");
    json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec})
}

#[tokio::test(start_paused = true)]
async fn a_deployment_becomes_ready_pods_on_nodes() {
    let world = World::start(2).await;
    world.web().await;
    let pods = world.all::<Pod>().await;
    assert_eq!(pods.len(), 3);
    assert!(pods.iter().all(|p| is_ready(p) && p.spec.as_ref().unwrap().node_name.is_some()));
    world.0.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rollout_replaces_every_pod_and_a_rollback_brings_the_old_ones_back() {
    let world = World::start(2).await;
    world.web().await;
    let change = |image: &'static str| {
        move |d: &mut Deployment| {
            let template = d.spec.template.spec.as_mut().unwrap();
            template.containers[0].image = Some(image.into());
        }
    };
    world.0.client().modify(&key("web"), change("app:2")).await.unwrap();
    world.rolled_out().await;
    world.until_images(["app:2"; 3]).await;
    world.0.client().modify(&key("web"), change("app:1")).await.unwrap();
    world.rolled_out().await;
    world.until_images(["app:1"; 3]).await;

    // The old set serves again, as revision 3; it was not made anew.
    let sets = world.all::<ReplicaSet>().await;
    let mut revisions: Vec<_> = sets
        .iter()
        .map(|s| s.metadata.annotations.as_ref().unwrap()["deployment.kubernetes.io/revision"].clone())
        .collect();
    revisions.sort();
    assert_eq!(revisions, ["2", "3"]);
    world.0.stop().await;
}

impl World {
    /// Waits until exactly these images run: pods of the old template take their time to end.
    async fn until_images(&self, expected: [&str; 3]) {
        for _ in 0..600 {
            if self.images().await == expected {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(self.images().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn deleting_an_owner_takes_or_leaves_what_it_owns() {
    for propagation in [Propagation::Background, Propagation::Foreground, Propagation::Orphan] {
        let world = World::start(1).await;
        world.web().await;
        let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
        world.0.client().remove_with::<Deployment>(&key("web"), &options).await.unwrap();
        world.gone::<Deployment>(&key("web")).await;
        tokio::time::sleep(Duration::from_secs(120)).await;
        let (sets, pods) = (world.all::<ReplicaSet>().await, world.all::<Pod>().await);
        match propagation {
            Propagation::Orphan => {
                assert_eq!((sets.len(), pods.len()), (1, 3));
                assert_eq!(sets[0].metadata.owner_references.as_deref().unwrap_or_default(), []);
            }
            _ => assert_eq!((sets.len(), pods.len()), (0, 0), "{propagation:?}"),
        }
        world.0.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_namespace_takes_everything_with_it() {
    let world = World::start(1).await;
    world.add::<Namespace>(json!({"metadata": {"name": "team"}})).await;
    world.add::<ConfigMap>(json!({"metadata": {"name": "settings", "namespace": "team"}})).await;
    world.0.client().remove::<Namespace>(&Key::cluster("team")).await.unwrap();
    world.gone::<Namespace>(&Key::cluster("team")).await;
    assert!(world.0.client().read_all::<ConfigMap>("team").await.unwrap().is_empty());
    let late = json!({"metadata": {"name": "late", "namespace": "team"}});
    let late: ConfigMap = serde_json::from_value(late).unwrap();
    let error = world.0.client().add(&late).await.unwrap_err();
    assert_eq!(error.to_string(), "namespaces \"team\" not found");
    world.0.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_lost_node_move_to_another() {
    let world = World::start(2).await;
    world.web().await;
    let lost = world.0.agents()[0].clone();
    lost.stop().await;
    let taints = |n: Option<&Node>| {
        let taints = n.and_then(|n| n.spec.as_ref()?.taints.as_ref()).into_iter().flatten();
        taints.into_iter().any(|t| t.key == "node.kubernetes.io/unreachable" && t.effect == "NoExecute")
    };
    world.until::<Node>(&Key::cluster(lost.name()), taints).await;
    world.rolled_out().await;
    // Five minutes of toleration, then they are deleted, and others take their place.
    tokio::time::sleep(Duration::from_secs(400)).await;
    world.rolled_out_elsewhere(lost.name()).await;
    world.0.stop().await;
}

impl World {
    async fn rolled_out_elsewhere(&self, lost: &str) {
        let pods = self.all::<Pod>().await;
        let (there, elsewhere): (Vec<_>, Vec<_>) =
            pods.iter().partition(|p| p.spec.as_ref().unwrap().node_name.as_deref() == Some(lost));
        assert!(there.iter().all(|p| p.metadata.deletion_timestamp.is_some()), "nothing stays on the lost node");
        assert_eq!(elsewhere.iter().filter(|p| is_ready(p)).count(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_fits_nowhere_says_why() {
    let world = World::start(3).await;
    // The nodes have lost the taint of those that are not ready yet.
    world.web().await;
    let check = async |name: &str, spec: Value, expected: &str| {
        world.add::<Pod>(pod(name, spec)).await;
        let refused = |p: Option<&Pod>| scheduled(p).is_some_and(|(status, _)| status == "False");
        let pod = world.until::<Pod>(&key(name), refused).await;
        assert_eq!(scheduled(pod.as_deref()).unwrap().1, expected);
    };
    check(
        "greedy",
        json!({"resources": {"requests": {"cpu": "100k"}}}),
        "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: 3 Preemption is not helpful for \
         scheduling.",
    )
    .await;
    check(
        "picky",
        json!({"nodeSelector": {"disk": "ssd"}}),
        "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. preemption: 0/3 nodes are available: 3 \
         Preemption is not helpful for scheduling.",
    )
    .await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let events = world.all::<Event>().await;
    assert!(events.iter().any(|e| e.reason.as_deref() == Some("FailedScheduling")));
    world.0.stop().await;
}

fn scheduled(pod: Option<&Pod>) -> Option<(String, String)> {
    condition(pod?, "PodScheduled").map(|(status, _, message)| (status, message))
}

/// A write that is under way when the cluster stops waits for the watch cache, which must outlive it.
#[tokio::test(start_paused = true)]
async fn a_cluster_stops_at_once_also_while_its_loops_write() {
    for seed in 0..20 {
        let cluster = Cluster::builder().seed(seed).simulated_nodes(1).build().await.unwrap();
        let began = tokio::time::Instant::now();
        cluster.stop().await;
        assert!(began.elapsed() < Duration::from_secs(5), "seed {seed}: {:?}", began.elapsed());
    }
}
