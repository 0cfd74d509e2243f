use super::*;

fn rich() -> Value {
    definition(json!({"type": "object", "required": ["size"], "properties": {
        "size": {"type": "integer", "minimum": 1, "maximum": 10, "default": 3},
        "mode": {"type": "string", "enum": ["fast", "slow"], "default": "slow"},
        "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5, "minLength": 2},
        "port": {"x-kubernetes-int-or-string": true},
        "when": {"type": "string", "format": "date-time"},
        "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set", "maxItems": 3},
        "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
            "items": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"},
                "n": {"type": "integer", "default": 7}}}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "maybe": {"type": "string", "nullable": true},
        "template": {"type": "object", "x-kubernetes-embedded-resource": true,
            "x-kubernetes-preserve-unknown-fields": true},
        "either": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    }}))
}

#[tokio::test(start_paused = true)]
async fn defaults_fill_in_and_unknown_fields_go() {
    let server = serve(rich()).await;
    let spec = json!({"unknown": 1, "parts": [{"id": "x", "more": 2}], "free": {"any": {"thing": 1}}, "maybe": null});
    let answer = server.post(&format!("{WIDGETS}?fieldValidation=Warn"), widget("a", spec.clone())).await;
    let expected = ["unknown field \"spec.parts[0].more\"", "unknown field \"spec.unknown\""];
    let warnings = answer.warnings().join(" ");
    assert!(expected.iter().all(|w| warnings.contains(&w.replace('"', "\\\""))), "{warnings}");
    assert_eq!(
        answer.ok()["spec"],
        json!({"size": 3, "mode": "slow", "parts": [{"id": "x", "n": 7}],
        "free": {"any": {"thing": 1}}, "maybe": null})
    );
    let strict = server.post(&format!("{WIDGETS}?fieldValidation=Strict"), widget("b", spec)).await;
    assert_eq!(
        strict.status(),
        "400 BadRequest: Widget in version \"v1\" cannot be handled as a Widget: strict decoding error: unknown field \
         \"spec.parts[0].more\", unknown field \"spec.unknown\""
    );
}

async fn check(server: &Server, spec: Value, expected: &[&str]) {
    let answer = server.post(WIDGETS, widget("bad", spec)).await;
    assert_eq!(answer.code, 422, "{}", answer.text);
    assert_eq!(causes(&answer), expected);
}

