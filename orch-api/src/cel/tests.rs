use super::*;
use serde_json::{Value as Json, json};

fn run(text: &str, self_: &Json) -> Result<Json, String> {
    let environment = Environment::new().variable("self", Decl::dynamic());
    let program = environment.compile(text).map_err(|e| e.to_string())?;
    let bindings = Bindings::from([("self", Value::from_json(self_, None))]);
    program.evaluate(&bindings, PER_CALL_LIMIT).map(|o| o.value.to_json()).map_err(|e| e.to_string())
}

fn check(text: &str, expected: Json) {
    let object = json!({
        "n": 3, "name": "web", "list": [1, 2, 3], "names": ["a", "b"], "map": {"a": 1, "b": 2}, "half": 0.5,
        "items": [{"k": "x", "v": 1}, {"k": "y", "v": 2}], "none": null,
    });
    assert_eq!(run(text, &object), Ok(expected), "{text}");
}

fn check_fails(text: &str, expected: &str) {
    assert_eq!(run(text, &json!({"n": 3, "list": [1], "map": {}})).unwrap_err(), expected, "{text}");
}

#[test]
fn expressions_compute() {
    check("1 + 2 * 3 == 7", json!(true));
    check("-(1) + -2", json!(-3));
    check("self.n > 2 && self.name.startsWith('w')", json!(true));
    check("self.n > 2.5 ? 'more' : 'less'", json!("more"));
    check("has(self.name) && !has(self.missing)", json!(true));
    check("self.list.all(x, x > 0)", json!(true));
    check("self.list.exists(x, x == 2)", json!(true));
    check("self.names.exists_one(x, x == 'a')", json!(true));
    check("self.list.map(x, x * 2)", json!([2, 4, 6]));
    check("self.list.filter(x, x > 1).size()", json!(2));
    check("self.list.map(x, x > 1, x)", json!([2, 3]));
    check("self.map.all(k, self.map[k] > 0)", json!(true));
    check("'a' in self.map && 2 in self.list", json!(true));
    check("self.items.filter(i, i.k == 'y')[0].v", json!(2));
    check("[1, 2] + [3] == self.list", json!(true));
    check("{'a': 1}.a", json!(1));
    check("self.?missing.orValue('x')", json!("x"));
    check("self.?name.optMap(n, n + '!').orValue('')", json!("web!"));
    check("self.map[?'z'].hasValue()", json!(false));
    check("[?self.?missing, 1]", json!([1]));
    check("self.items.all(i, x, i < 2 && x.v > 0)", json!(true));
    check("self.map.transformList(k, v, k + string(v))", json!(["a1", "b2"]));
    check("self.items.sortBy(i, -i.v)[0].k", json!("y"));
    check("type(self.n) == int && type(self.name) == string", json!(true));
    check("timestamp('2024-01-02T03:04:05Z').getMonth()", json!(0));
    check("duration('90m') == duration('1h30m')", json!(true));
    check("string(duration('90m'))", json!("5400s"));
    check("timestamp('2024-01-02T03:04:05Z') + duration('1h') > timestamp('2024-01-02T04:00:00Z')", json!(true));
    check("r'a\\d' + '\\u00e9'", json!("a\\dé"));
    check("int('12') + int(2.9)", json!(14));
    check("b'abc'.size()", json!(3));
    check("self.none == null", json!(true));
}

#[test]
fn the_libraries_of_kubernetes_are_there() {
    check("'Hello'.lowerAscii() + 'a,b'.split(',')[1]", json!("hellob"));
    check("['a', 'b'].join('-')", json!("a-b"));
    check("'abc'.find('b.')", json!("bc"));
    check("'%s is %d'.format([dyn('x'), dyn(3)])", json!("x is 3"));
    check("quantity('1Gi').isGreaterThan(quantity('500Mi'))", json!(true));
    check("isQuantity('x')", json!(false));
    check("ip('10.0.0.1').family()", json!(4));
    check("cidr('10.0.0.0/8').containsIP('10.1.2.3')", json!(true));
    check("url('https://a.b:1/c?d=e').getHost()", json!("a.b:1"));
    check("isURL('/x') && !isURL('a b')", json!(true));
    check("semver('1.2.3').isLessThan(semver('1.10.0'))", json!(true));
    check("[1, 3, 2].isSorted() || [1, 2].sum() == 3", json!(true));
    check("sets.contains([1, 2, 3], [3])", json!(true));
    check("[3, 1, 2].max() + [3, 1].min()", json!(4));
    check("!format.dns1123Label().validate('a_b').hasValue()", json!(false));
}

