use super::*;

#[tokio::test(start_paused = true)]
async fn a_definition_is_established_and_its_kind_served() {
    let server = Server::start().await;
    let made = server.post(CRDS, definition(json!({"type": "object"}))).await.ok();
    assert_eq!(made["spec"]["names"]["singular"], "widget");
    assert_eq!(made["spec"]["names"]["listKind"], "WidgetList");
    assert_eq!(made["spec"]["conversion"]["strategy"], "None");
    assert_eq!(made["status"]["storedVersions"], json!(["v1"]));
    let now = wait(&server, "widgets.example.com", "Established", "True").await;
    assert_eq!(condition(&now, "NamesAccepted")["reason"], "NoConflicts");
    assert_eq!(condition(&now, "Established")["message"], "the initial names have been accepted");
    assert_eq!(now["status"]["acceptedNames"]["kind"], "Widget");
    let made = server.post(WIDGETS, widget("a", json!({}))).await.ok();
    assert_eq!(made["metadata"]["generation"], 1);
    let list = server.get(WIDGETS).await.ok();
    assert_eq!((list["kind"].as_str(), list["items"].as_array().unwrap().len()), (Some("WidgetList"), 1));
}

#[tokio::test(start_paused = true)]
async fn discovery_follows_the_definitions() {
    let server = Server::start().await;
    assert_eq!(server.get("/apis/example.com").await.code, 404);
    add(&server, definition(json!({"type": "object"}))).await;
    let group = server.get("/apis/example.com").await.ok();
    assert_eq!(group["preferredVersion"]["groupVersion"], "example.com/v1");
    let resources = server.get("/apis/example.com/v1").await.ok();
    assert_eq!(resources["resources"][0]["shortNames"], json!(["wd"]));
    assert_eq!(resources["resources"][0]["categories"], json!(["all"]));
    let document = server.get("/openapi/v3/apis/example.com/v1").await.ok();
    let schema = &document["components"]["schemas"]["com.example.v1.Widget"];
    assert_eq!(schema["x-kubernetes-group-version-kind"][0]["kind"], "Widget");
    assert!(schema["properties"]["metadata"].is_object() && schema["properties"]["spec"].is_object());
    let meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    assert!(document["components"]["schemas"][meta].is_object());
    server.delete(&format!("{CRDS}/widgets.example.com")).await.ok();
    wait_gone(&server, "widgets.example.com").await;
    server.get("/apis/example.com/v1").await;
}

#[tokio::test(start_paused = true)]
async fn a_definition_whose_names_are_taken_waits_for_them() {
    let server = serve(definition(json!({"type": "object"}))).await;
    let mut other = definition(json!({"type": "object"}));
    other["metadata"]["name"] = json!("gadgets.example.com");
    other["spec"]["names"] = json!({"plural": "gadgets", "kind": "Widget", "shortNames": ["wd"]});
    server.post(CRDS, other).await.ok();
    let waiting = wait(&server, "gadgets.example.com", "NamesAccepted", "False").await;
    assert_eq!(condition(&waiting, "NamesAccepted")["reason"], "ShortNamesConflict");
    assert_eq!(condition(&waiting, "NamesAccepted")["message"], "\"wd\" is already in use");
    assert_eq!(condition(&waiting, "Established")["reason"], "NotAccepted");
    assert_eq!(server.get("/apis/example.com/v1/gadgets").await.code, 404);
    server.delete(&format!("{CRDS}/widgets.example.com")).await.ok();
    wait(&server, "gadgets.example.com", "Established", "True").await;
    assert_eq!(server.get("/apis/example.com/v1/gadgets").await.code, 200);
}

