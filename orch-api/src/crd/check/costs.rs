//! What rules are estimated to cost decides which definitions are accepted; so the numbers are upstream's
//! (`schema/cel/compilation_test.go`).

use crate::crd::{
    decl,
    node::{Node, Validation},
    rules,
};
use serde_json::{Value, json};

/// Checks the estimated cost of a rule over a schema that says no bounds, and over one that does.
fn check(schema: impl Fn(Option<u64>) -> Value, rule: &str, free: u64, bound: u64, bounded: u64) {
    for (max, expected) in [(None, free), (Some(bound), bounded)] {
        let schema = schema(max);
        let declared = decl::of(&Node::read(&schema), false).unwrap().into();
        let rule = Validation { rule: rule.to_owned(), ..Validation::default() };
        let cost = rules::compile(&declared, &rule).unwrap().program.cost().max;
        if expected == u64::MAX {
            assert!(cost > super::schema::rules::RULE_LIMIT, "{} over {schema}: {cost}", rule.rule);
        } else {
            assert_eq!(cost, expected, "{} over {schema}", rule.rule);
        }
    }
}

const TOO_MUCH: u64 = u64::MAX;

fn with(mut schema: Value, bound: &str, max: Option<u64>) -> Value {
    if let Some(max) = max {
        schema[bound] = json!(max);
    }
    schema
}

/// A scalar by its type or format.
fn of(word: &str) -> Value {
    match word {
        "int-or-string" => json!({"x-kubernetes-int-or-string": true}),
        "duration" | "date" | "date-time" | "byte" => json!({"type": "string", "format": word}),
        word => json!({"type": word}),
    }
}

fn text(max: Option<u64>) -> Value {
    with(of("string"), "maxLength", max)
}

fn list(items: Value) -> impl Fn(Option<u64>) -> Value {
    move |max| with(json!({"type": "array", "items": items}), "maxItems", max)
}

fn map(values: Value) -> impl Fn(Option<u64>) -> Value {
    move |max| with(json!({"type": "object", "additionalProperties": values}), "maxProperties", max)
}

fn pair() -> Value {
    json!({"type": "object", "required": ["required"], "properties": {"required": of("string"), "optional": of("string")}})
}

#[test]
fn loops_cost_by_what_fits_into_a_request_or_by_their_bounds() {
    let all = "self.all(x, true)";
    check(list(of("number")), all, 4_718_591, 10, 32);
    check(list(of("string")), all, 3_145_727, 20, 62);
    check(list(of("boolean")), all, 1_887_437, 5, 17);
    check(list(of("int-or-string")), all, 4_718_591, 10, 32);
    check(list(of("duration")), all, 2_359_295, 5, 17);
    check(list(of("date")), all, 725_936, 15, 47);
    check(list(of("date-time")), all, 428_963, 25, 77);
    check(list(json!({"type": "array", "items": of("number")})), all, 3_145_727, 100, 302);
    check(list(pair()), all, 555_128, 50, 152);
    check(list(of("number")), "self.all(x, self.all(y, true))", TOO_MUCH, 10, 352);
    check(list(of("number")), "self.all(x, self.all(y, self.all(z, true)))", TOO_MUCH, 10, 3_552);
    check(list(of("number")), "self.all(x, x == 0.0)", 6_291_454, 3 * 1024 * 2048, 25_165_826);
    check(list(map(of("number"))(None)), "self.all(x, x.y == 25.2)", 6_291_452, 12, 74);
}

#[test]
fn keys_of_maps_cost_nothing_by_their_length() {
    let all = "self.all(x, true)";
    check(map(of("number")), all, 1_348_169, 10, 32);
    check(map(of("string")), all, 1_179_647, 3, 11);
    check(map(of("boolean")), all, 943_718, 100, 302);
    check(map(of("int-or-string")), all, 1_348_169, 15, 47);
    check(map(of("duration")), all, 1_048_577, 5, 17);
    check(map(of("date")), all, 524_288, 10, 32);
    check(map(of("date-time")), all, 349_526, 25, 77);
    check(map(pair()), all, 428_963, 20, 62);
    check(map(json!({"type": "array", "items": of("number")})), all, 1_179_647, 25, 77);
    check(map(of("number")), "has(self.x)", 1, 100, 1);
    let texts = |max| map(text(max))(max);
    check(texts, "self.all(x, x.contains(self[x]))", 2_752_507, 10, 72);
    // As Gateway API has it: a map of labels whose keys are matched.
    let labels = |max| map(text(Some(63)))(max);
    check(labels, "self.all(key, key.matches(r'^[a-z0-9]+$'))", 2_752_507, 8, 58);
    check(labels, "self.all(key, key.split('/')[0].size() < 253)", 2_752_507, 8, 58);
}

