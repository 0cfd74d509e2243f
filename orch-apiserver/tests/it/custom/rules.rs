use super::*;

fn ruled() -> Value {
    definition(json!({"type": "object",
    "x-kubernetes-validations": [
        {"rule": "self.min <= self.max", "messageExpression": "'min %d is above max'.format([self.min])",
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

#[tokio::test(start_paused = true)]
async fn what_broke_a_rule_before_it_was_made_is_let_pass_with_a_warning_until_it_changes() {
    let plain = |rules: Value| {
        definition(json!({"type": "object", "properties": {
            "name": {"type": "string", "maxLength": 20, "x-kubernetes-validations": rules},
            "other": {"type": "string"}}}))
    };
    let server = serve(plain(json!([]))).await;
    let path = format!("{WIDGETS}/a");
    server.post(WIDGETS, widget("a", json!({"name": "upper"}))).await.ok();
    let stricter = plain(json!([{"rule": "self.startsWith('x-')", "message": "must begin with x-"}]));
    let patch = json!({"spec": {"versions": stricter["spec"]["versions"]}});
    server.patch(&format!("{CRDS}/widgets.example.com"), "merge-patch+json", patch).await.ok();
    let probe = format!("{WIDGETS}?dryRun=All");
    while server.post(&probe, widget("b", json!({"name": "upper"}))).await.code.is_success() {
        tokio::task::yield_now().await;
    }
    let other = server.patch(&path, "merge-patch+json", json!({"spec": {"other": "changed"}})).await;
    assert_eq!(other.warnings(), ["299 - \"spec.name: Invalid value: \\\"upper\\\": must begin with x-\""]);
    assert_eq!(other.ok()["spec"]["other"], "changed");
    let changed = server.patch(&path, "merge-patch+json", json!({"spec": {"name": "lower"}})).await;
    assert_eq!(causes(&changed), ["spec.name: Invalid value: \"lower\": must begin with x-"]);
    server.patch(&path, "merge-patch+json", json!({"spec": {"name": "x-ray"}})).await.ok();
}

/// As in Gateway API: keys of maps are matched, enumerations of lists are told apart, and alternatives are exclusive.
#[tokio::test(start_paused = true)]
async fn rules_over_keys_of_maps_and_whole_objects_are_within_the_budget() {
    let server = serve(definition(json!({"type": "object", "properties": {
        "labels": {"type": "object", "maxProperties": 8, "additionalProperties": {"type": "string", "maxLength": 63},
            "x-kubernetes-validations": [
                {"rule": "self.all(key, key.matches(r\"\"\"^([a-z0-9.-]+/)?[a-z0-9]+$\"\"\"))", "message": "keys are names"},
                {"rule": "self.all(key, key.split('/')[0].size() < 20)", "message": "short prefixes"}]},
        "names": {"type": "object", "properties": {"kind": {"type": "string"}, "plural": {"type": "string"}},
            "x-kubernetes-validations": [
                {"rule": "self == oldSelf", "message": "Value is immutable"},
                {"rule": "!has(self.plural) || self.plural == self.plural.lowerAscii()", "message": "lowercase"}]},
    }})))
    .await;
    let bad = server.post(WIDGETS, widget("a", json!({"labels": {"A": "x"}}))).await;
    assert_eq!(causes(&bad), ["spec.labels: Invalid value: keys are names"]);
    server
        .post(WIDGETS, widget("a", json!({"labels": {"b.c/a": "x"}, "names": {"kind": "A", "plural": "as"}})))
        .await
        .ok();
    let changed = json!({"spec": {"names": {"kind": "B", "plural": "Bs"}}});
    let bad = server.patch(&format!("{WIDGETS}/a"), "merge-patch+json", changed).await;
    assert_eq!(causes(&bad), ["spec.names: Invalid value: Value is immutable", "spec.names: Invalid value: lowercase"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_of_unbounded_length_is_refused() {
    let server = Server::start().await;
    let bad = server
        .post(
            CRDS,
            definition(json!({"type": "object", "properties": {"n": {"type": "integer"}},
            "x-kubernetes-validations": [{"rule": "self.n > 0", "messageExpression": "'bad: ' + string(self.n)"}]})),
        )
        .await;
    let cost = "exceeds budget by factor of more than 100x (try simplifying the rule, or adding maxItems, maxProperties, \
         and maxLength where arrays, maps, and strings are declared)";
    let schema = "spec.validation.openAPIV3Schema";
    let expression = format!("{schema}.properties[spec].x-kubernetes-validations[0].messageExpression");
    assert_eq!(
        causes(&bad),
        [
            format!("{expression}: Forbidden: estimated messageExpression cost {cost}"),
            format!(
                "{expression}: Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
            ),
            format!(
                "{schema}: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema {cost}"
            ),
        ]
    );
}
