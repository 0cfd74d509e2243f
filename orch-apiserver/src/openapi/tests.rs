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
        custom: None,
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

fn v2() -> Value {
    serde_json::from_slice(&openapi().v2().json.body).unwrap()
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

#[test]
fn operations_have_the_names_that_generators_of_clients_count_on() {
    let document = read(&openapi(), "api/v1");
    let page = |path: &str| document["paths"][path].clone();
    let of = |path: &str, method: &str| page(path)[method]["operationId"].as_str().unwrap().to_owned();
    let pods = "/api/v1/namespaces/{namespace}/pods";
    assert_eq!(of(pods, "get"), "listCoreV1NamespacedPod");
    assert_eq!(of("/api/v1/pods", "get"), "listCoreV1PodForAllNamespaces");
    assert_eq!(of(pods, "delete"), "deleteCoreV1CollectionNamespacedPod");
    assert_eq!(of(&format!("{pods}/{{name}}"), "put"), "replaceCoreV1NamespacedPod");
    assert_eq!(of("/api/v1/", "get"), "getCoreV1APIResources");
    let answers = page(pods)["post"]["responses"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(answers, ["200", "201", "202", "401"]);
    let deployments = read(&openapi(), "apis/apps/v1");
    let scale = &deployments["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"]["patch"];
    assert_eq!(scale["operationId"], "patchAppsV1NamespacedDeploymentScale");
    assert_eq!(scale["description"], "partially update scale of the specified Deployment");
}

#[test]
fn v2_says_of_all_groups_what_v3_says_of_each() {
    let v2 = v2();
    assert_eq!((v2["swagger"].as_str(), v2["info"]["version"].as_str()), (Some("2.0"), Some("v1.37.0")));
    let openapi = openapi();
    for path in ["api/v1", "apis/apps/v1", "apis/example.com/v1"] {
        let v3 = read(&openapi, path);
        for (path, page) in v3["paths"].as_object().unwrap() {
            for (method, operation) in page.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters") {
                assert_eq!(v2["paths"][path][method]["operationId"], operation["operationId"], "{method} {path}");
            }
        }
        for name in v3["components"]["schemas"].as_object().unwrap().keys() {
            assert!(v2["definitions"][name].is_object(), "{name}");
        }
    }
    let patch = &v2["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert!(patch["consumes"].as_array().unwrap().contains(&json!("application/strategic-merge-patch+json")));
    assert_eq!(patch["parameters"][0]["in"], "body");
    assert_eq!(patch["responses"]["200"]["schema"]["$ref"], "#/definitions/io.k8s.api.apps.v1.Deployment");
    let dry_run = patch["parameters"].as_array().unwrap().iter().find(|p| p["name"] == "dryRun").unwrap();
    assert_eq!((dry_run["type"].as_str(), &dry_run["schema"]), (Some("string"), &Value::Null));
    let spec = &v2["definitions"]["io.k8s.api.core.v1.Pod"]["properties"]["spec"];
    assert_eq!(spec["$ref"], "#/definitions/io.k8s.api.core.v1.PodSpec");
    assert!(spec["description"].is_string() && spec["allOf"].is_null());
    let either = &v2["definitions"]["io.k8s.apimachinery.pkg.util.intstr.IntOrString"];
    assert_eq!((either["type"].as_str(), either["format"].as_str()), (Some("string"), Some("int-or-string")));
}

#[test]
fn every_reference_of_v2_leads_somewhere_and_no_word_is_unknown_to_it() {
    fn walk(value: &Value, document: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(target)) = fields.get("$ref") {
                    assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target}");
                }
                fields.values().for_each(|value| walk(value, document));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, document)),
            _ => {}
        }
    }
    let v2 = v2();
    walk(&v2, &v2);
    let text = v2.to_string();
    for word in ["\"allOf\":[", "\"oneOf\":[", "components/schemas", "\"requestBody\":{\"content"] {
        assert!(!text.contains(word), "{word}");
    }
}

/// The fields of a protobuf message that are strings or messages.
fn fields(mut bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut out = Vec::new();
    let varint = |bytes: &mut &[u8]| {
        let (mut value, mut shift) = (0u64, 0);
        loop {
            let (byte, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    };
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        match key & 7 {
            0 => drop(varint(&mut bytes)),
            1 => bytes = &bytes[8..],
            2 => {
                let length = varint(&mut bytes) as usize;
                out.push(((key >> 3) as u32, bytes[..length].to_vec()));
                bytes = &bytes[length..];
            }
            other => panic!("wire type {other}"),
        }
    }
    out
}

fn message(bytes: &[u8], field: u32) -> Vec<u8> {
    fields(bytes).into_iter().find(|(number, _)| *number == field).unwrap_or_else(|| panic!("no field {field}")).1
}

#[test]
fn the_protobuf_form_holds_the_same_paths_and_definitions() {
    let openapi = openapi();
    let (bytes, json) = (&openapi.v2().protobuf.body, v2());
    assert_eq!(message(bytes, 1), b"2.0");
    let paths = message(bytes, 8);
    let names: Vec<String> = fields(&paths).iter().map(|(_, p)| String::from_utf8(message(p, 1)).unwrap()).collect();
    assert!(names.iter().eq(json["paths"].as_object().unwrap().keys()), "{names:?}");
    let definitions = fields(&message(bytes, 9));
    let find = |name: &str| {
        let found = definitions.iter().find(|(_, d)| message(d, 1) == name.as_bytes());
        message(&found.unwrap_or_else(|| panic!("{name}")).1, 2)
    };
    let spec = find("io.k8s.api.core.v1.PodSpec");
    let properties = fields(&message(&spec, 25));
    let containers =
        properties.iter().find(|(_, p)| message(p, 1) == b"containers").map(|(_, p)| message(p, 2)).unwrap();
    assert_eq!(message(&message(&containers, 22), 1), b"array");
    let item = message(&message(&containers, 23), 1);
    assert_eq!(message(&item, 1), b"#/definitions/io.k8s.api.core.v1.Container");
    let keys = fields(&containers).into_iter().filter(|(n, _)| *n == 31).map(|(_, e)| e);
    let keys = keys.map(|e| (message(&e, 1), message(&message(&e, 2), 2))).collect::<Vec<_>>();
    assert!(keys.contains(&(b"x-kubernetes-patch-merge-key".to_vec(), b"\"name\"\n".to_vec())), "{keys:?}");
}
