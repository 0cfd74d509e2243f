//! `test/e2e/apps/deployment.go`.

use super::world::{PODS, REPLICA_SETS, World, all_ready, controller, has_image, image, is_ready, name, template};
use orch::api::Gvr;
use serde_json::{Value, json};

const DEPLOYMENTS: Gvr = Gvr::of("apps", "v1", "deployments");
const REVISION: &str = "deployment.kubernetes.io/revision";

fn deployment(name: &str, replicas: u32, image: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default",
        "labels": {"name": name}},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"name": name}}, "template": template(name, image)}})
}

fn replica_set(name: &str, replicas: u32) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name, "namespace": "default",
        "labels": {"name": name}},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"name": name}}, "template": template(name, "app:1")}})
}

/// Whether a Deployment has so many pods of its newest template, all available, and no others.
fn is_complete(replicas: i64) -> impl Fn(&Value) -> bool {
    move |object| {
        let status = &object["status"];
        let counts = ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"];
        status["observedGeneration"] == object["metadata"]["generation"]
            && counts.iter().all(|count| status[count].as_i64().unwrap_or(0) == replicas)
    }
}

fn size(set: &Value) -> i64 {
    set["spec"]["replicas"].as_i64().unwrap_or(0)
}

fn image_of(set: &Value) -> &str {
    set["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap()
}

/// [sig-apps] Deployment RollingUpdateDeployment should delete old pods and create new ones [Conformance]
#[tokio::test(start_paused = true)]
async fn a_rolling_update_takes_up_a_set_and_replaces_its_pods() {
    let here = World::with_nodes(1).await;
    let mut set = replica_set("sample-pod", 1);
    set["metadata"]["annotations"] = json!({REVISION: "3546342826724305832"});
    here.of(&REPLICA_SETS).create(set).await;
    here.of(&PODS).until("the pod of the set", "name=sample-pod", all_ready(1)).await;
    here.of(&DEPLOYMENTS).create(deployment("sample-pod", 1, "app:2")).await;
    let done = here.of(&DEPLOYMENTS).until_one("the rollout", "sample-pod", is_complete(1)).await;
    assert_eq!(done["metadata"]["annotations"][REVISION], "3546342826724305833");
    let pods = here.of(&PODS).until("the new pod alone", "name=sample-pod", all_ready(1)).await;
    assert!(has_image(&pods[0], "app:2"));
    let sets = here.of(&REPLICA_SETS).list("").await;
    let old = sets.iter().find(|set| name(set) == "sample-pod").unwrap();
    assert_eq!((controller(old).unwrap().0.as_str(), size(old)), ("Deployment", 0));
    here.stop().await;
}

/// [sig-apps] Deployment RecreateDeployment should delete old pods and create new ones [Conformance]
#[tokio::test(start_paused = true)]
async fn recreate_ends_the_old_pods_before_it_makes_new_ones() {
    let here = World::with_nodes(1).await;
    let mut object = deployment("test-recreate", 1, "app:1");
    object["spec"]["strategy"] = json!({"type": "Recreate"});
    here.of(&DEPLOYMENTS).create(object).await;
    here.of(&DEPLOYMENTS).until_one("the first rollout", "test-recreate", is_complete(1)).await;
    here.of(&DEPLOYMENTS).patch("test-recreate", image("app:2")).await;
    // At no time are there pods of both templates.
    for _ in 0..100 {
        let pods = here.of(&PODS).list("name=test-recreate").await;
        let of = |image: &str| pods.iter().filter(|pod| has_image(pod, image)).count();
        assert!(of("app:1") == 0 || of("app:2") == 0, "{}", json!(pods));
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    here.of(&DEPLOYMENTS).until_one("the second rollout", "test-recreate", is_complete(1)).await;
    here.stop().await;
}

/// [sig-apps] Deployment deployment should delete old replica sets [Conformance]
#[tokio::test(start_paused = true)]
async fn old_sets_beyond_the_limit_are_deleted() {
    let here = World::with_nodes(1).await;
    here.of(&REPLICA_SETS).create(replica_set("cleanup-pod", 1)).await;
    here.of(&PODS).until("the pod of the set", "name=cleanup-pod", all_ready(1)).await;
    let mut object = deployment("cleanup-pod", 1, "app:2");
    object["spec"]["revisionHistoryLimit"] = 0.into();
    here.of(&DEPLOYMENTS).create(object).await;
    let sets =
        here.of(&REPLICA_SETS).until("the new set alone", "", |sets| sets.len() == 1 && size(&sets[0]) == 1).await;
    assert_eq!(image_of(&sets[0]), "app:2");
    here.stop().await;
}

/// [sig-apps] Deployment deployment should support rollover [Conformance]
#[tokio::test(start_paused = true)]
async fn a_rollout_is_rolled_over_by_the_next() {
    let here = World::with_nodes(1).await;
    here.of(&REPLICA_SETS).create(replica_set("rollover-pod", 1)).await;
    here.of(&PODS).until("the pod of the set", "name=rollover-pod", all_ready(1)).await;
    let mut object = deployment("rollover-pod", 1, "app:slow");
    object["spec"]["minReadySeconds"] = 10.into();
    object["spec"]["strategy"] =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}});
    object["spec"]["template"]["metadata"]["annotations"] = json!({"simulated.orch.dev/start-error": "no such image"});
    here.of(&DEPLOYMENTS).create(object).await;
    let made = |sets: &[Value]| sets.iter().any(|set| image_of(set) == "app:slow" && size(set) == 1);
    here.of(&REPLICA_SETS).until("the set that gets nowhere", "", made).await;
    let mut patch = image("app:2");
    patch["spec"]["template"]["metadata"] = json!({"annotations": {"simulated.orch.dev/start-error": null}});
    here.of(&DEPLOYMENTS).patch("rollover-pod", patch).await;
    here.of(&DEPLOYMENTS).until_one("the rollout", "rollover-pod", is_complete(1)).await;
    let sets = here.of(&REPLICA_SETS).list("").await;
    assert_eq!(sets.len(), 3);
    assert!(sets.iter().all(|set| size(set) == i64::from(image_of(set) == "app:2")), "{}", json!(sets));
    here.stop().await;
}

