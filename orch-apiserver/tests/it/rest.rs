use crate::support::*;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn what_must_exist_from_the_start_exists() {
    let server = Server::start().await;
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        let namespace = server.get(&format!("/api/v1/namespaces/{name}")).await.ok();
        assert_eq!(namespace["status"]["phase"], "Active");
    }
    let service = server.get("/api/v1/namespaces/default/services/kubernetes").await.ok();
    assert_eq!(service["spec"]["clusterIP"], "10.96.0.1");
    let class = server.get("/apis/scheduling.k8s.io/v1/priorityclasses/system-node-critical").await.ok();
    assert_eq!(class["value"], 2_000_001_000);
    server.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin").await.ok();
    assert_eq!(server.get("/readyz").await.text, "ok");
}

#[tokio::test(start_paused = true)]
async fn a_created_object_has_an_identity_and_can_be_read_back() {
    let server = Server::start().await;
    let made = server.post(MAPS, map("a")).await;
    assert_eq!(made.code, 201);
    let made = made.json();
    assert_eq!(made["kind"], "ConfigMap");
    assert_eq!(made["metadata"]["namespace"], "default");
    assert!(made["metadata"]["uid"].as_str().unwrap().len() == 36);
    assert!(made["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap() > 0);
    assert!(made["metadata"]["creationTimestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!(made["metadata"]["managedFields"][0]["operation"], "Update");
    assert_eq!(server.get(&format!("{MAPS}/a")).await.json(), made);
}

#[tokio::test(start_paused = true)]
async fn a_taken_name_is_refused() {
    let server = Server::start().await;
    server.post(MAPS, map("a")).await.ok();
    let again = server.post(MAPS, map("a")).await;
    assert_eq!(again.status(), "409 AlreadyExists: configmaps \"a\" already exists");
}

#[tokio::test(start_paused = true)]
async fn a_name_is_generated_from_its_prefix() {
    let server = Server::start().await;
    let mut object = map("");
    object["metadata"] = json!({"generateName": "web-"});
    let name = server.post(MAPS, object).await.ok()["metadata"]["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("web-") && name.len() == 9, "{name}");
}

#[tokio::test(start_paused = true)]
async fn an_update_with_an_old_revision_conflicts_and_one_without_does_not() {
    let server = Server::start().await;
    let first = server.post(MAPS, map("a")).await.ok();
    let mut second = first.clone();
    second["data"]["key"] = json!("new");
    let second = server.put(&format!("{MAPS}/a"), second).await.ok();
    assert_ne!(first["metadata"]["resourceVersion"], second["metadata"]["resourceVersion"]);
    let mut stale = first.clone();
    stale["data"]["key"] = json!("late");
    assert_eq!(
        server.put(&format!("{MAPS}/a"), stale).await.status(),
        "409 Conflict: Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply \
         your changes to the latest version and try again"
    );
    let third = server.put(&format!("{MAPS}/a"), map("a")).await.ok();
    assert_eq!(third["data"]["key"], "value");
    assert_eq!(third["metadata"]["uid"], first["metadata"]["uid"]);
}

#[tokio::test(start_paused = true)]
async fn an_update_that_changes_nothing_writes_nothing() {
    let server = Server::start().await;
    let first = server.post(MAPS, map("a")).await.ok();
    let again = server.put(&format!("{MAPS}/a"), first.clone()).await.ok();
    assert_eq!(first["metadata"]["resourceVersion"], again["metadata"]["resourceVersion"]);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_decides_everything_and_stores_nothing() {
    let server = Server::start().await;
    let made = server.post(&format!("{MAPS}?dryRun=All"), map("a")).await;
    assert_eq!(made.code, 201);
    assert_eq!(server.get(&format!("{MAPS}/a")).await.code, 404);
}

#[tokio::test(start_paused = true)]
async fn pages_of_a_list_hold_at_the_revision_of_the_first() {
    let server = Server::start().await;
    for name in ["a", "b", "c", "d", "e"] {
        server.post(MAPS, map(name)).await.ok();
    }
    let first = server.get(&format!("{MAPS}?limit=2")).await.ok();
    assert_eq!(first["kind"], "ConfigMapList");
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    server.delete(&format!("{MAPS}/c")).await.ok();
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = server.get(&format!("{MAPS}?limit=2&continue={token}")).await.ok();
    let names: Vec<_> = second["items"].as_array().unwrap().iter().map(|i| i["metadata"]["name"].clone()).collect();
    assert_eq!(names, ["c", "d"]);
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    let token = second["metadata"]["continue"].as_str().unwrap();
    let third = server.get(&format!("{MAPS}?limit=2&continue={token}")).await.ok();
    assert_eq!(third["items"].as_array().unwrap().len(), 1);
    assert_eq!(third["metadata"].get("continue"), None);
}

#[tokio::test(start_paused = true)]
async fn selectors_narrow_a_list() {
    let server = Server::start().await;
    let mut labelled = map("a");
    labelled["metadata"]["labels"] = json!({"app": "web"});
    server.post(MAPS, labelled).await.ok();
    server.post(MAPS, map("b")).await.ok();
    let count =
        async |query: &str| server.get(&format!("{MAPS}?{query}")).await.ok()["items"].as_array().unwrap().len();
    assert_eq!(count("labelSelector=app%3Dweb").await, 1);
    assert_eq!(count("labelSelector=!app").await, 1);
    assert_eq!(count("fieldSelector=metadata.name%3Db").await, 1);
    assert_eq!(count("").await, 2);
}

#[tokio::test(start_paused = true)]
async fn the_four_patches_change_what_they_say() {
    let server = Server::start().await;
    server.post("/apis/apps/v1/namespaces/default/deployments", deployment("web")).await.ok();
    let uri = "/apis/apps/v1/namespaces/default/deployments/web";
    let merged = server.patch(uri, "merge-patch+json", json!({"spec": {"replicas": 3}})).await.ok();
    assert_eq!((&merged["spec"]["replicas"], &merged["metadata"]["generation"]), (&json!(3), &json!(2)));
    let add = json!([{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]);
    let patched = server.patch(uri, "json-patch+json", add).await.ok();
    assert_eq!((&patched["metadata"]["labels"]["a"], &patched["metadata"]["generation"]), (&json!("b"), &json!(2)));
    let side = json!({"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "other"}]}}}});
    let strategic = server.patch(uri, "strategic-merge-patch+json", side).await.ok();
    assert_eq!(strategic["spec"]["template"]["spec"]["containers"].as_array().unwrap().len(), 2);
    let config = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": 5}});
    let refused = server.patch(&format!("{uri}?fieldManager=me"), "apply-patch+yaml", config.clone()).await;
    assert_eq!(refused.code, 409, "{}", refused.text);
    let forced = server.patch(&format!("{uri}?fieldManager=me&force=true"), "apply-patch+yaml", config).await.ok();
    assert_eq!(forced["spec"]["replicas"], 5);
}

#[tokio::test(start_paused = true)]
async fn applying_to_nothing_creates() {
    let server = Server::start().await;
    let made = server.patch(&format!("{MAPS}/a?fieldManager=me"), "apply-patch+yaml", map("a")).await;
    assert_eq!(made.code, 201, "{}", made.text);
    let owner = &made.json()["metadata"]["managedFields"][0];
    assert_eq!((&owner["manager"], &owner["operation"]), (&json!("me"), &json!("Apply")));
    let again = server.patch(&format!("{MAPS}/a?fieldManager=me"), "apply-patch+yaml", map("a")).await;
    assert_eq!(again.code, 200);
    assert_eq!(again.json()["metadata"]["resourceVersion"], made.json()["metadata"]["resourceVersion"]);
}

#[tokio::test(start_paused = true)]
async fn the_status_is_written_through_its_subresource_alone() {
    let server = Server::start().await;
    let uri = "/apis/apps/v1/namespaces/default/deployments";
    server.post(uri, deployment("web")).await.ok();
    let uri = format!("{uri}/web");
    let patch = json!({"spec": {"replicas": 9}, "status": {"replicas": 7}});
    let main = server.patch(&uri, "merge-patch+json", patch.clone()).await.ok();
    assert_eq!((&main["spec"]["replicas"], main["status"].get("replicas")), (&json!(9), None));
    let patch = json!({"spec": {"replicas": 1}, "status": {"replicas": 7}});
    let status = server.patch(&format!("{uri}/status"), "merge-patch+json", patch).await.ok();
    assert_eq!((&status["spec"]["replicas"], &status["status"]["replicas"]), (&json!(9), &json!(7)));
}

#[tokio::test(start_paused = true)]
async fn a_scale_shows_and_changes_the_replicas() {
    let server = Server::start().await;
    server.post("/apis/apps/v1/namespaces/default/deployments", deployment("web")).await.ok();
    let uri = "/apis/apps/v1/namespaces/default/deployments/web/scale";
    let mut scale = server.get(uri).await.ok();
    assert_eq!((&scale["kind"], &scale["status"]["selector"]), (&json!("Scale"), &json!("app=web")));
    scale["spec"]["replicas"] = json!(4);
    assert_eq!(server.put(uri, scale).await.ok()["spec"]["replicas"], 4);
    let patched = server.patch(uri, "merge-patch+json", json!({"spec": {"replicas": 6}})).await.ok();
    assert_eq!(patched["spec"]["replicas"], 6);
}

#[tokio::test(start_paused = true)]
async fn services_get_addresses_and_ports_and_give_them_back() {
    let server = Server::start().await;
    let uri = "/api/v1/namespaces/default/services";
    let service = |name: &str, port: u16| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"type": "NodePort", "selector": {"a": "b"}, "ports": [{"port": 80, "nodePort": port}]}})
    };
    let made = server.post(uri, service("a", 30080)).await.ok();
    assert!(made["spec"]["clusterIP"].as_str().unwrap().starts_with("10.96."));
    let taken = server.post(uri, service("b", 30080)).await;
    assert_eq!(
        taken.status(),
        "422 Invalid: Service \"b\" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already \
         allocated"
    );
    server.delete(&format!("{uri}/a")).await.ok();
    server.post(uri, service("b", 30080)).await.ok();
}

#[tokio::test(start_paused = true)]
async fn a_pod_gets_its_account_its_token_and_its_tolerations() {
    let server = Server::start().await.with_account().await;
    let made = server.post(PODS, pod("web")).await.ok();
    let spec = &made["spec"];
    assert_eq!(spec["serviceAccountName"], "default");
    assert!(spec["volumes"][0]["name"].as_str().unwrap().starts_with("kube-api-access-"));
    assert_eq!(spec["containers"][0]["volumeMounts"][0]["mountPath"], "/var/run/secrets/kubernetes.io/serviceaccount");
    assert_eq!(spec["tolerations"].as_array().unwrap().len(), 2);
    assert_eq!((&spec["priority"], &spec["preemptionPolicy"]), (&json!(0), &json!("PreemptLowerPriority")));
    assert_eq!((&made["status"]["phase"], &made["status"]["qosClass"]), (&json!("Pending"), &json!("BestEffort")));
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_bound_once() {
    let server = Server::start().await.with_account().await;
    server.post(PODS, pod("web")).await.ok();
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "web"},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "n1"}});
    let bound = server.post(&format!("{PODS}/web/binding"), binding.clone()).await;
    assert_eq!((bound.code.as_u16(), &bound.json()["status"]), (201, &json!("Success")));
    let made = server.get(&format!("{PODS}/web")).await.ok();
    assert_eq!(made["spec"]["nodeName"], "n1");
    assert_eq!(made["status"]["conditions"][0]["type"], "PodScheduled");
    assert_eq!(
        server.post(&format!("{PODS}/web/binding"), binding).await.status(),
        "409 Conflict: Operation cannot be fulfilled on pods/binding \"web\": pod web is already assigned to node \"n1\""
    );
}

#[tokio::test(start_paused = true)]
async fn tables_and_bare_metadata_come_by_accept_header() {
    let server = Server::start().await;
    server.post(MAPS, map("a")).await.ok();
    let table = server.get_as(MAPS, "application/json;as=Table;v=v1;g=meta.k8s.io,application/json").await.ok();
    assert_eq!((&table["kind"], &table["rows"][0]["cells"][0]), (&json!("Table"), &json!("a")));
    let accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let partial = server.get_as(MAPS, accept).await.ok();
    assert_eq!(partial["kind"], "PartialObjectMetadataList");
    assert!(partial["items"].as_array().unwrap().iter().all(|i| i.get("data").is_none()));
    let yaml = server.get_as(&format!("{MAPS}/a"), "application/yaml").await;
    assert!(yaml.text.contains("kind: ConfigMap"), "{}", yaml.text);
}

#[tokio::test(start_paused = true)]
async fn an_event_is_the_same_in_both_of_its_groups() {
    let server = Server::start().await;
    let event = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"},
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "example.com/test",
        "reportingInstance": "test-1", "action": "Testing", "reason": "Tested", "type": "Normal", "note": "it works",
        "regarding": {"kind": "Pod", "namespace": "default", "name": "web"}});
    let made = server.post("/apis/events.k8s.io/v1/namespaces/default/events", event).await.ok();
    assert_eq!((&made["note"], &made["apiVersion"]), (&json!("it works"), &json!("events.k8s.io/v1")));
    let core = server.get("/api/v1/namespaces/default/events/e").await.ok();
    assert_eq!((&core["message"], &core["apiVersion"]), (&json!("it works"), &json!("v1")));
    assert_eq!(core["involvedObject"]["name"], "web");
    for selector in [
        "/api/v1/events?fieldSelector=source%3Dexample.com/test",
        "/api/v1/events?fieldSelector=involvedObject.name%3Dweb",
        "/apis/events.k8s.io/v1/events?fieldSelector=reportingController%3Dexample.com/test",
        "/apis/events.k8s.io/v1/events?fieldSelector=regarding.name%3Dweb",
    ] {
        let found = server.get(selector).await.ok();
        assert_eq!(found["items"].as_array().map(Vec::len), Some(1), "{selector}");
    }
    let uri = "/apis/events.k8s.io/v1/namespaces/default/events/e";
    let patched = server.patch(uri, "merge-patch+json", json!({"metadata": {"labels": {"a": "b"}}})).await.ok();
    assert_eq!((&patched["note"], &patched["metadata"]["labels"]["a"]), (&json!("it works"), &json!("b")));
}

#[tokio::test(start_paused = true)]
async fn a_yaml_body_with_a_key_twice_is_refused_by_strict_readers_alone() {
    let server = Server::start().await;
    let body = |name: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n  a: one\n  a: two\n")
    };
    let ask = |mode: &str| format!("{MAPS}?fieldValidation={mode}");
    let made = server.call(http::Method::POST, &ask("Ignore"), "application/yaml", body("one")).await;
    assert_eq!(made.ok()["data"]["a"], "two");
    let warned = server.call(http::Method::POST, &ask("Warn"), "application/yaml", body("two")).await;
    assert!(warned.warnings()[0].contains("key \\\"a\\\" already set in map"), "{:?}", warned.warnings());
    let refused = server.call(http::Method::POST, &ask("Strict"), "application/yaml", body("three")).await;
    let why = "strict decoding error: yaml: unmarshal errors:\n  line 6: key \"a\" already set in map";
    assert!(refused.status().contains(why), "{}", refused.status());
}
