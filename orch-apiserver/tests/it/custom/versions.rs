use super::*;
use orch_api::review::{ConversionRequest, ConversionResponse};
use orch_apiserver::ApiServer;
use orch_store::{Ambient, backend::memory::MemoryBackend};
use std::sync::Arc;

/// `v1` has `spec.hostPort`, `v2` has `spec.host` and `spec.port`; `v1` is stored.
fn two_versions() -> Value {
    let schema = |fields: Value| {
        json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object",
        "properties": fields}}}})
    };
    let mut two = definition(json!({}));
    two["spec"]["versions"] = json!([
        {"name": "v1", "served": true, "storage": true, "schema": schema(json!({"hostPort": {"type": "string"}})),
            "selectableFields": [{"jsonPath": ".spec.hostPort"}]},
        {"name": "v2", "served": true, "storage": false,
            "schema": schema(json!({"host": {"type": "string"}, "port": {"type": "string"}})),
            "selectableFields": [{"jsonPath": ".spec.host"}, {"jsonPath": ".spec.port"}]},
    ]);
    two
}

const V2: &str = "/apis/example.com/v2/namespaces/default/widgets";

fn convert(object: &Value, version: &str) -> Value {
    let mut new = object.clone();
    new["apiVersion"] = json!(version);
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    new["spec"] = match version {
        "example.com/v2" => {
            let both = text(&object["spec"]["hostPort"]);
            let (host, port) = both.split_once(':').unwrap_or_default();
            json!({"host": host, "port": port})
        }
        _ => json!({"hostPort": format!("{}:{}", text(&object["spec"]["host"]), text(&object["spec"]["port"]))}),
    };
    new
}

async fn handler(request: ConversionRequest) -> ConversionResponse {
    if request.objects.iter().any(|o| o["metadata"]["name"] == "broken") {
        return ConversionResponse::failure("it is broken");
    }
    ConversionResponse::success(request.objects.iter().map(|o| convert(o, &request.desired_api_version)).collect())
}

async fn converting() -> Server {
    let builder = ApiServer::builder(Ambient::seeded(1), Arc::new(MemoryBackend::new()));
    let api = builder.conversion("widgets.example.com", handler).build().await.unwrap();
    let server = Server { service: api.service(), api };
    add(&server, two_versions()).await;
    server
}

#[tokio::test(start_paused = true)]
async fn versions_without_conversion_differ_in_name_alone() {
    let mut two = two_versions();
    for version in [0, 1] {
        two["spec"]["versions"][version]["schema"]["openAPIV3Schema"]["properties"]["spec"] = json!({"type": "object", "properties": {"a": {"type": "integer"}, format!("only{version}"): {"type": "string"}}});
        two["spec"]["versions"][version]["selectableFields"] = json!(null);
    }
    let server = serve(two).await;
    let mut made = widget("a", json!({"a": 1, "only1": "x"}));
    made["apiVersion"] = json!("example.com/v2");
    let made = server.post(V2, made).await.ok();
    assert_eq!((&made["apiVersion"], &made["spec"]), (&json!("example.com/v2"), &json!({"a": 1, "only1": "x"})));
    let old = server.get(&format!("{WIDGETS}/a")).await.ok();
    assert_eq!((&old["apiVersion"], &old["spec"]), (&json!("example.com/v1"), &json!({"a": 1})));
    assert_eq!(server.get(V2).await.ok()["items"][0]["apiVersion"], "example.com/v2");
}

#[tokio::test(start_paused = true)]
async fn a_function_converts_reads_writes_lists_and_watches() {
    let server = converting().await;
    server.post(WIDGETS, widget("a", json!({"hostPort": "h1:80"}))).await.ok();
    let mut b = widget("b", json!({"host": "h2", "port": "81"}));
    b["apiVersion"] = json!("example.com/v2");
    let b = server.post(V2, b).await.ok();
    assert_eq!(b["spec"], json!({"host": "h2", "port": "81"}));
    assert_eq!(server.get(&format!("{WIDGETS}/b")).await.ok()["spec"], json!({"hostPort": "h2:81"}));
    let list = server.get(V2).await.ok();
    assert_eq!(list["items"][0]["spec"], json!({"host": "h1", "port": "80"}));
    let patched = server.patch(&format!("{V2}/a"), "merge-patch+json", json!({"spec": {"port": "90"}})).await.ok();
    assert_eq!(patched["spec"], json!({"host": "h1", "port": "90"}));
    assert_eq!(server.get(&format!("{WIDGETS}/a")).await.ok()["spec"]["hostPort"], "h1:90");
}

