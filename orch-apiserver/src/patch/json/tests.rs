use super::*;
use serde_json::json;

#[test]
fn operations_apply_in_order() {
    for (current, patch, expected) in [
        (json!({}), json!([{"op":"add","path":"/a","value":1}]), json!({"a":1})),
        (json!({"a":[1,3]}), json!([{"op":"add","path":"/a/1","value":2}]), json!({"a":[1,2,3]})),
        (json!({"a":[1]}), json!([{"op":"add","path":"/a/-","value":2}]), json!({"a":[1,2]})),
        (json!({"a":[1,2]}), json!([{"op":"remove","path":"/a/-1"}]), json!({"a":[1]})),
        (json!({"a":{"b/c":1}}), json!([{"op":"remove","path":"/a/b~1c"}]), json!({"a":{}})),
        (json!({"a":1}), json!([{"op":"replace","path":"/a","value":2}]), json!({"a":2})),
        (json!({"a":1}), json!([{"op":"replace","path":"/b","value":2}]), json!({"a":1,"b":2})),
        (json!({"a":1}), json!([{"op":"move","from":"/a","path":"/b"}]), json!({"b":1})),
        (json!({"a":[{"x":1}]}), json!([{"op":"copy","from":"/a/0","path":"/a/-"}]), json!({"a":[{"x":1},{"x":1}]})),
        (json!({"a":1}), json!([{"op":"test","path":"/a","value":1}]), json!({"a":1})),
        (json!({"a":1}), json!([{"op":"test","path":"/b","value":null}]), json!({"a":1})),
    ] {
        assert_eq!(apply(&current, &patch).unwrap(), expected, "{current} + {patch}");
    }
}

#[test]
fn what_does_not_apply_is_refused_with_a_reason_in_the_words_of_upstream() {
    for (current, operation, words) in [
        (
            json!({}),
            json!({"op":"add","path":"/a/b","value":1}),
            r#"add operation does not apply: doc is missing path: "/a/b": missing value"#,
        ),
        (
            json!({}),
            json!({"op":"remove","path":"/a"}),
            "error in remove for path: '/a': Unable to remove nonexistent key: a: missing value",
        ),
        (json!({"a":1}), json!({"op":"test","path":"/a","value":2}), "testing value /a failed: test failed"),
        (
            json!({"a":[]}),
            json!({"op":"add","path":"/a/3","value":2}),
            "error in add for path: '/a/3': Unable to access invalid index: 3: invalid index referenced",
        ),
        (json!({}), json!({"op":"frob","path":"/a"}), "Unexpected kind: frob"),
    ] {
        assert_eq!(perform(&mut current.clone(), &operation, &mut 0).unwrap_err(), words);
        let error = apply(&current, &json!([operation])).unwrap_err();
        assert_eq!(error.code(), 422);
        assert_eq!(error.message(), "the server rejected our request due to an error in our request");
    }
}

#[test]
fn a_patch_that_is_no_list_is_a_bad_request() {
    let error = apply(&json!({}), &json!({"op":"add"})).unwrap_err();
    let words = "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp";
    assert_eq!((error.code(), error.message()), (400, words));
}

#[test]
fn a_patch_of_more_than_ten_thousand_operations_is_too_large() {
    let one = json!({"op":"test","path":"","value":{}});
    let error = apply(&json!({}), &Value::Array(vec![one; 10_001])).unwrap_err();
    assert_eq!(error.code(), 413);
    assert_eq!(error.message(), "The allowed maximum operations in a JSON patch is 10000, got 10001");
}
