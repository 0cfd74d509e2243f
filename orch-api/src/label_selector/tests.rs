use super::*;

const LABELS: [(&str, &str); 2] = [("app", "web"), ("tier", "2")];

fn check(text: &str, matches: bool) {
    let labels = BTreeMap::from(LABELS);
    assert_eq!(Selector::parse(text).unwrap().matches(&labels), matches, "{text}");
}

fn check_error(text: &str, expected: &str) {
    assert_eq!(Selector::parse(text).unwrap_err().to_string(), expected, "{text}");
}

#[test]
fn each_operator_matches_what_it_says() {
    for (text, matches) in [
        ("", true),
        ("app=web", true),
        ("app==web", true),
        ("app=db", false),
        ("app!=db", true),
        ("other!=db", true),
        ("app in (db, web)", true),
        ("app in (db)", false),
        ("app notin (db)", true),
        ("other notin (db)", true),
        ("app", true),
        ("!app", false),
        ("!other", true),
        ("tier>1", true),
        ("tier>2", false),
        ("tier<3", true),
        ("app>1", false),
        ("app=web,tier=2", true),
        ("app=web,tier=3", false),
        ("app=", false),
        (" app = web , tier ", true),
    ] {
        check(text, matches);
    }
}

#[test]
fn a_selector_prints_in_the_form_it_is_read_in() {
    for (text, printed) in [
        ("b=1,a=2", "a=2,b=1"),
        ("x in (b,a)", "x in (a,b)"),
        ("x notin (,a)", "x notin (,a)"),
        ("!x,y", "!x,y"),
        ("a==b", "a==b"),
        ("in in (in)", "in in (in)"),
    ] {
        let selector = Selector::parse(text).unwrap();
        assert_eq!(selector.to_string(), printed);
        assert_eq!(Selector::parse(printed).unwrap(), selector);
    }
}

#[test]
fn a_malformed_selector_is_refused_in_kubernetes_words() {
    check_error(",", "found ',', expected: !, identifier, or 'end of string'");
    check_error("a,", "found '', expected: identifier after ','");
    check_error("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt");
    check_error("a=b=c", "found '=', expected: ',' or 'end of string'");
    check_error("a in b", "unable to parse requirement: found 'b' expected: '('");
    check_error("a in (b", "unable to parse requirement: found '', expected: ',' or ')'");
    check_error("!", "unable to parse requirement: found '', expected: identifier");
    check_error(
        "a>b",
        "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must be an integer",
    );
    let error = Selector::parse("a/b/c=d").unwrap_err().to_string();
    assert!(
        error.starts_with("unable to parse requirement: <nil>: Invalid value: \"a/b/c\": a valid label key"),
        "{error}"
    );
    let error = Selector::parse("a=b c").unwrap_err().to_string();
    assert_eq!(error, "found 'c', expected: ',' or 'end of string'");
}

#[test]
fn an_absent_typed_selector_matches_nothing_and_an_empty_one_everything() {
    let labels = BTreeMap::from(LABELS);
    assert!(!Selector::from_typed(None).unwrap().matches(&labels));
    assert!(Selector::from_typed(Some(&LabelSelector::default())).unwrap().matches(&labels));
}

#[test]
fn typed_and_textual_selectors_agree() {
    let typed = serde_json::json!({
        "matchLabels": {"app": "web"},
        "matchExpressions": [{"key": "tier", "operator": "In", "values": ["2", "1"]}, {"key": "x", "operator": "DoesNotExist"}],
    });
    assert_eq!(Selector::from_json(&typed).unwrap(), Selector::parse("app=web,tier in (1,2),!x").unwrap());
    let wrong = serde_json::json!({"matchExpressions": [{"key": "a", "operator": "Near"}]});
    assert_eq!(Selector::from_json(&wrong).unwrap_err().to_string(), "\"Near\" is not a valid label selector operator");
}

#[test]
fn an_exact_requirement_is_found_for_an_index() {
    assert_eq!(Selector::parse("app=web,x").unwrap().exact("app"), Some("web"));
    assert_eq!(Selector::parse("app in (a,b)").unwrap().exact("app"), None);
    assert_eq!(Selector::parse("app!=web").unwrap().exact("app"), None);
}
