//! Kubernetes' conformance tests of custom kinds that need an API server alone (`test/e2e/apimachinery`).

use super::*;

fn named(plural: &str, kind: &str, group: &str) -> Value {
    let mut one = definition(json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    one["metadata"]["name"] = json!(format!("{plural}.{group}"));
    one["spec"]["group"] = json!(group);
    one["spec"]["names"] = json!({"plural": plural, "kind": kind});
    one
}

/// [sig-api-machinery] CustomResourceDefinition resources [Privileged:ClusterAdmin] Simple CustomResourceDefinition
/// creating/deleting custom resource definition objects works [Conformance]
#[tokio::test(start_paused = true)]
async fn definitions_are_created_and_deleted() {
    let server = serve(named("foos", "Foo", "mygroup.example.com")).await;
    server.delete(&format!("{CRDS}/foos.mygroup.example.com")).await.ok();
    wait_gone(&server, "foos.mygroup.example.com").await;
}

/// [sig-api-machinery] CustomResourceDefinition resources [Privileged:ClusterAdmin] Simple CustomResourceDefinition
/// listing custom resource definition objects works [Conformance]
#[tokio::test(start_paused = true)]
async fn definitions_are_listed_and_deleted_by_label() {
    let server = Server::start().await;
    for i in 0..10 {
        let mut one = named(&format!("foos{i}"), &format!("Foo{i}"), "mygroup.example.com");
        one["metadata"]["labels"] = json!({"test": "listing"});
        add(&server, one).await;
    }
    let listed = server.get(&format!("{CRDS}?labelSelector=test%3Dlisting")).await.ok();
    assert_eq!(listed["items"].as_array().unwrap().len(), 10);
    server.delete(&format!("{CRDS}?labelSelector=test%3Dlisting")).await.ok();
    for i in 0..10 {
        wait_gone(&server, &format!("foos{i}.mygroup.example.com")).await;
    }
}

/// [sig-api-machinery] CustomResourceDefinition resources [Privileged:ClusterAdmin] Simple CustomResourceDefinition
/// getting/updating/patching custom resource definition status sub-resource works [Conformance]
#[tokio::test(start_paused = true)]
async fn the_status_of_a_definition_is_read_updated_and_patched() {
    let server = serve(named("foos", "Foo", "mygroup.example.com")).await;
    let path = format!("{CRDS}/foos.mygroup.example.com/status");
    let mut now = server.get(&path).await.ok();
    let condition = json!({"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set from e2e test",
        "lastTransitionTime": null});
    now["status"]["conditions"].as_array_mut().unwrap().push(condition);
    let updated = server.put(&path, now).await.ok();
    assert_eq!(super::condition(&updated, "StatusUpdate")["reason"], "E2E");
    let patch = json!({"spec": {"scope": "Cluster"}, "status": {"conditions": [
        {"type": "StatusPatched", "status": "True", "reason": "E2E", "message": "", "lastTransitionTime": null}]}});
    let patched = server.patch(&path, "merge-patch+json", patch).await.ok();
    assert_eq!(super::condition(&patched, "StatusPatched")["status"], "True");
    assert_eq!(patched["spec"]["scope"], "Namespaced");
}

/// [sig-api-machinery] CustomResourceDefinition resources [Privileged:ClusterAdmin] should include custom resource
/// definition resources in discovery documents [Conformance]
#[tokio::test(start_paused = true)]
async fn definitions_are_in_discovery() {
    let server = Server::start().await;
    let groups = server.get("/apis").await.ok();
    let has = |list: &Value, field: &str, value: &str| list.as_array().unwrap().iter().any(|g| g[field] == value);
    assert!(has(&groups["groups"], "name", "apiextensions.k8s.io"));
    let group = server.get("/apis/apiextensions.k8s.io").await.ok();
    assert!(has(&group["versions"], "version", "v1"));
    let resources = server.get("/apis/apiextensions.k8s.io/v1").await.ok();
    assert!(has(&resources["resources"], "name", "customresourcedefinitions"));
}

/// [sig-api-machinery] CustomResourceDefinition resources [Privileged:ClusterAdmin] custom resource defaulting for
/// requests and from storage works [Conformance]
#[tokio::test(start_paused = true)]
async fn defaults_are_filled_into_requests_and_into_what_is_stored() {
    let schema = |fields: Value| json!({"type": "object", "properties": fields});
    let mut one = named("foos", "Foo", "mygroup.example.com");
    one["spec"]["scope"] = json!("Cluster");
    one["spec"]["versions"][0]["schema"]["openAPIV3Schema"] =
        schema(json!({"a": {"type": "string", "default": "A"}, "b": {"type": "string"}}));
    let server = serve(one).await;
    let foos = "/apis/mygroup.example.com/v1/foos";
    let foo = |name: &str| json!({"apiVersion": "mygroup.example.com/v1", "kind": "Foo", "metadata": {"name": name}});
    let first = server.post(foos, foo("foo1")).await.ok();
    assert_eq!((&first["a"], first.get("b")), (&json!("A"), None));
    let set =
        json!([{"op": "add", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/b/default", "value": "B"}]);
    server.patch(&format!("{CRDS}/foos.mygroup.example.com"), "json-patch+json", set).await.ok();
    while server.get(&format!("{foos}/foo1")).await.ok()["b"] != "B" {
        tokio::task::yield_now().await;
    }
    let second = server.post(foos, foo("foo2")).await.ok();
    assert_eq!((&second["a"], &second["b"]), (&json!("A"), &json!("B")));
    let unset = json!([
        {"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/a/default"},
        {"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/b/default"},
    ]);
    server.patch(&format!("{CRDS}/foos.mygroup.example.com"), "json-patch+json", unset).await.ok();
    while server.get(&format!("{foos}/foo1")).await.ok().get("b").is_some() {
        tokio::task::yield_now().await;
    }
    let first = server.get(&format!("{foos}/foo1")).await.ok();
    assert_eq!((&first["a"], first.get("b")), (&json!("A"), None));
}

/// [sig-api-machinery] CustomResourceDefinition Watch [Privileged:ClusterAdmin] CustomResourceDefinition Watch watch on
/// custom resource definition objects [Conformance]
#[tokio::test(start_paused = true)]
async fn custom_objects_are_watched() {
    use futures::StreamExt;
    use orch_store::{
        Client,
        client::{WatchEvent, WatchOptions},
    };
    let server = serve(named("noxus", "Noxu", "mygroup.example.com")).await;
    let client = server.api.client();
    let gvr = orch_api::Gvr::of("mygroup.example.com", "v1", "noxus");
    let now = client.list(&gvr, &Default::default()).await.unwrap().revision;
    let options = WatchOptions { after: Some(now), ..WatchOptions::default() };
    let mut events = client.watch(&gvr, &options).await.unwrap();
    let noxus = "/apis/mygroup.example.com/v1/namespaces/default/noxus";
    for name in ["name1", "name2"] {
        let one = json!({"apiVersion": "mygroup.example.com/v1", "kind": "Noxu", "metadata": {"name": name}});
        server.post(noxus, one).await.ok();
    }
    for name in ["name1", "name2"] {
        server.patch(&format!("{noxus}/{name}"), "merge-patch+json", json!({"spec": {"dummy": "test"}})).await.ok();
    }
    for name in ["name1", "name2"] {
        server.delete(&format!("{noxus}/{name}")).await.ok();
    }
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(match events.next().await.unwrap().unwrap() {
            WatchEvent::Added(o) => format!("ADDED {}", o.key.name),
            WatchEvent::Modified(o) => format!("MODIFIED {}", o.key.name),
            WatchEvent::Deleted(o) => format!("DELETED {}", o.key.name),
            WatchEvent::Bookmark { .. } => "BOOKMARK".into(),
        });
    }
    assert_eq!(
        seen,
        ["ADDED name1", "ADDED name2", "MODIFIED name1", "MODIFIED name2", "DELETED name1", "DELETED name2",]
    );
}

/// [sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] works for multiple CRDs of different groups [Conformance]
/// [sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] works for multiple CRDs of same group but different versions [Conformance]
/// [sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] works for multiple CRDs of same group and version but different kinds [Conformance]
#[tokio::test(start_paused = true)]
async fn openapi_has_every_group_version_and_kind() {
    let server = Server::start().await;
    add(&server, named("foos", "Foo", "one.example.com")).await;
    add(&server, named("foos", "Foo", "two.example.com")).await;
    let mut two = named("bars", "Bar", "one.example.com");
    let mut second = two["spec"]["versions"][0].clone();
    second["name"] = json!("v2");
    second["storage"] = json!(false);
    two["spec"]["versions"].as_array_mut().unwrap().push(second);
    add(&server, two).await;
    let index = server.get("/openapi/v3").await.ok();
    for path in ["apis/one.example.com/v1", "apis/one.example.com/v2", "apis/two.example.com/v1"] {
        assert!(index["paths"].get(path).is_some(), "{path}");
    }
    let schemas = server.get("/openapi/v3/apis/one.example.com/v1").await.ok()["components"]["schemas"].clone();
    assert!(schemas.get("com.example.one.v1.Foo").is_some() && schemas.get("com.example.one.v1.Bar").is_some());
}

/// [sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] updates the published spec when one version gets renamed [Conformance]
/// [sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] removes definition from spec when one version gets changed to not be served [Conformance]
#[tokio::test(start_paused = true)]
async fn openapi_follows_versions_that_are_renamed() {
    let mut one = named("foos", "Foo", "one.example.com");
    let mut second = one["spec"]["versions"][0].clone();
    second["name"] = json!("v3");
    second["storage"] = json!(false);
    one["spec"]["versions"].as_array_mut().unwrap().push(second);
    let server = serve(one).await;
    assert_eq!(server.get("/openapi/v3/apis/one.example.com/v3").await.code, 200);
    let patch = json!([{"op": "replace", "path": "/spec/versions/1/name", "value": "v4"}]);
    server.patch(&format!("{CRDS}/foos.one.example.com"), "json-patch+json", patch).await.ok();
    while server.get("/openapi/v3/apis/one.example.com/v4").await.code != 200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.get("/openapi/v3/apis/one.example.com/v3").await.code, 404);
    assert_eq!(server.get("/openapi/v3/apis/one.example.com/v1").await.code, 200);
}

/// [sig-api-machinery] AggregatedDiscovery should support aggregated discovery interface for CRDs [Conformance]
/// [sig-api-machinery] AggregatedDiscovery should support raw aggregated discovery request for CRDs [Conformance]
#[tokio::test(start_paused = true)]
async fn aggregated_discovery_has_custom_kinds() {
    let server = serve(named("foos", "Foo", "one.example.com")).await;
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let list = server.get_as("/apis", accept).await.ok();
    let group = list["items"].as_array().unwrap().iter().find(|g| g["metadata"]["name"] == "one.example.com").unwrap();
    let resource = &group["versions"][0]["resources"][0];
    assert_eq!((&resource["resource"], &resource["responseKind"]["kind"]), (&json!("foos"), &json!("Foo")));
    assert_eq!(resource["scope"], "Namespaced");
}

/// [sig-api-machinery] FieldValidation should create/apply a CR with unknown fields for CRD with no validation schema [Conformance]
/// [sig-api-machinery] FieldValidation should create/apply a valid CR for CRD with validation schema [Conformance]
/// [sig-api-machinery] FieldValidation should create/apply an invalid CR with extra properties for CRD with validation schema [Conformance]
#[tokio::test(start_paused = true)]
async fn unknown_fields_are_judged_by_the_schema() {
    let foos = "/apis/one.example.com/v1/namespaces/default/foos";
    let foo = |spec: Value| json!({"apiVersion": "one.example.com/v1", "kind": "Foo", "metadata": {"name": "a"}, "spec": spec});
    let mut free = named("foos", "Foo", "one.example.com");
    free["spec"]["versions"][0]["schema"]["openAPIV3Schema"] =
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let server = serve(free).await;
    server.post(&format!("{foos}?fieldValidation=Strict"), foo(json!({"unknown": "x"}))).await.ok();
    let path = format!("{foos}/b?fieldManager=m&fieldValidation=Strict");
    let mut b = foo(json!({"unknown": "x"}));
    b["metadata"]["name"] = json!("b");
    server.patch(&path, "apply-patch+yaml", b).await.ok();

    let mut strict = named("foos", "Foo", "one.example.com");
    strict["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = json!({"type": "object", "properties": {"spec":
        {"type": "object", "properties": {"foo": {"type": "string"}, "cronSpec": {"type": "string"}}}}});
    let server = serve(strict).await;
    server.post(&format!("{foos}?fieldValidation=Strict"), foo(json!({"foo": "a", "cronSpec": "* *"}))).await.ok();
    let mut c = foo(json!({"foo": "a", "extraProperty": "x"}));
    c["metadata"]["name"] = json!("c");
    let bad = server.patch(&format!("{foos}/c?fieldManager=m&fieldValidation=Strict"), "apply-patch+yaml", c).await;
    assert!(bad.status().contains("unknown field \"spec.extraProperty\""), "{}", bad.status());
}
