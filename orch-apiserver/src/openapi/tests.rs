use super::*;
use orch_api::{
    Gvk,
    kind::{Subresource, Verbs},
};

fn kind(group: &'static str, kind: &'static str, plural: &'static str, definition: &'static str) -> Kind {
    Kind {
        group: group.into(),
        version: "v1".into(),
        kind: kind.into(),
        plural: plural.into(),
        singular: kind.to_lowercase().into(),
        scope: Scope::Namespaced,
        short_names: Default::default(),
        categories: Default::default(),
        verbs: Verbs::All,
        subresources: Default::default(),
        columns: Default::default(),
        selectable: Default::default(),
        definition: definition.into(),
    }
}

fn openapi() -> OpenApi {
    let scale = Subresource {
        name: "scale".into(),
        kind: Gvk::of("autoscaling", "v1", "Scale"),
        verbs: &["get", "patch", "update"],
    };
    let deployment = Kind {
        subresources: vec![scale].into(),
        ..kind("apps", "Deployment", "deployments", "io.k8s.api.apps.v1.Deployment")
    };
    let schema =
        json!({"type": "object", "properties": {"spec": {"type": "object", "description": "What is wanted."}}});
    let custom = HashMap::from([("com.example.v1.Foo".to_owned(), schema)]);
    let kinds = [
        kind("", "Pod", "pods", "io.k8s.api.core.v1.Pod"),
        deployment,
        kind("example.com", "Foo", "foos", "com.example.v1.Foo"),
    ];
    OpenApi::new("v1.37.0", kinds, custom)
}

fn read(openapi: &OpenApi, path: &str) -> Value {
    match openapi.answer(path, None).unwrap() {
        Answer::Document { document, .. } => serde_json::from_slice(&document.body).unwrap(),
        Answer::Moved(to) => panic!("moved to {to}"),
    }
}

#[test]
fn the_index_names_every_version_under_a_hash_that_the_document_answers_to() {
    let openapi = openapi();
    let index: Value = serde_json::from_slice(&openapi.index().body).unwrap();
    let paths: Vec<&String> = index["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, ["api/v1", "apis/apps/v1", "apis/example.com/v1"]);
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap();
    let hash = url.strip_prefix("/openapi/v3/apis/apps/v1?hash=").unwrap();
    assert!(matches!(openapi.answer("apis/apps/v1", Some(hash)), Some(Answer::Document { immutable: true, .. })));
    assert!(matches!(openapi.answer("apis/apps/v1", Some("old")), Some(Answer::Moved(to)) if to == url));
    assert!(openapi.answer("apis/nope/v1", None).is_none());
}

#[test]
fn kubectl_explain_finds_the_kind_by_its_path_and_its_fields_with_descriptions() {
    let document = read(&openapi(), "api/v1");
    let page = &document["paths"]["/api/v1/namespaces/{namespace}/pods"];
    let gvk = &page["get"]["x-kubernetes-group-version-kind"];
    assert_eq!(*gvk, json!({"group": "", "version": "v1", "kind": "Pod"}));
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let pod = schemas.values().find(|s| s["x-kubernetes-group-version-kind"] == json!([gvk])).unwrap();
    let spec = &pod["properties"]["spec"];
    assert_eq!(spec["allOf"][0]["$ref"], "#/components/schemas/io.k8s.api.core.v1.PodSpec");
    let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert!(containers["description"].as_str().unwrap().starts_with("List of containers belonging to the pod."));
    assert_eq!(containers["items"]["allOf"][0]["$ref"], "#/components/schemas/io.k8s.api.core.v1.Container");
}

#[test]
fn kubectl_apply_finds_how_lists_merge_and_that_patches_are_validated() {
    let document = read(&openapi(), "apis/apps/v1");
    let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    let names: Vec<&str> =
        patch["parameters"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"fieldValidation"), "{names:?}");
    assert!(patch["requestBody"]["content"]["application/strategic-merge-patch+json"].is_object());
    let schemas = &document["components"]["schemas"];
    let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-list-type"], "map");
    assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
    let strategy = &schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["strategy"];
    assert_eq!(strategy["x-kubernetes-patch-strategy"], "retainKeys");
    assert!(schemas["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]["oneOf"].is_array());
    assert!(schemas["io.k8s.api.autoscaling.v1.Scale"].is_object(), "the kind of a subresource is there");
}

#[test]
fn every_reference_of_a_document_leads_somewhere() {
    fn references(value: &Value, out: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                out.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| references(value, out));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, out)),
            _ => {}
        }
    }
    let openapi = openapi();
    for path in ["api/v1", "apis/apps/v1", "apis/example.com/v1"] {
        let document = read(&openapi, path);
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in found {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{path}: {reference}");
        }
    }
}

#[test]
fn a_custom_kind_has_its_own_schema_and_no_strategic_merge_patch() {
    let document = read(&openapi(), "apis/example.com/v1");
    let schema = &document["components"]["schemas"]["com.example.v1.Foo"];
    assert_eq!(schema["properties"]["spec"]["description"], "What is wanted.");
    assert_eq!(schema["x-kubernetes-group-version-kind"][0]["kind"], "Foo");
    let patch = &document["paths"]["/apis/example.com/v1/namespaces/{namespace}/foos/{name}"]["patch"];
    assert_eq!(patch["requestBody"]["content"].as_object().unwrap().len(), 3);
}