#[tokio::test(start_paused = true)]
async fn values_that_break_the_schema_are_refused_with_their_paths() {
    let server = serve(rich()).await;
    let s = &server;
    check(
        s,
        json!({"size": "x"}),
        &["spec.size: Invalid value: \"string\": spec.size in body must be of type integer: \"string\""],
    )
    .await;
    check(
        s,
        json!({"size": 11}),
        &["spec.size: Invalid value: 11: spec.size in body should be less than or equal to 10"],
    )
    .await;
    check(s, json!({"mode": "odd"}), &["spec.mode: Unsupported value: \"odd\": supported values: \"fast\", \"slow\""])
        .await;
    check(
        s,
        json!({"name": "A"}),
        &["spec.name: Invalid value: \"A\": spec.name in body should be at least 2 chars long"],
    )
    .await;
    check(s, json!({"name": "AB"}), &["spec.name: Invalid value: \"AB\": spec.name in body should match '^[a-z]+$'"])
        .await;
    check(s, json!({"name": "abcdef"}), &["spec.name: Too long: may not be more than 5 bytes"]).await;
    check(
        s,
        json!({"port": true}),
        &["spec.port: Invalid value: \"boolean\": spec.port in body must be of type integer,string: \"boolean\""],
    )
    .await;
    check(
        s,
        json!({"when": "soon"}),
        &["spec.when: Invalid value: \"soon\": spec.when in body must be of type date-time: \"soon\""],
    )
    .await;
    check(s, json!({"tags": ["a", "b", "a"]}), &["spec.tags[2]: Duplicate value: \"a\""]).await;
    check(s, json!({"tags": ["a", "b", "c", "d"]}), &["spec.tags: Too many: 4: must have at most 3 items"]).await;
    check(s, json!({"parts": [{"id": "x"}, {"id": "x"}]}), &["spec.parts[1]: Duplicate value: {\"id\":\"x\"}"]).await;
    check(s, json!({"parts": [{}]}), &["spec.parts[0].id: Required value"]).await;
    check(
        s,
        json!({"labels": {"a": 1}}),
        &["spec.labels.a: Invalid value: \"integer\": spec.labels.a in body must be of type string: \"integer\""],
    )
    .await;
    check(
        s,
        json!({"template": {"metadata": {"name": "x"}}}),
        &["spec.template.apiVersion: Required value", "spec.template.kind: Required value"],
    )
    .await;
    check(
        s,
        json!({"either": {"a": "x", "b": "y"}}),
        &["<nil>: Invalid value: \"\": \"spec.either\" must validate one and only one schema (oneOf). Found 2 valid \
         alternatives"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn metadata_of_the_wrong_form_is_a_bad_request() {
    let server = serve(rich()).await;
    let mut bad = widget("a", json!({}));
    bad["metadata"]["labels"] = json!({"a": 1});
    let answer = server.post(WIDGETS, bad).await;
    assert_eq!(answer.code, 400, "{}", answer.text);
    assert!(answer.status().contains("cannot unmarshal number into Go struct field ObjectMeta"), "{}", answer.status());
    let mut nameless = widget("", json!({}));
    nameless["metadata"] = json!({});
    assert_eq!(
        causes(&server.post(WIDGETS, nameless).await),
        ["metadata.name: Required value: name or generateName is required"]
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_wrong_already_is_let_pass_while_it_does_not_change() {
    let server = serve(definition(json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}))).await;
    server.post(WIDGETS, widget("a", json!({"name": "TOO LONG", "other": 1}))).await.ok();
    let patch = json!([{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec", "value":
        {"type": "object", "properties": {"name": {"type": "string", "maxLength": 3}, "other": {"type": "integer"}}}}]);
    server.patch(&format!("{CRDS}/widgets.example.com"), "json-patch+json", patch).await.ok();
    while server.post(&format!("{WIDGETS}?dryRun=All"), widget("b", json!({"name": "LONG"}))).await.code != 422 {
        tokio::task::yield_now().await;
    }
    let path = format!("{WIDGETS}/a");
    server.patch(&path, "merge-patch+json", json!({"spec": {"other": 2}})).await.ok();
    let answer = server.patch(&path, "merge-patch+json", json!({"spec": {"name": "STILL"}})).await;
    assert_eq!(causes(&answer), ["spec.name: Too long: may not be more than 3 bytes"]);
}

fn with_parts() -> Value {
    let mut with = definition(json!({"type": "object", "properties": {"replicas": {"type": "integer"}}}));
    with["spec"]["versions"][0]["subresources"] = json!({"status": {}, "scale": {"specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}});
    with
}

#[tokio::test(start_paused = true)]
async fn status_and_spec_are_written_apart() {
    let server = serve(with_parts()).await;
    let mut with_status = widget("a", json!({"replicas": 1}));
    with_status["status"] = json!({"replicas": 9});
    let made = server.post(WIDGETS, with_status).await.ok();
    assert!(made.get("status").is_none());
    let path = format!("{WIDGETS}/a");
    let patch = json!({"spec": {"replicas": 5}, "status": {"replicas": 2, "selector": "app=a"}});
    let now = server.patch(&format!("{path}/status"), "merge-patch+json", patch.clone()).await.ok();
    assert_eq!((&now["spec"]["replicas"], &now["status"]["replicas"]), (&json!(1), &json!(2)));
    assert_eq!(now["metadata"]["generation"], 1);
    let now =
        server.patch(&path, "merge-patch+json", json!({"spec": {"replicas": 5}, "status": {"replicas": 7}})).await.ok();
    assert_eq!((&now["spec"]["replicas"], &now["status"]["replicas"]), (&json!(5), &json!(2)));
    assert_eq!(now["metadata"]["generation"], 2);
    let labelled = server.patch(&path, "merge-patch+json", json!({"metadata": {"labels": {"a": "b"}}})).await.ok();
    assert_eq!(labelled["metadata"]["generation"], 2);
}

#[tokio::test(start_paused = true)]
async fn the_scale_is_where_the_definition_says() {
    let server = serve(with_parts()).await;
    server.post(WIDGETS, widget("a", json!({"replicas": 2}))).await.ok();
    let path = format!("{WIDGETS}/a");
    let patch = json!({"status": {"replicas": 1, "selector": "app=a"}});
    server.patch(&format!("{path}/status"), "merge-patch+json", patch).await.ok();
    let scale = server.get(&format!("{path}/scale")).await.ok();
    assert_eq!(scale["spec"]["replicas"], 2);
    assert_eq!(scale["status"], json!({"replicas": 1, "selector": "app=a"}));
    let scaled =
        server.patch(&format!("{path}/scale"), "merge-patch+json", json!({"spec": {"replicas": 4}})).await.ok();
    assert_eq!(scaled["spec"]["replicas"], 4);
    assert_eq!(server.get(&path).await.ok()["spec"]["replicas"], 4);
    let answer = server.patch(&path, "merge-patch+json", json!({"spec": {"replicas": -1}})).await;
    assert_eq!(causes(&answer), [".spec.replicas: Invalid value: -1: should be a non-negative integer"]);
}

#[tokio::test(start_paused = true)]
async fn a_table_has_the_declared_columns() {
    let mut with =
        definition(json!({"type": "object", "properties": {"n": {"type": "integer"}, "on": {"type": "boolean"}}}));
    with["spec"]["versions"][0]["additionalPrinterColumns"] = json!([
        {"name": "N", "type": "integer", "jsonPath": ".spec.n"},
        {"name": "On", "type": "boolean", "jsonPath": ".spec.on", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]);
    let server = serve(with).await;
    server.post(WIDGETS, widget("a", json!({"n": 4, "on": true}))).await.ok();
    let table = server.get_as(WIDGETS, "application/json;as=Table;v=v1;g=meta.k8s.io").await.ok();
    let names: Vec<&str> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Name", "N", "On", "Age"]);
    assert_eq!(table["rows"][0]["cells"], json!(["a", 4, true, "0s"]));
    assert_eq!(
        table["columnDefinitions"][1]["description"],
        "Custom resource definition column (in JSONPath format): .spec.n"
    );
}

#[tokio::test(start_paused = true)]
async fn finalizers_without_a_domain_are_warned_of() {
    let server = serve(definition(json!({"type": "object"}))).await;
    let mut a = widget("a", json!({}));
    a["metadata"]["finalizers"] = json!(["example.com/fine", "mine", "mine.example.com", "orphan"]);
    let made = server.post(WIDGETS, a).await;
    let words = "to avoid accidental conflicts with other finalizer writers";
    assert_eq!(
        made.warnings(),
        [
            format!("299 - \"metadata.finalizers: \\\"mine\\\": prefer a domain-qualified finalizer name {words}\""),
            format!(
                "299 - \"metadata.finalizers: \\\"mine.example.com\\\": prefer a domain-qualified finalizer name including a \
                 path (/) {words}\""
            ),
        ]
    );
}
