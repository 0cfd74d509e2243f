//! What values are told by their schema.

use super::{Node, check, value};
use crate::Path;
use serde_json::{Value, json};

fn faults(schema: Value, object: Value, old: Option<Value>) -> Vec<String> {
    let found = value::check(&Path::default(), &Node::read(&schema), &object, old.as_ref());
    found.iter().map(ToString::to_string).collect()
}

fn judge(schema: Value, object: Value, expected: &[&str]) {
    assert_eq!(faults(schema, object, None), expected);
}

fn object(properties: Value) -> Value {
    json!({"type": "object", "properties": properties})
}

#[test]
fn of_alternatives_that_all_fail_the_one_that_got_furthest_says_why() {
    // As Gateway API has it: an address, by its type.
    let schema = object(json!({"address": {"type": "object", "properties": {"type": {"type": "string"},
        "value": {"type": "string"}}, "oneOf": [
        {"properties": {"type": {"enum": ["IPAddress"]}, "value": {"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}}},
        {"properties": {"type": {"not": {"enum": ["IPAddress"]}}}},
    ]}}));
    judge(schema.clone(), json!({"address": {"type": "IPAddress", "value": "10.0.0.1"}}), &[]);
    judge(schema.clone(), json!({"address": {"type": "Hostname", "value": "a.b"}}), &[]);
    judge(
        schema,
        json!({"address": {"type": "IPAddress", "value": "a.b"}}),
        &[
            "<nil>: Invalid value: \"\": \"address\" must validate one and only one schema (oneOf). Found none valid",
            "<nil>: Invalid value: \"\": \"address.value\" must validate at least one schema (anyOf)",
            "address.value: Invalid value: \"a.b\": address.value in body must be of type ipv4: \"a.b\"",
        ],
    );
    let schema = object(json!({"v": {"x-kubernetes-preserve-unknown-fields": true, "anyOf": [
        {"properties": {"a": {"minimum": 9}}},
        {"properties": {"a": {"minimum": 3}, "b": {"minimum": 3}}},
    ]}}));
    judge(
        schema,
        json!({"v": {"a": 1, "b": 5}}),
        &[
            "<nil>: Invalid value: \"\": \"v\" must validate at least one schema (anyOf)",
            "v.a: Invalid value: 1: v.a in body should be greater than or equal to 3",
        ],
    );
}

#[test]
fn parts_of_alternatives_that_have_not_changed_are_let_pass() {
    let schema =
        object(json!({"v": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "allOf": [{"properties": {"a": {"minimum": 3}}}]}}));
    let (old, new) = (json!({"v": {"a": 1, "b": 1}}), json!({"v": {"a": 1, "b": 2}}));
    assert_eq!(faults(schema.clone(), new, Some(old.clone())), [""; 0]);
    assert_eq!(faults(schema, json!({"v": {"a": 2, "b": 2}}), Some(old)).len(), 2);
}

#[test]
fn of_a_text_the_first_fault_is_said_and_its_format() {
    let text = |more: Value| {
        let mut schema = json!({"type": "string"});
        schema.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        object(json!({"s": schema}))
    };
    let both = text(json!({"minLength": 3, "pattern": "^a"}));
    judge(both, json!({"s": "b"}), &["s: Invalid value: \"b\": s in body should be at least 3 chars long"]);
    let dated = text(json!({"maxLength": 3, "format": "date"}));
    judge(
        dated,
        json!({"s": "today"}),
        &[
            "s: Too long: may not be more than 3 bytes",
            "s: Invalid value: \"today\": s in body must be of type date: \"today\"",
        ],
    );
    judge(text(json!({"format": "made-up"})), json!({"s": "x"}), &[]);
}

#[test]
fn numbers_stay_within_the_range_of_their_format() {
    let number = |ty: &str, format: &str| object(json!({"n": {"type": ty, "format": format}}));
    judge(number("integer", "int32"), json!({"n": 2147483647}), &[]);
    judge(
        number("integer", "int32"),
        json!({"n": 2147483648i64}),
        &["<nil>: Invalid value: \"\": Checked value must be of type integer with format int32 in n"],
    );
    judge(
        number("integer", ""),
        json!({"n": 9223372036854775808u64}),
        &[
            "n: Invalid value: \"number\": n in body must be of type integer: \"number\"",
            "<nil>: Invalid value: \"\": Checked value must be of type integer (default format) in n",
        ],
    );
    judge(
        number("number", "float"),
        json!({"n": 1e300}),
        &["<nil>: Invalid value: \"\": Checked value must be of type number with format float in n"],
    );
    judge(
        number("integer", "int64"),
        json!({"n": true}),
        &["n: Invalid value: \"\": n in body must be of type int64: \"\""],
    );
}

#[test]
fn a_definition_says_which_version_is_not_structural() {
    let version = |schema: Value| json!({"name": "v1", "schema": {"openAPIV3Schema": schema}});
    let fine = object(json!({"spec": {"type": "object"}}));
    let define = |schemas: [Value; 2]| json!({"spec": {"versions": schemas.map(version)}});
    assert_eq!(check::structure(&define([fine.clone(), fine.clone()])), None);
    let (status, reason, message) = check::structure(&define([fine.clone(), object(json!({"spec": {}}))])).unwrap();
    assert_eq!((status, reason), ("True", "Violations"));
    assert_eq!(
        message,
        "spec.versions[1].schema.openAPIV3Schema.properties[spec].type: Required value: must not be empty for specified \
         object fields"
    );
    let (status, reason, message) = check::structure(&define([object(json!({"a": {"$ref": "#/b"}})), fine])).unwrap();
    assert_eq!((status, reason), ("Unknown", "StructuralError"));
    assert_eq!(message, "failed to check validation schema for version v1: OpenAPIV3Schema '$ref' is not supported");
}