#[test]
fn texts_cost_by_their_length() {
    check(text, "self.contains('test')", 314_574, 10, 5);
    check(text, "self.startsWith('test')", 2, 15, 2);
    check(text, "self.endsWith('test')", 2, 30, 2);
    check(text, "size(self + 'hello') > size('hello')", 314_578, 4, 7);
    check(text, "self.matches('x')", 314_574, 50, 22);
    check(text, "''.matches('(((((((((())))))))))[0-9]')", 7, 10, 7);
    check(text, "self.matches('')", 1, 100, 1);
    check(text, "self == 'x'", 2, 0, 1);
    check(|max| with(of("byte"), "maxLength", max), "self == b'x'", 2, 0, 1);
    check(text, "self.find('[0-9]+') == ''", 629_147, 10, 11);
    check(text, "self.lowerAscii() == 'lower!'", 314_575, 10, 6);
    let words = |max| with(json!({"type": "string", "enum": ["A", "B", "C", "LongValue"]}), "maxLength", max);
    check(words, "self.contains('A')", 2, 1_000, 401);
    check(|max| with(of("int-or-string"), "maxLength", max), "isQuantity(self)", 314_574, 20, 9);
    let texts = |max| list(text(max))(max);
    check(texts, "self.join(' ') == 'aa bb'", 329_853_068_905, 10, 43);
    check(texts, "self.isSorted() == true", 329_854_432_052, 10, 52);
    let fields =
        |max| json!({"type": "object", "properties": {"s": text(max), "a": text(Some(2)), "b": text(Some(4))}});
    check(fields, "self.s.replace(self.a, self.b) == 'does not matter'", 629_154, 4, 12);
    let fields = |max| json!({"type": "object", "properties": {"s": text(max), "by": text(max)}});
    check(fields, "self.s.split(self.by) == []", 629_160, 10, 22);
}

#[test]
fn single_items_cost_by_their_own_length() {
    check(list(of("number")), "self[1] == 0.0", 2, 5_000, 2);
    check(list(of("boolean")), "self[0] == false", 2, 25, 2);
    check(list(of("int-or-string")), "self[0] == 5", 3, 10, 3);
    check(list(pair()), "self[0] == null", 2, 422, 2);
    check(list(json!({"type": "array", "items": of("number")})), "self[0][0] == -1.0", 3, 51, 3);
    check(list(map(of("number"))(None)), "self[0].x > 2.0", 4, 3_000, 4);
    check(list(of("duration")), "self[0].getHours() == 2", 4, 525, 4);
    check(list(of("date")), "self[2].getDayOfMonth() == 13", 4, 42, 4);
    check(list(of("string")), "self[1] == self[1]", 314_577, 8, 314_577);
    check(map(of("number")), "self['x'] == 0.0", 2, 0, 2);
    check(map(of("integer")), "oldSelf.size() == self.size()", 5, 10, 5);
    check(map(of("date-time")), "self['a'] == self['b']", 8, 7, 8);
    check(map(of("duration")), "self['c'] == self['d']", 8, 42, 8);
    let nested = |max| list(map(with(pair(), "maxProperties", max))(max))(max);
    check(nested, "self.all(x, x['y'].required == 'z')", 7_340_027, 10, 72);
    let inner = |max| list(map(pair())(max))(None);
    check(inner, "self.all(x, x['y'].required == 'z')", 7_340_027, 10, 7_340_027);
}

#[test]
fn whole_objects_are_compared_at_no_cost_of_their_size() {
    check(|_| pair(), "self == oldSelf", 2, 1, 2);
    let inner = |_| json!({"type": "object", "properties": {"a": pair()}});
    check(inner, "self.a == oldSelf.a", 4, 1, 4);
}
