//! A pod that still waits for a permission when a more important one needs its place.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Event, Pod};
use orch::{
    Cluster,
    api::Key,
    controllers::scheduler::default_profile,
    runtime::scheduler::{Cycle, Permit, Permitted, Plugin, PodInfo, Points, Profile, Rejection},
    store::ClientExt,
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// Lets the pod `held` wait for an hour.
struct Patience;

const LONG: Duration = Duration::from_secs(3600);

impl Plugin for Patience {
    fn name(&self) -> &'static str {
        "Patience"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.permit(self);
    }
}

#[async_trait]
impl Permit for Patience {
    fn permit(&self, _: &Cycle, pod: &PodInfo, _: &str) -> Permitted {
        if *pod.key.name == *"held" { Permitted::Wait(LONG) } else { Permitted::Allow }
    }

    async fn ready(&self, _: &PodInfo, _: &str) -> Result<(), Rejection> {
        std::future::pending().await
    }
}

/// A pod that asks for most of a node.
fn pod(name: &str, class: Option<&str>) -> Value {
    let resources = json!({"requests": {"cpu": "20"}});
    json!({"metadata": {"name": name, "namespace": "default"}, "spec": {"schedulerName": "patient", "priorityClassName": class,
        "containers": [{"name": "main", "image": "app:1", "resources": resources}]}})
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_still_waits_for_its_permission_makes_room_and_lives_on() {
    let profile = Profile { scheduler: "patient".into(), ..default_profile() }.with(Patience);
    let cluster = Cluster::builder().seed(1).simulated_nodes(1).scheduler_profile(profile).build().await.unwrap();
    let client = cluster.client();
    client.add::<Pod>(&serde_json::from_value(pod("held", None)).unwrap()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let urgent = pod("urgent", Some("system-cluster-critical"));
    client.add::<Pod>(&serde_json::from_value(urgent).unwrap()).await.unwrap();
    let bound =
        |pod: Option<&Pod>| pod.is_some_and(|pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()));
    let key = Key::new("default", "urgent");
    let waits = client.wait_for::<Pod, _>(&key, bound);
    let urgent = tokio::time::timeout(LONG / 2, waits).await.expect("it is bound").unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let held = client.read::<Pod>(&Key::new("default", "held")).await.unwrap();
    assert!(held.metadata.deletion_timestamp.is_none() && held.spec.as_ref().unwrap().node_name.is_none(), "{held:?}");
    let (uid, node) = (urgent.metadata.uid.clone().unwrap(), urgent.spec.as_ref().unwrap().node_name.clone().unwrap());
    let events = client.read_all::<Event>("default").await.unwrap();
    let said = |reason: &str, message: &str| {
        events.iter().any(|event| {
            event.involved_object.name.as_deref() == Some("held")
                && event.reason.as_deref() == Some(reason)
                && event.message.as_deref() == Some(message)
        })
    };
    let preempted = format!("Preempted by pod {uid} on node {node} (in kube-scheduler memory).");
    assert!(said("Preempted", &preempted), "{events:#?}");
    assert!(said("FailedScheduling", "Internal error occurred: waiting on permit for pod: preempted"), "{events:#?}");
    cluster.stop().await;
}
