use super::*;

fn lists() -> Value {
    definition(json!({"type": "object", "properties": {
        "atomic": {"type": "array", "items": {"type": "string"}},
        "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
            "items": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"},
                "a": {"type": "integer"}, "b": {"type": "integer"}}}},
    }}))
}

async fn apply(server: &Server, manager: &str, spec: Value) -> Answer {
    let path = format!("{WIDGETS}/a?fieldManager={manager}");
    server.patch(&path, "apply-patch+yaml", widget("a", spec)).await
}

#[tokio::test(start_paused = true)]
async fn apply_merges_lists_by_the_types_of_the_schema() {
    let server = serve(lists()).await;
    let spec = json!({"set": ["a"], "parts": [{"id": "x", "a": 1}], "atomic": ["1"]});
    assert_eq!(apply(&server, "one", spec).await.code, 201);
    let now =
        apply(&server, "two", json!({"set": ["b"], "parts": [{"id": "x", "b": 2}, {"id": "y", "a": 3}]})).await.ok();
    assert_eq!(
        now["spec"],
        json!({"set": ["a", "b"], "atomic": ["1"],
        "parts": [{"id": "x", "a": 1, "b": 2}, {"id": "y", "a": 3}]})
    );
    let conflict = apply(&server, "two", json!({"parts": [{"id": "x", "a": 9}]})).await;
    assert_eq!(conflict.code, 409);
    assert!(conflict.status().contains(".spec.parts[id=\"x\"].a"), "{}", conflict.status());
    let now = apply(&server, "two", json!({"set": ["b"]})).await.ok();
    assert_eq!(now["spec"]["parts"], json!([{"id": "x", "a": 1}]));
}

#[tokio::test(start_paused = true)]
async fn a_strategic_patch_of_a_custom_kind_is_no_known_format() {
    let server = serve(lists()).await;
    server.post(WIDGETS, widget("a", json!({}))).await.ok();
    let answer = server.patch(&format!("{WIDGETS}/a"), "strategic-merge-patch+json", json!({"spec": {}})).await;
    assert_eq!(
        answer.status(),
        "415 UnsupportedMediaType: the body of the request was in an unknown format - accepted media types include: \
         application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    );
}

#[tokio::test(start_paused = true)]
async fn collections_are_selected_and_deleted_as_those_of_built_in_kinds() {
    let server = serve(lists()).await;
    for name in ["a", "b", "c"] {
        let mut one = widget(name, json!({}));
        one["metadata"]["labels"] = json!({"keep": if name == "b" { "yes" } else { "no" }});
        server.post(WIDGETS, one).await.ok();
    }
    let found = server.get(&format!("{WIDGETS}?labelSelector=keep%3Dno&limit=1")).await.ok();
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    server.delete(&format!("{WIDGETS}?labelSelector=keep%3Dno")).await.ok();
    let left = server.get(WIDGETS).await.ok();
    assert_eq!(left["items"][0]["metadata"]["name"], "b");
}