#[tokio::test(start_paused = true)]
async fn a_conversion_that_fails_says_why() {
    let server = converting().await;
    server.post(WIDGETS, widget("broken", json!({"hostPort": "h1:80"}))).await.ok();
    let answer = server.get(&format!("{V2}/broken")).await;
    assert_eq!(answer.status(), "500 : conversion webhook for example.com/v1, Kind=Widget failed: it is broken");
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_cannot_be_reached_fails_the_request() {
    let mut two = two_versions();
    two["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
        "clientConfig": {"service": {"namespace": "default", "name": "none"}}}});
    let server = serve(two).await;
    server.post(WIDGETS, widget("a", json!({"hostPort": "h1:80"}))).await.ok();
    let answer = server.get(&format!("{V2}/a")).await;
    assert_eq!(
        answer.status(),
        "500 : conversion webhook for example.com/v1, Kind=Widget failed: Post \
         \"https://none.default.svc:443/?timeout=30s\": service \"none\" not found"
    );
    assert_eq!(server.get(&format!("{WIDGETS}/a")).await.code, 200);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_no_longer_served_is_gone() {
    let server = serve(two_versions()).await;
    let patch = json!([{"op": "replace", "path": "/spec/versions/1/served", "value": false}]);
    server.patch(&format!("{CRDS}/widgets.example.com"), "json-patch+json", patch).await.ok();
    while server.get("/openapi/v3/apis/example.com/v2").await.code != 404 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.get(V2).await.code, 404);
    assert_eq!(server.get(WIDGETS).await.code, 200);
}

#[tokio::test(start_paused = true)]
async fn a_deprecated_version_warns() {
    let mut old = definition(json!({"type": "object"}));
    old["spec"]["versions"][0]["deprecated"] = json!(true);
    let server = serve(old).await;
    let answer = server.get(WIDGETS).await;
    assert_eq!(answer.warnings(), ["299 - \"example.com/v1 Widget is deprecated\""]);
}

/// [sig-api-machinery] CustomResourceFieldSelectors [Privileged:ClusterAdmin] CustomResourceFieldSelectors MUST list and
/// watch custom resources matching the field selector [Conformance]
#[tokio::test(start_paused = true)]
async fn custom_objects_are_listed_and_watched_by_the_fields_of_their_version() {
    use futures::StreamExt;
    use orch_store::{
        Client,
        client::{WatchEvent, WatchOptions},
    };
    let server = converting().await;
    for (name, both) in [("a", "host1:80"), ("b", "host1:8080"), ("c", "host2:80")] {
        server.post(WIDGETS, widget(name, json!({"hostPort": both}))).await.ok();
    }
    let names = |list: Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|i| i["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(server.get(&format!("{WIDGETS}?fieldSelector=spec.hostPort%3Dhost1:80")).await.ok()), ["a"]);
    assert_eq!(names(server.get(&format!("{V2}?fieldSelector=spec.host%3Dhost1")).await.ok()), ["a", "b"]);
    assert_eq!(names(server.get(&format!("{V2}?fieldSelector=spec.host%3Dhost1,spec.port%3D80")).await.ok()), ["a"]);
    assert_eq!(
        server.get(&format!("{WIDGETS}?fieldSelector=spec.host%3Dx")).await.status(),
        "400 BadRequest: field label not supported: spec.host"
    );
    let client = server.api.client();
    let gvr = orch_api::Gvr::of("example.com", "v2", "widgets");
    let options = WatchOptions { fields: "spec.host=host1".into(), ..WatchOptions::default() };
    let mut events = client.watch(&gvr, &options).await.unwrap();
    let mut next = async || match events.next().await.unwrap().unwrap() {
        WatchEvent::Added(o) => format!("ADDED {}", o.key.name),
        WatchEvent::Modified(o) => format!("MODIFIED {}", o.key.name),
        WatchEvent::Deleted(o) => format!("DELETED {}", o.key.name),
        WatchEvent::Bookmark { .. } => "BOOKMARK".into(),
    };
    assert_eq!([next().await, next().await], ["ADDED a", "ADDED b"]);
    server.patch(&format!("{V2}/c"), "merge-patch+json", json!({"spec": {"host": "host1"}})).await.ok();
    assert_eq!(next().await, "ADDED c");
    server.patch(&format!("{V2}/a"), "merge-patch+json", json!({"spec": {"host": "host9"}})).await.ok();
    assert_eq!(next().await, "DELETED a");
    server.delete(&format!("{V2}/b")).await.ok();
    assert_eq!(next().await, "DELETED b");
}