/// [sig-apps] Deployment Deployment should have a working scale subresource [Conformance]
#[tokio::test(start_paused = true)]
async fn the_scale_of_a_deployment_is_served() {
    let here = World::with_nodes(1).await;
    here.of(&DEPLOYMENTS).create(deployment("test-scale", 1, "app:1")).await;
    here.of(&DEPLOYMENTS).until_one("the rollout", "test-scale", is_complete(1)).await;
    assert_eq!(here.of(&DEPLOYMENTS).sub("scale").get("test-scale").await["spec"]["replicas"], 1);
    here.of(&DEPLOYMENTS).sub("scale").update("test-scale", |scale| scale["spec"]["replicas"] = 2.into()).await;
    here.of(&DEPLOYMENTS).until_one("two replicas", "test-scale", is_complete(2)).await;
    here.of(&DEPLOYMENTS).sub("scale").patch("test-scale", json!({"spec": {"replicas": 4}})).await;
    here.of(&DEPLOYMENTS).until_one("four replicas", "test-scale", is_complete(4)).await;
    here.stop().await;
}

/// [sig-apps] Deployment deployment should support proportional scaling [Conformance]
#[tokio::test(start_paused = true)]
async fn a_rollout_that_is_stuck_scales_in_proportion() {
    let here = World::with_nodes(3).await;
    let mut object = deployment("webserver", 10, "app:1");
    object["spec"]["strategy"] =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}});
    here.of(&DEPLOYMENTS).create(object).await;
    here.of(&DEPLOYMENTS).until_one("the first rollout", "webserver", is_complete(10)).await;
    let mut patch = image("app:404");
    patch["spec"]["template"]["metadata"] = json!({"annotations": {"simulated.orch.dev/start-error": "no such image"}});
    here.of(&DEPLOYMENTS).patch("webserver", patch).await;
    let sizes = |old: i64, new: i64| {
        move |sets: &[Value]| {
            let of = |image: &str| sets.iter().find(|set| image_of(set) == image).map(size);
            (of("app:1"), of("app:404")) == (Some(old), Some(new))
        }
    };
    here.of(&REPLICA_SETS).until("a rollout that goes no further", "", sizes(8, 5)).await;
    here.of(&PODS)
        .until("eight pods that serve", "name=webserver", |pods| {
            pods.len() == 13 && pods.iter().filter(|pod| is_ready(pod)).count() == 8
        })
        .await;
    here.of(&DEPLOYMENTS).patch("webserver", json!({"spec": {"replicas": 30}})).await;
    here.of(&REPLICA_SETS).until("both sets larger", "", sizes(20, 13)).await;
    here.stop().await;
}

