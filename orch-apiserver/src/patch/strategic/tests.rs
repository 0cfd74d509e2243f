use super::*;
use orch_api::schema::{self, List, ListPatch, Shape};
use serde_json::json;
use std::sync::Arc;

fn of(shape: Shape) -> Arc<Schema> {
    Arc::new(Schema { shape, ..Schema::default() })
}

fn object(fields: &[(&'static str, Arc<Schema>)]) -> Arc<Schema> {
    let properties = fields.iter().map(|(name, schema)| ((*name).into(), schema.clone())).collect();
    of(Shape::Object(schema::Fields { properties, ..schema::Fields::default() }))
}

fn merged_by(key: &'static str, items: Arc<Schema>) -> Arc<Schema> {
    of(Shape::List(List { items, patch: ListPatch::Merge { key: key.into() }, ..List::default() }))
}

fn pod() -> Arc<Schema> {
    let any = Arc::new(Schema::default());
    let container = object(&[
        ("name", any.clone()),
        ("args", of(Shape::List(List::default()))),
        ("env", merged_by("name", any.clone())),
    ]);
    object(&[
        ("containers", merged_by("name", container)),
        ("finalizers", merged_by("", any.clone())),
        ("strategy", object(&[])),
    ])
}

fn check(current: Value, patch: Value, expected: Value) {
    assert_eq!(apply(&pod(), &current, &patch).unwrap(), expected, "{current} + {patch}");
}

fn refuse(current: Value, patch: Value, code: u16, words: &str) {
    let error = apply(&pod(), &current, &patch).unwrap_err();
    assert_eq!((error.code(), error.message()), (code, words));
}

#[test]
fn items_of_a_list_merge_by_their_key() {
    check(
        json!({"containers":[{"name":"a","image":"1"},{"name":"b","image":"1"}]}),
        json!({"containers":[{"name":"b","image":"2"},{"name":"c","image":"3"}]}),
        json!({"containers":[{"name":"a","image":"1"},{"name":"b","image":"2"},{"name":"c","image":"3"}]}),
    );
    check(
        json!({"containers":[{"name":"a","env":[{"name":"X","value":"1"}]}]}),
        json!({"containers":[{"name":"a","env":[{"name":"X","value":"2"},{"name":"Y","value":"3"}]}]}),
        json!({"containers":[{"name":"a","env":[{"name":"X","value":"2"},{"name":"Y","value":"3"}]}]}),
    );
}

#[test]
fn a_list_without_merge_key_is_replaced() {
    check(
        json!({"containers":[{"name":"a","args":["x","y"]}]}),
        json!({"containers":[{"name":"a","args":["z"]}]}),
        json!({"containers":[{"name":"a","args":["z"]}]}),
    );
}

#[test]
fn null_removes_a_field_and_is_never_stored() {
    check(json!({"a":1,"b":{"c":1}}), json!({"a":null,"b":{"c":null},"d":{"e":null}}), json!({"b":{},"d":{}}));
}

#[test]
fn the_patch_directive_deletes_or_replaces() {
    check(
        json!({"containers":[{"name":"a"},{"name":"b"}]}),
        json!({"containers":[{"name":"a","$patch":"delete"}]}),
        json!({"containers":[{"name":"b"}]}),
    );
    check(
        json!({"containers":[{"name":"a"},{"name":"b"}]}),
        json!({"containers":[{"$patch":"replace"},{"name":"c"}]}),
        json!({"containers":[{"name":"c"}]}),
    );
    check(json!({"strategy":{"a":1}}), json!({"strategy":{"$patch":"replace","b":2}}), json!({"strategy":{"b":2}}));
    check(json!({"strategy":{"a":1}}), json!({"strategy":{"$patch":"delete"}}), json!({"strategy":{}}));
    check(json!({}), json!({"containers":[{"name":"a","$patch":"delete"}]}), json!({"containers":[]}));
}

#[test]
fn retain_keys_drops_the_fields_that_it_does_not_name() {
    check(
        json!({"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}}}),
        json!({"strategy":{"$retainKeys":["type"],"type":"Recreate"}}),
        json!({"strategy":{"type":"Recreate"}}),
    );
    refuse(
        json!({"strategy":{}}),
        json!({"strategy":{"$retainKeys":["type"],"other":1}}),
        400,
        "invalid patch format of retainKeys",
    );
}

#[test]
fn scalars_join_as_a_set_and_leave_by_a_parallel_list() {
    check(json!({"finalizers":["a","b"]}), json!({"finalizers":["c","a"]}), json!({"finalizers":["c","a","b"]}));
    check(
        json!({"finalizers":["a","b","c"]}),
        json!({"$deleteFromPrimitiveList/finalizers":["b"]}),
        json!({"finalizers":["a","c"]}),
    );
}

#[test]
fn set_element_order_orders_what_it_names_and_keeps_the_rest_in_place() {
    check(
        json!({"containers":[{"name":"a"},{"name":"b"},{"name":"server"}]}),
        json!({"$setElementOrder/containers":[{"name":"b"},{"name":"a"}]}),
        json!({"containers":[{"name":"b"},{"name":"a"},{"name":"server"}]}),
    );
    check(
        json!({"containers":[{"name":"server"},{"name":"a"}]}),
        json!({"$setElementOrder/containers":[{"name":"b"},{"name":"a"}],"containers":[{"name":"b"}]}),
        json!({"containers":[{"name":"b"},{"name":"server"},{"name":"a"}]}),
    );
}

#[test]
fn faulty_lists_are_refused_in_the_words_of_upstream() {
    refuse(
        json!({"containers":[{"name":"a"}]}),
        json!({"containers":[{"image":"nginx"}]}),
        500,
        "map: map[image:nginx] does not contain declared merge key: name",
    );
    refuse(
        json!({"containers":[{"name":"a"}]}),
        json!({"containers":[{"name":"a","$patch":"frob"}]}),
        500,
        "unknown patch type: frob in map: map[$patch:frob name:a]",
    );
    let words = "json: cannot unmarshal array into Go value of type map[string]interface {}";
    refuse(json!({}), json!([]), 400, words);
}
