//! What kubectl makes of the schemas of custom kinds (`test/e2e/apimachinery/crd_publish_openapi.go`).

use crate::{
    cluster::simulated,
    run::{Kubectl, with_each},
};
use serde_json::{Value, json};

/// Defines a kind of this schema in a group of its own; its plural with the group, and the version.
fn define(k: &Kubectl, schema: &Value) -> (String, String) {
    let group = format!("{}.example.com", k.namespace);
    let plural = format!("tests.{group}");
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": plural}, "spec": {"group": group, "scope": "Namespaced",
            "names": {"plural": "tests", "singular": "test", "kind": "Test", "listKind": "TestList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}});
    k.with_input("create -f -", &definition.to_string()).succeeds();
    k.run(&format!("wait --for=condition=Established crd/{plural} --timeout=30s")).succeeds();
    let published = format!("\"com.example.{}.v1.Test\"", k.namespace);
    k.run("get --raw /openapi/v2").contains(&published);
    (plural, format!("{group}/v1"))
}

fn object(version: &str, name: &str, fields: Value) -> String {
    let mut object = json!({"kind": "Test", "apiVersion": version, "metadata": {"name": name}});
    fields.as_object().unwrap().iter().for_each(|(field, value)| object[field] = value.clone());
    object.to_string()
}

/// The object can be created, and applied, in whose validation kubectl has a part.
fn is_taken(k: &Kubectl, plural: &str, object: &str) {
    for how in ["create -f -", "apply -f -"] {
        k.with_input(how, object).succeeds();
        let name = serde_json::from_str::<Value>(object).unwrap()["metadata"]["name"].as_str().unwrap().to_owned();
        k.run(&format!("delete {plural} {name}")).succeeds();
    }
}

fn is_refused(k: &Kubectl, object: &str, words: &str) {
    for how in ["create -f -", "apply -f -"] {
        k.with_input(how, object).fails(words);
    }
}

/// `explain` prints these words, in this order, whatever is between them.
#[track_caller]
fn explains(k: &Kubectl, what: &str, words: &[&str]) {
    let shown = k.run(&format!("explain {what}")).succeeds().stdout();
    let mut rest = &*shown;
    for word in words {
        let at = rest.find(word).unwrap_or_else(|| panic!("no {word:?} (of {words:?}) in\n{shown}"));
        rest = &rest[at + word.len()..];
    }
}

fn list_of(item: Value, description: &str) -> Value {
    json!({"type": "array", "description": description, "items": item})
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

/// [sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] works for CRD with validation schema [Conformance]
#[test]
fn a_schema_is_checked_and_explained() {
    with_each(simulated, "foo-schema", |k| {
        let feeling =
            json!({"type": "string", "description": "Whether Bar is feeling great.", "enum": ["Great", "Down"]});
        let bar = json!({"type": "object", "required": ["name"], "properties": {"name": text("Name of Bar."),
            "age": text("Age of Bar."), "feeling": feeling, "bazs": list_of(json!({"type": "string"}), "List of Bazs.")}});
        let spec = json!({"type": "object", "description": "Specification of Foo",
            "properties": {"bars": list_of(bar, "List of Bars and their specs.")}});
        let schema = json!({"type": "object", "description": "Foo CRD for Testing", "properties": {"spec": spec}});
        let (plural, version) = define(k, &schema);
        let foo = |spec: Value| object(&version, "test-foo", json!({"spec": spec}));
        is_taken(k, &plural, &foo(json!({"bars": [{"name": "test-bar"}]})));
        let unsupported = foo(json!({"bars": [{"name": "test-bar", "feeling": "NonExistentValue"}]}));
        is_refused(k, &unsupported, "Unsupported value: \"NonExistentValue\"");
        is_refused(k, &foo(json!({"foo": true})), "unknown field \"spec.foo\"");
        is_refused(k, &foo(json!({"bars": [{"age": "10"}]})), "spec.bars[0].name: Required value");

        let described = [
            "DESCRIPTION:",
            "Foo CRD for Testing",
            "FIELDS:",
            "apiVersion",
            "<string>",
            "APIVersion defines",
            "spec",
            "<Object>",
            "Specification of Foo",
        ];
        explains(k, &plural, &described);
        // The path of a field follows the plural alone.
        let part = |path: &str| format!("tests.{path} --api-version={version}");
        explains(
            k,
            &part("metadata"),
            &[
                "DESCRIPTION:",
                "Standard object's metadata",
                "FIELDS:",
                "creationTimestamp",
                "<string>",
                "CreationTimestamp is a timestamp",
            ],
        );
        explains(
            k,
            &part("spec"),
            &["DESCRIPTION:", "Specification of Foo", "FIELDS:", "bars", "<[]Object>", "List of Bars and their specs"],
        );
        explains(
            k,
            &part("spec.bars"),
            &[
                "FIELD:",
                "bars",
                "<[]Object>",
                "DESCRIPTION:",
                "List of Bars and their specs",
                "FIELDS:",
                "bazs",
                "<[]string>",
                "List of Bazs",
                "name",
                "<string>",
                "Name of Bar",
            ],
        );
        k.run(&format!("explain {}", part("spec.bars2"))).fails("field \"bars2\" does not exist");
        k.run(&format!("delete crd {plural}")).succeeds();
    });
}

/// A kind that takes unknown fields at its root.
fn takes_anything(k: &Kubectl, schema: &Value, explained: &[&str]) {
    let (plural, version) = define(k, schema);
    is_taken(k, &plural, &object(&version, "test-cr", json!({"a": {"b": [{"c": "d"}]}})));
    explains(k, &plural, explained);
    k.run(&format!("delete crd {plural}")).succeeds();
}

/// [sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] works for CRD without validation schema [Conformance]
#[test]
fn a_kind_without_a_schema_takes_anything() {
    with_each(simulated, "no-schema", |k| {
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        takes_anything(k, &schema, &["DESCRIPTION:", "<empty>"]);
    });
}

/// A schema with a `spec` that describes something else.
fn preserving(description: &str, root: Value, spec: Value) -> Value {
    let dummy = json!({"type": "object", "description": "Dummy property."});
    let mut schema = json!({"type": "object", "description": description, "properties": {"spec":
        {"type": "object", "description": "Specification of Waldo", "properties": {"dummy": dummy}}}});
    let put = |to: &mut Value, from: &Value| {
        from.as_object().unwrap().iter().for_each(|(name, value)| to[name] = value.clone());
    };
    put(&mut schema["properties"]["spec"], &spec);
    put(&mut schema, &root);
    schema
}

/// [sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] works for CRD preserving unknown fields at the schema root [Conformance]
#[test]
fn unknown_fields_at_the_root_are_kept() {
    with_each(simulated, "root-schema", |k| {
        let open = json!({"x-kubernetes-preserve-unknown-fields": true});
        let schema = preserving("preserve-unknown-properties at root for Testing", open, json!({}));
        takes_anything(k, &schema, &["KIND:", "Test"]);
    });
}

/// [sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] works for CRD preserving unknown fields in an embedded object [Conformance]
#[test]
fn unknown_fields_below_the_root_are_kept() {
    with_each(simulated, "nested-schema", |k| {
        let open = json!({"x-kubernetes-preserve-unknown-fields": true});
        let schema = preserving("preserve-unknown-properties in nested field for Testing", json!({}), open);
        let (plural, version) = define(k, &schema);
        is_taken(k, &plural, &object(&version, "test-cr", json!({"spec": {"a": null, "b": [{"c": "d"}]}})));
        explains(k, &plural, &["DESCRIPTION:", "preserve-unknown-properties in nested field for Testing"]);
        k.run(&format!("delete crd {plural}")).succeeds();
    });
}
