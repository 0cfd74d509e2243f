use crate::support::*;
use http::Method;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn a_plain_object_goes_at_once() {
    let server = Server::start().await;
    let made = server.post(MAPS, map("a")).await.ok();
    let gone = server.delete(&format!("{MAPS}/a")).await.ok();
    assert_eq!((&gone["kind"], &gone["status"]), (&json!("Status"), &json!("Success")));
    assert_eq!(gone["details"]["uid"], made["metadata"]["uid"]);
    assert_eq!(server.get(&format!("{MAPS}/a")).await.code, 404);
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_holds_an_object_until_it_is_taken_away() {
    let server = Server::start().await;
    let mut object = map("a");
    object["metadata"]["finalizers"] = json!(["example.com/hold"]);
    server.post(MAPS, object).await.ok();
    let held = server.delete(&format!("{MAPS}/a")).await.ok();
    assert_eq!(held["metadata"]["deletionGracePeriodSeconds"], 0);
    assert!(held["metadata"]["deletionTimestamp"].is_string());
    let free = json!({"metadata": {"finalizers": null}});
    server.patch(&format!("{MAPS}/a"), "merge-patch+json", free).await.ok();
    assert_eq!(server.get(&format!("{MAPS}/a")).await.code, 404);
}

#[tokio::test(start_paused = true)]
async fn the_propagation_policy_becomes_a_finalizer() {
    let server = Server::start().await;
    for (policy, finalizer) in [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")] {
        let name = policy.to_lowercase();
        server.post(MAPS, map(&name)).await.ok();
        let marked = server.delete(&format!("{MAPS}/{name}?propagationPolicy={policy}")).await.ok();
        assert_eq!(marked["metadata"]["finalizers"], json!([finalizer]));
    }
    server.post(MAPS, map("x")).await.ok();
    assert_eq!(
        server.delete(&format!("{MAPS}/x?propagationPolicy=Never")).await.status(),
        "422 Invalid: DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Never\": \
         supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
    );
}

#[tokio::test(start_paused = true)]
async fn preconditions_protect_another_object_of_the_name() {
    let server = Server::start().await;
    server.post(MAPS, map("a")).await.ok();
    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "x"}});
    let refused = server.call(Method::DELETE, &format!("{MAPS}/a"), "application/json", options.to_string()).await;
    assert_eq!(refused.code, 409);
    assert!(refused.status().contains("the UID in the precondition (x) does not match the UID in record"));
}

#[tokio::test(start_paused = true)]
async fn a_running_pod_is_given_time_and_goes_when_its_node_says_so() {
    let server = Server::start().await.with_account().await;
    let mut running = pod("web");
    running["spec"]["nodeName"] = json!("n1");
    server.post(PODS, running).await.ok();
    let marked = server.delete(&format!("{PODS}/web")).await.ok();
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(server.get(&format!("{PODS}/web")).await.code, 200);
    let shorter = server.delete(&format!("{PODS}/web?gracePeriodSeconds=10")).await.ok();
    assert_eq!(shorter["metadata"]["deletionGracePeriodSeconds"], 10);
    let longer = server.delete(&format!("{PODS}/web?gracePeriodSeconds=20")).await.ok();
    assert_eq!(longer["metadata"]["deletionGracePeriodSeconds"], 10);
    server.delete(&format!("{PODS}/web?gracePeriodSeconds=0")).await.ok();
    assert_eq!(server.get(&format!("{PODS}/web")).await.code, 404);
}

#[tokio::test(start_paused = true)]
async fn a_pod_without_a_node_goes_at_once() {
    let server = Server::start().await.with_account().await;
    server.post(PODS, pod("web")).await.ok();
    server.delete(&format!("{PODS}/web")).await.ok();
    assert_eq!(server.get(&format!("{PODS}/web")).await.code, 404);
}

#[tokio::test(start_paused = true)]
async fn a_collection_is_deleted_by_selector() {
    let server = Server::start().await;
    for (name, app) in [("a", "x"), ("b", "x"), ("c", "y")] {
        let mut object = map(name);
        object["metadata"]["labels"] = json!({"app": app});
        server.post(MAPS, object).await.ok();
    }
    let gone = server.delete(&format!("{MAPS}?labelSelector=app%3Dx")).await.ok();
    assert_eq!(gone["items"].as_array().unwrap().len(), 2);
    assert_eq!(server.get(MAPS).await.ok()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_terminates_and_takes_nothing_new() {
    let server = Server::start().await;
    let made = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}});
    server.post("/api/v1/namespaces", made).await.ok();
    let marked = server.delete("/api/v1/namespaces/n").await.ok();
    assert_eq!(marked["status"]["phase"], "Terminating");
    assert_eq!(
        server.post("/api/v1/namespaces/n/configmaps", map("a")).await.status(),
        "403 Forbidden: configmaps \"a\" is forbidden: unable to create new content in namespace n because it is being \
         terminated"
    );
    let mut namespace = server.get("/api/v1/namespaces/n").await.ok();
    namespace["spec"]["finalizers"] = json!([]);
    server.put("/api/v1/namespaces/n/finalize", namespace).await.ok();
    assert_eq!(server.get("/api/v1/namespaces/n").await.code, 404);
    assert_eq!(
        server.delete("/api/v1/namespaces/default").await.status(),
        "403 Forbidden: namespaces \"default\" is forbidden: this namespace may not be deleted"
    );
}

#[tokio::test(start_paused = true)]
async fn an_eviction_respects_the_budget() {
    let server = Server::start().await.with_account().await;
    let mut guarded = pod("web");
    guarded["metadata"]["labels"] = json!({"app": "web"});
    guarded["spec"]["nodeName"] = json!("n1");
    server.post(PODS, guarded).await.ok();
    let running = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    server.patch(&format!("{PODS}/web/status"), "merge-patch+json", running).await.ok();
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let budget = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "pdb"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}});
    server.post(budgets, budget).await.ok();
    let status = |allowed: i64| {
        json!({"status": {"observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 1,
            "desiredHealthy": 1, "expectedPods": 1}})
    };
    server.patch(&format!("{budgets}/pdb/status"), "merge-patch+json", status(0)).await.ok();
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web"}});
    let refused = server.post(&format!("{PODS}/web/eviction"), eviction).await;
    assert_eq!(
        refused.status(),
        "429 TooManyRequests: Cannot evict pod as it would violate the pod's disruption budget."
    );
    assert_eq!(
        refused.json()["details"]["causes"][0]["message"],
        "The disruption budget pdb needs 1 healthy pods and has 1 currently"
    );
    server.patch(&format!("{budgets}/pdb/status"), "merge-patch+json", status(1)).await.ok();
    // Clients of old speak of v1beta1.
    let before = json!({"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": "web"}});
    let evicted = server.post(&format!("{PODS}/web/eviction"), before).await;
    assert_eq!(evicted.code, 201, "{}", evicted.text);
    let web = server.get(&format!("{PODS}/web")).await.ok();
    assert!(web["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(server.get(&format!("{budgets}/pdb")).await.ok()["status"]["disruptionsAllowed"], 0);
}