/// [sig-apps] Deployment should run the lifecycle of a Deployment [Conformance]
#[tokio::test(start_paused = true)]
async fn a_deployment_lives() {
    let here = World::with_nodes(1).await;
    here.of(&DEPLOYMENTS).create(deployment("test-deployment", 2, "app:1")).await;
    here.of(&DEPLOYMENTS).until_one("two replicas", "test-deployment", is_complete(2)).await;
    let mut patch = image("app:2");
    patch["metadata"] = json!({"labels": {"test-deployment": "patched"}});
    patch["spec"]["replicas"] = 1.into();
    patch["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 2.into();
    here.of(&DEPLOYMENTS).patch("test-deployment", patch).await;
    here.of(&DEPLOYMENTS).until_one("one replica", "test-deployment", is_complete(1)).await;
    assert_eq!(here.of(&DEPLOYMENTS).list("test-deployment=patched").await.len(), 1);
    here.of(&DEPLOYMENTS)
        .update("test-deployment", |object| {
            object["metadata"]["labels"]["test-deployment"] = "updated".into();
            object["spec"]["template"]["spec"]["containers"][0]["image"] = "app:3".into();
            object["spec"]["replicas"] = 2.into();
        })
        .await;
    let status = here.of(&DEPLOYMENTS).sub("status").get("test-deployment").await;
    assert_eq!(status["spec"]["template"]["spec"]["containers"][0]["image"], "app:3");
    here.of(&DEPLOYMENTS).until_one("two new replicas", "test-deployment", is_complete(2)).await;
    let status = json!({"metadata": {"labels": {"test-deployment": "patched-status"}},
        "status": {"readyReplicas": 0, "availableReplicas": 0}});
    here.of(&DEPLOYMENTS).sub("status").patch("test-deployment", status).await;
    here.of(&DEPLOYMENTS).until_one("the count of what is there", "test-deployment", is_complete(2)).await;
    here.of(&DEPLOYMENTS).delete("test-deployment").await;
    here.of(&DEPLOYMENTS).until("the end", "name=test-deployment", <[Value]>::is_empty).await;
    here.of(&PODS).until("the end of its pods", "name=test-deployment", <[Value]>::is_empty).await;
    here.stop().await;
}

/// [sig-apps] Deployment should validate Deployment Status endpoints [Conformance]
#[tokio::test(start_paused = true)]
async fn the_status_of_a_deployment_is_served() {
    let here = World::with_nodes(1).await;
    here.of(&DEPLOYMENTS).create(deployment("test-deployment", 1, "app:1")).await;
    here.of(&DEPLOYMENTS).until_one("the rollout", "test-deployment", is_complete(1)).await;
    here.of(&DEPLOYMENTS).status_is_served("test-deployment").await;
    here.stop().await;
}