#[test]
fn errors_read_as_cel_go_prints_them() {
    check_fails("self.x", "no such key: x");
    check_fails("self.list[7]", "index out of bounds: 7");
    check_fails("1 / (self.n - 3)", "division by zero");
    check_fails("self.n + 'a'", "no such overload");
    check_fails("9223372036854775807 + 1", "integer overflow");
    check_fails(
        "1 + 'a'",
        "ERROR: <input>:1:3: found no matching overload for '_+_' applied to '(int, string)'\n | 1 + 'a'\n | ..^",
    );
    check_fails("x == 1", "ERROR: <input>:1:1: undeclared reference to 'x' (in container '')\n | x == 1\n | ^");
    check_fails("[1, 'a']", "ERROR: <input>:1:5: expected type 'int' but found 'string'\n | [1, 'a']\n | ....^");
    check_fails(
        "'a'.size(1)",
        "ERROR: <input>:1:9: found no matching overload for 'size' applied to 'string.(int)'\n | 'a'.size(1)\n | ........^",
    );
    assert!(
        run("1 +", &json!({})).unwrap_err().starts_with("ERROR: <input>:1:4: Syntax error: mismatched input '<EOF>'")
    );
}

#[test]
fn an_operand_that_decides_wins_over_an_error() {
    check("self.missing || true", json!(true));
    check("self.missing && false", json!(false));
    check("self.list.exists(x, x == 3 || 1 / (x - 1) == 9)", json!(true));
    check_fails("self.list.all(x, 1 / (x - 1) == 9)", "division by zero");
}

#[test]
fn fields_of_declared_objects_are_checked() {
    let declared = Decl::object("self", [("name", Decl::of(Type::String)), ("n", Decl::of(Type::Int))]);
    let environment = Environment::new().variable("self", declared);
    assert!(environment.compile("self.name == 'a' && self.n < 3.5").is_ok());
    assert_eq!(
        environment.compile("self.nam == 'a'").unwrap_err().to_string(),
        "ERROR: <input>:1:5: undefined field 'nam'\n | self.nam == 'a'\n | ....^"
    );
    let error = environment.compile("self.name == 1").unwrap_err().to_string();
    assert!(error.contains("found no matching overload for '_==_' applied to '(string, int)'"), "{error}");
    assert!(!environment.compile("self.n > 0").unwrap().uses("oldSelf"));
}

#[test]
fn an_evaluation_over_its_limit_is_cancelled() {
    let environment = Environment::new().variable("self", Decl::dynamic());
    let program = environment.compile("self.all(x, self.all(y, x != y + 1000000))").unwrap();
    let many = json!((0..1000).collect::<Vec<i32>>());
    let bindings = Bindings::from([("self", Value::from_json(&many, None))]);
    let failed = program.evaluate(&bindings, 100_000).unwrap_err();
    assert_eq!(failed.error, EvalError::OverBudget);
    assert!(failed.cost > 100_000);
}

#[test]
fn costs_are_those_of_cel_go() {
    let cost = |text: &str| {
        let environment = Environment::new().variable("self", Decl::dynamic());
        let object = json!({"a": {"b": "0123456789ab"}, "l": [1, 2, 3]});
        let bindings = Bindings::from([("self", Value::from_json(&object, None))]);
        environment.compile(text).unwrap().evaluate(&bindings, PER_CALL_LIMIT).unwrap().cost
    };
    assert_eq!(cost("1 == 1"), 1);
    assert_eq!(cost("self.a.b == 'x'"), 4);
    assert_eq!(cost("has(self.a.b)"), 2);
    assert_eq!(cost("self.a.b.contains('01')"), 5);
    assert_eq!(cost("[1, 2].size() == 2"), 12);
}
