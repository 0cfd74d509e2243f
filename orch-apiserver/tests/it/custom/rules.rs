use super::*;

fn ruled() -> Value {
    definition(json!({"type": "object",
    "x-kubernetes-validations": [
        {"rule": "self.min <= self.max", "messageExpression": "'min ' + string(self.min) + ' is above max'",
            "fieldPath": ".min"},
        {"rule": "!has(oldSelf.name) || self.name == oldSelf.name", "message": "name is fixed",
            "reason": "FieldValueForbidden"},
    ],
    "properties": {
        "min": {"type": "integer"}, "max": {"type": "integer", "x-kubernetes-validations": [
            {"rule": "self >= oldSelf", "message": "may only grow"}]},
        "name": {"type": "string", "maxLength": 20},
        "once": {"type": "string", "maxLength": 10, "x-kubernetes-validations": [
            {"rule": "!oldSelf.hasValue() || oldSelf.value() == self", "optionalOldSelf": true,
                "message": "set once"}]},
        "items": {"type": "array", "maxItems": 5, "items": {"type": "string", "maxLength": 10,
            "x-kubernetes-validations": [{"rule": "self.startsWith('x-')"}]}},
        "cidr": {"type": "string", "maxLength": 40, "x-kubernetes-validations": [
            {"rule": "isCIDR(self) && cidr(self).prefixLength() <= 24", "message": "no wide network"}]},
    }}))
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_does_not_hold_refuses_the_object() {
    let server = serve(ruled()).await;
    let bad = server.post(WIDGETS, widget("a", json!({"min": 5, "max": 3}))).await;
    assert_eq!(causes(&bad), ["spec.min: Invalid value: min 5 is above max"]);
    let bad = server.post(WIDGETS, widget("a", json!({"min": 1, "max": 3, "items": ["x-a", "b"]}))).await;
    assert_eq!(causes(&bad), ["spec.items[1]: Invalid value: \"b\": failed rule: self.startsWith('x-')"]);
    let bad = server.post(WIDGETS, widget("a", json!({"min": 1, "max": 3, "cidr": "10.0.0.0/25"}))).await;
    assert_eq!(causes(&bad), ["spec.cidr: Invalid value: \"10.0.0.0/25\": no wide network"]);
    let bad = server.post(WIDGETS, widget("a", json!({"max": 3}))).await;
    assert_eq!(
        causes(&bad),
        ["spec: Invalid value: \"object\": no such key: min evaluating rule: self.min <= self.max"]
    );
    server.post(WIDGETS, widget("a", json!({"min": 1, "max": 3, "cidr": "10.0.0.0/16"}))).await.ok();
}

#[tokio::test(start_paused = true)]
async fn transition_rules_compare_with_what_was() {
    let server = serve(ruled()).await;
    let path = format!("{WIDGETS}/a");
    server.post(WIDGETS, widget("a", json!({"min": 1, "max": 3, "name": "n", "once": "1"}))).await.ok();
    let patch = |spec: Value| server.patch(&path, "merge-patch+json", json!({"spec": spec}));
    assert_eq!(causes(&patch(json!({"max": 2})).await), ["spec.max: Invalid value: 2: may only grow"]);
    let mut bad = patch(json!({"name": "m"})).await;
    assert_eq!(causes(&bad), ["spec: Forbidden: name is fixed"]);
    bad = patch(json!({"once": "2"})).await;
    assert_eq!(causes(&bad), ["spec.once: Invalid value: \"2\": set once"]);
    patch(json!({"max": 9})).await.ok();
}

#[tokio::test(start_paused = true)]
async fn rules_are_not_asked_about_what_breaks_the_schema() {
    let server = serve(ruled()).await;
    let bad = server.post(WIDGETS, widget("a", json!({"min": "x", "max": 3}))).await;
    assert_eq!(
        causes(&bad),
        [
            "spec.min: Invalid value: \"string\": spec.min in body must be of type integer: \"string\"",
            "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the \
         existing errors to complete validation",
        ]
    );
}
