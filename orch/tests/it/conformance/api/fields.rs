//! `test/e2e/apimachinery/field_validation.go`.

use super::*;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

const STRICT: &str = "?fieldManager=field_validation_mgr&fieldValidation=Strict";
const TEMPLATE: &str = r#"{"metadata": {"labels": {"app": "nginx"}}, "spec": {"containers": [{"name": "nginx", "image": "nginx:latest"}]}}"#;

/// Creates a Deployment strictly; what it is refused with.
async fn refused(metadata: &str, spec: &str) -> String {
    let here = World::without_controllers().await;
    let body = format!(
        r#"{{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {{"name": "my-dep", {metadata} "labels": {{"app": "nginx"}}}},
            "spec": {{{spec} "selector": {{"matchLabels": {{"app": "nginx"}}}}, "template": {TEMPLATE}}}}}"#
    );
    let path = format!("/apis/apps/v1/namespaces/default/deployments{STRICT}");
    here.sent("POST", &path, "application/json", body).await.refusal()
}

/// [sig-api-machinery] FieldValidation should detect unknown and duplicate fields of a typed object [Conformance]
#[tokio::test(start_paused = true)]
async fn unknown_and_duplicate_fields_are_refused() {
    let why = refused("", r#""unknownField": "foo", "replicas": 2, "replicas": 3,"#).await;
    let wanted = r#"strict decoding error: unknown field "spec.unknownField", duplicate field "spec.replicas""#;
    assert!(why.contains(wanted), "{why}");
}

/// [sig-api-machinery] FieldValidation should detect unknown metadata fields of a typed object [Conformance]
#[tokio::test(start_paused = true)]
async fn unknown_fields_of_metadata_are_refused() {
    let why = refused(r#""unknownMeta": "foo","#, "").await;
    assert!(why.contains(r#"strict decoding error: unknown field "metadata.unknownMeta""#), "{why}");
}

/// A cluster with a kind `Noxu` whose `spec` keeps what it does not know, beside these fields.
async fn with_noxus(fields: Value) -> World {
    let here = World::without_controllers().await;
    let mut spec = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
        "foo": {"type": "string"},
        "cronSpec": {"type": "string", "pattern": r"^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$"},
        "ports": {"type": "array", "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["containerPort", "protocol"], "items": {"type": "object",
                "required": ["containerPort", "protocol"], "properties": {
                    "containerPort": {"type": "integer", "format": "int32"}, "hostIP": {"type": "string"},
                    "hostPort": {"type": "integer", "format": "int32"}, "name": {"type": "string"},
                    "protocol": {"type": "string"}}}}}});
    merge(&mut spec["properties"], &fields);
    let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}});
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "noxus.mygroup.example.com"}, "spec": {"group": "mygroup.example.com", "scope": "Cluster",
            "names": {"plural": "noxus", "singular": "noxu", "kind": "Noxu", "listKind": "NoxuList"},
            "versions": [{"name": "v1beta1", "served": true, "storage": true, "schema": schema}]}});
    let definition: CustomResourceDefinition = serde_json::from_value(definition).unwrap();
    here.0.define(definition).await.unwrap();
    here
}

/// Applies YAML strictly; what it is refused with.
async fn apply(here: &World, body: &str) -> String {
    let body = format!("\napiVersion: mygroup.example.com/v1beta1\nkind: Noxu\n{body}");
    let path = format!("/apis/mygroup.example.com/v1beta1/noxus/mytest{STRICT}");
    here.sent("PATCH", &path, "application/apply-patch+yaml", body).await.refusal()
}

const REST: &str = "
  cronSpec: \"* * * * */5\"
  ports:
  - name: x
    containerPort: 80
    protocol: TCP";

/// [sig-api-machinery] FieldValidation should detect unknown metadata fields in both the root and embedded object of a CR [Conformance]
#[tokio::test(start_paused = true)]
async fn unknown_fields_of_metadata_are_refused_in_custom_objects() {
    let template = json!({"type": "object", "x-kubernetes-embedded-resource": true, "properties": {
        "metadata": {"type": "object", "properties": {"name": {"type": "string"}}}, "spec": {"type": "object"}}});
    let here = with_noxus(json!({"template": template})).await;
    let body = format!(
        "metadata:
  name: mytest
  unknownMeta: unknown
spec:
  template:
    apiversion: foo/v1
    kind: Sub
    metadata:
        unknownSubMeta: unknown
        name: subobject
        namespace: default
  foo: foo1{REST}"
    );
    let why = apply(&here, &body).await;
    let either = [".spec.template.metadata.unknownSubMeta", ".metadata.unknownMeta"];
    assert!(either.iter().any(|path| why.contains(&format!("{path}: field not declared in schema"))), "{why}");
}

/// [sig-api-machinery] FieldValidation should detect duplicates in a CR when preserving unknown fields [Conformance]
#[tokio::test(start_paused = true)]
async fn duplicates_are_refused_where_unknown_fields_are_kept() {
    let here = with_noxus(json!({})).await;
    let body = format!("metadata:\n  name: mytest\nspec:\n  unknown: uk1\n  foo: foo1\n  foo: foo2{REST}");
    let why = apply(&here, &body).await;
    assert!(why.contains(r#"line 9: key "foo" already set in map"#), "{why}");
}