#[tokio::test(start_paused = true)]
async fn objects_go_before_their_definition_and_no_new_ones_come() {
    let server = serve(definition(json!({"type": "object"}))).await;
    let mut held = widget("held", json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    server.post(WIDGETS, held).await.ok();
    server.post(WIDGETS, widget("free", json!({}))).await.ok();
    let going = server.delete(&format!("{CRDS}/widgets.example.com")).await.ok();
    assert_eq!(going["metadata"]["finalizers"], json!(["customresourcecleanup.apiextensions.k8s.io"]));
    assert_eq!(condition(&going, "Terminating")["reason"], "InstanceDeletionPending");
    let client = server.api.client();
    let gvr = orch_api::Gvr::of("example.com", "v1", "widgets");
    let free = Key::new("default", "free");
    loop {
        use orch_store::Client;
        if client.get(&gvr, &free, None).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(
        server.post(WIDGETS, widget("late", json!({}))).await.status(),
        "405 MethodNotAllowed: create not allowed while custom resource definition is terminating"
    );
    assert_eq!(server.get(&format!("{CRDS}/widgets.example.com")).await.code, 200);
    let patch = json!({"metadata": {"finalizers": null}});
    server.patch(&format!("{WIDGETS}/held"), "merge-patch+json", patch).await.ok();
    wait_gone(&server, "widgets.example.com").await;
    assert_eq!(server.api.client().watch_ends(&gvr).await, 404);
}

/// Whether a resource is served, as the code of a list.
trait Listed {
    async fn watch_ends(&self, gvr: &orch_api::Gvr) -> u16;
}

impl Listed for orch_apiserver::LocalClient {
    async fn watch_ends(&self, gvr: &orch_api::Gvr) -> u16 {
        use orch_store::Client;
        loop {
            match self.list(gvr, &Default::default()).await {
                Err(error) => return error.code(),
                Ok(_) => tokio::task::yield_now().await,
            }
        }
    }
}

async fn check(change: impl Fn(&mut Value), expected: &[&str]) {
    let server = Server::start().await;
    let mut bad = definition(json!({"type": "object"}));
    change(&mut bad);
    let answer = server.post(CRDS, bad).await;
    assert_eq!(answer.code, 422, "{}", answer.text);
    assert_eq!(causes(&answer), expected);
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_is_none_is_refused_with_paths_and_words_of_upstream() {
    check(
        |d| d["metadata"]["name"] = json!("x.example.com"),
        &["metadata.name: Invalid value: \"x.example.com\": must be spec.names.plural+\".\"+spec.group"],
    )
    .await;
    check(
        |d| d["spec"]["scope"] = json!("Global"),
        &["spec.scope: Unsupported value: \"Global\": supported values: \"Cluster\", \"Namespaced\""],
    )
    .await;
    check(
        |d| d["spec"]["versions"][0]["schema"] = json!(null),
        &["spec.versions[0].schema.openAPIV3Schema: Required value"],
    )
    .await;
    check(
        |d| d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] = json!({"description": "x"}),
        &["spec.validation.openAPIV3Schema.properties[spec].type: Required value: must not be empty for specified \
             object fields"],
    )
    .await;
    check(|d| d["spec"]["versions"][0]["storage"] = json!(false), &[
        "spec.versions: Invalid value: [{\"name\":\"v1\",\"schema\":{\"openAPIV3Schema\":{\"properties\":{\"spec\":\
         {\"type\":\"object\"},\"status\":{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":true}},\
         \"type\":\"object\"}},\"served\":true,\"storage\":false}]: must have exactly one version marked as storage version",
        "status.storedVersions: Invalid value: []: must have at least one stored version",
    ])
    .await;
    check(
        |d| d["spec"]["versions"][0]["additionalPrinterColumns"] = json!([{"name": "A", "type": "text", "jsonPath": "x"}]),
        &[
            "spec.additionalPrinterColumns[0].type: Invalid value: \"text\": must be one of \
             boolean,date,integer,number,string",
            "spec.additionalPrinterColumns[0].JSONPath: Invalid value: \"x\": must be a simple json path starting with .",
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn forbidden_constructs_of_schemas_are_refused() {
    let spec = |schema: Value| {
        move |d: &mut Value| {
            d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] = schema.clone();
        }
    };
    let at = "spec.validation.openAPIV3Schema.properties[spec]";
    check(spec(json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"},
        "uniqueItems": true}}})), &[&format!(
        "{at}.properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes \
         quadratic"
    )])
    .await;
    let root = "spec.validation.openAPIV3Schema";
    check(
        |d| {
            d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["anyOf"] =
                json!([{"properties": {"b": {"minimum": 1}}}]);
        },
        &[&format!("{root}.properties[b]: Required value: because it is defined in {root}.anyOf[0].properties[b]")],
    )
    .await;
    check(
        spec(json!({"type": "object", "properties": {"l": {"type": "array", "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["k"], "items": {"type": "object", "properties": {"k": {"type": "string"}}}}}})),
        &[&format!(
            "{at}.properties[l].items.properties[k].default: Required value: this property is in \
             x-kubernetes-list-map-keys, so it must have a default or be a required property"
        )],
    )
    .await;
    check(
        spec(json!({"type": "object", "properties": {"n": {"type": "integer", "default": "x"}}})),
        &[&format!(
            "{at}.properties[n].default: Invalid value: \"string\":  in body must be of type integer: \"string\""
        )],
    )
    .await;
    check(spec(json!({"type": "string", "pattern": "("})), &[&format!(
        "{at}.pattern: Invalid value: \"(\": must be a valid regular expression, but isn't: error parsing regexp: unclosed group"
    )])
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_invalid_rule_says_where_it_is_wrong() {
    let server = Server::start().await;
    let rule = |rule: &str| {
        definition(json!({"type": "object", "properties": {"n": {"type": "integer"}, "l": {"type": "array",
            "items": {"type": "string"}}}, "x-kubernetes-validations": [{"rule": rule}]}))
    };
    let answer = server.post(CRDS, rule("self.m > 1")).await;
    assert_eq!(
        causes(&answer),
        ["spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule: Invalid value: \
         {\"rule\":\"self.m > 1\"}: compilation failed: ERROR: <input>:1:5: undefined field 'm'\n | self.m > 1\n | ....^"]
    );
    let answer = server.post(CRDS, rule("self.n + 1")).await;
    assert!(causes(&answer)[0].ends_with("cel expression must evaluate to a bool"));
    let answer = server.post(CRDS, rule("self.l.all(x, self.l.all(y, x == y))")).await;
    let causes = causes(&answer);
    assert!(causes[0].contains("estimated rule cost exceeds budget by factor of more than 100x"), "{causes:?}");
}

#[tokio::test(start_paused = true)]
async fn what_objects_depend_on_cannot_change() {
    let server = serve(definition(json!({"type": "object"}))).await;
    let path = format!("{CRDS}/widgets.example.com");
    let answer = server.patch(&path, "merge-patch+json", json!({"spec": {"scope": "Cluster"}})).await;
    assert_eq!(causes(&answer), ["spec.scope: Invalid value: \"Cluster\": field is immutable"]);
    let patch = json!([{"op": "add", "path": "/spec/versions/-", "value": {"name": "v2", "served": true, "storage": true,
        "schema": {"openAPIV3Schema": {"type": "object"}}}}, {"op": "replace", "path": "/spec/versions/0/storage",
        "value": false}]);
    let now = server.patch(&path, "json-patch+json", patch).await.ok();
    assert_eq!(now["status"]["storedVersions"], json!(["v1", "v2"]));
    let answer = server.patch(&path, "json-patch+json", json!([{"op": "remove", "path": "/spec/versions/0"}])).await;
    assert!(
        causes(&answer)[0].starts_with("status.storedVersions[0]: Invalid value: \"v1\": missing from spec.versions")
    );
}

#[tokio::test(start_paused = true)]
async fn definitions_survive_a_restart_of_the_server() {
    use orch_apiserver::ApiServer;
    use orch_store::{Ambient, backend::memory::MemoryBackend};
    let backend = std::sync::Arc::new(MemoryBackend::new());
    let first = ApiServer::builder(Ambient::seeded(1), backend.clone()).build().await.unwrap();
    let server = Server { service: first.service(), api: first };
    add(&server, definition(json!({"type": "object"}))).await;
    server.post(WIDGETS, widget("a", json!({}))).await.ok();
    let second = ApiServer::builder(Ambient::seeded(2), backend).build().await.unwrap();
    let server = Server { service: second.service(), api: second };
    server.get(&format!("{WIDGETS}/a")).await.ok();
}

#[tokio::test(start_paused = true)]
async fn a_definition_is_installed_before_it_is_established() {
    use futures::StreamExt;
    use orch_store::{
        Client,
        client::{ListOptions, WatchEvent, WatchOptions},
    };
    let server = Server::start().await;
    let crds = orch_api::Gvr::of("apiextensions.k8s.io", "v1", "customresourcedefinitions");
    let client = server.api.client();
    let after = Some(client.list(&crds, &ListOptions::default()).await.unwrap().revision);
    let mut events = client.watch(&crds, &WatchOptions { after, ..WatchOptions::default() }).await.unwrap();
    server.post(CRDS, definition(json!({"type": "object"}))).await.ok();
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| last != "True InitialNamesAccepted") {
        let (WatchEvent::Added(object) | WatchEvent::Modified(object)) = events.next().await.unwrap().unwrap() else {
            continue;
        };
        let found: Value = object.parse().unwrap();
        let text = |c: &Value, field: &str| c[field].as_str().unwrap_or_default().to_owned();
        let conditions = found["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let established = conditions.iter().find(|c| c["type"] == "Established");
        seen.push(established.map_or("none".into(), |c| format!("{} {}", text(c, "status"), text(c, "reason"))));
    }
    seen.dedup();
    assert_eq!(seen, ["none", "False Installing", "True InitialNamesAccepted"]);
}
