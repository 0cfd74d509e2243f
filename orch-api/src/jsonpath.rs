//! JSON paths as custom kinds declare them for columns, scale and selectable fields: the part of
//! `client-go/util/jsonpath` that names values.
//!
//! ```
//! use orch_api::jsonpath::JsonPath;
//! let path = JsonPath::parse(r#".status.conditions[?(@.type=="Ready")].status"#).unwrap();
//! let object = serde_json::json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
//! assert_eq!(path.first(&object).unwrap(), "True");
//! ```

use serde_json::Value;
use std::cmp::Ordering;

/// A parsed path. Fields that are missing name nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// `.name` or `['name']`
    Field(String),
    /// `[0]`; from the end where negative.
    Index(i64),
    /// `[1:3]`
    Slice(Option<i64>, Option<i64>),
    /// `[*]` or `.*`
    All,
    /// `..name`
    Deep(String),
    /// `[?(@.path op literal)]`
    Filter(Filter),
}

#[derive(Clone, Debug, PartialEq)]
struct Filter {
    path: JsonPath,
    test: Option<(Comparison, Value)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Why a text is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid JSON path {path:?}: {why}")]
pub struct JsonPathError {
    path: String,
    why: &'static str,
}

impl JsonPath {
    /// Reads a path such as `.spec.x[0].y`. The leading dot may be missing; `$` and braces may stand around it.
    pub fn parse(path: &str) -> Result<Self, JsonPathError> {
        let bare = path.trim().strip_prefix('{').and_then(|p| p.strip_suffix('}')).unwrap_or(path.trim());
        let bare = bare.strip_prefix('$').unwrap_or(bare);
        let refuse = |why| JsonPathError { path: path.to_owned(), why };
        let mut steps = Vec::new();
        let mut rest = bare;
        while !rest.is_empty() {
            let (step, after) = step(rest, steps.is_empty()).map_err(refuse)?;
            steps.extend(step);
            rest = after;
        }
        Ok(Self(steps))
    }

    /// Every value that the path names, in order.
    pub fn all<'a>(&self, object: &'a Value) -> Vec<&'a Value> {
        self.0.iter().fold(vec![object], |values, step| {
            let mut next = Vec::new();
            values.into_iter().for_each(|value| step.take(value, &mut next));
            next
        })
    }

    /// The first value that the path names.
    pub fn first<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        self.all(object).into_iter().next()
    }
}

impl Step {
    fn take<'a>(&self, value: &'a Value, out: &mut Vec<&'a Value>) {
        match self {
            Self::Field(name) => out.extend(value.get(name)),
            Self::Index(i) => out.extend(value.as_array().and_then(|items| items.get(place(*i, items.len())?))),
            Self::Slice(from, to) => {
                let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
                let end = |i: Option<i64>, or| i.map_or(Some(or), |i| place(i, items.len())).unwrap_or(or);
                let range = end(*from, 0)..end(*to, items.len()).min(items.len());
                out.extend(items.get(range).unwrap_or_default());
            }
            Self::All => match value {
                Value::Array(items) => out.extend(items),
                Value::Object(map) => out.extend(map.values()),
                _ => {}
            },
            Self::Deep(name) => deep(value, name, out),
            Self::Filter(filter) => {
                let items = value.as_array().into_iter().flatten();
                out.extend(items.filter(|item| filter.holds(item)));
            }
        }
    }
}

impl Filter {
    fn holds(&self, item: &Value) -> bool {
        match (self.path.first(item), &self.test) {
            (found, None) => found.is_some(),
            (None, Some(_)) => false,
            (Some(found), Some((comparison, literal))) => comparison.holds(found, literal),
        }
    }
}

impl Comparison {
    fn holds(self, a: &Value, b: &Value) -> bool {
        let order = match (a, b) {
            (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
            (Value::Number(a), Value::Number(b)) => a.as_f64().zip(b.as_f64()).and_then(|(a, b)| a.partial_cmp(&b)),
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            _ => None,
        };
        match self {
            Self::Equal => order == Some(Ordering::Equal),
            Self::NotEqual => order != Some(Ordering::Equal),
            Self::Less => order == Some(Ordering::Less),
            Self::LessOrEqual => order.is_some_and(Ordering::is_le),
            Self::Greater => order == Some(Ordering::Greater),
            Self::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        }
    }
}

fn place(i: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    usize::try_from(if i < 0 { length + i } else { i }).ok()
}

fn deep<'a>(value: &'a Value, name: &str, out: &mut Vec<&'a Value>) {
    out.extend(value.get(name));
    match value {
        Value::Array(items) => items.iter().for_each(|item| deep(item, name, out)),
        Value::Object(map) => map.values().for_each(|item| deep(item, name, out)),
        _ => {}
    }
}

type Parsed<'a> = Result<(Option<Step>, &'a str), &'static str>;

/// The first step of a path, and the rest. The empty step is the object itself.
fn step(path: &str, first: bool) -> Parsed<'_> {
    if let Some(rest) = path.strip_prefix("..") {
        let (name, rest) = name(rest);
        return if name.is_empty() { Err("a name must follow '..'") } else { Ok((Some(Step::Deep(name)), rest)) };
    }
    if let Some(rest) = path.strip_prefix('[') {
        return bracket(rest);
    }
    let rest = match path.strip_prefix('.') {
        Some("") if first => return Ok((None, "")),
        Some(rest) => rest,
        None if first => path,
        None => return Err("a step must begin with '.' or '['"),
    };
    if let (true, Some(bracketed)) = (first, rest.strip_prefix('[')) {
        return bracket(bracketed);
    }
    match name(rest) {
        (name, rest) if name == "*" => Ok((Some(Step::All), rest)),
        (name, _) if name.is_empty() => Err("a name must follow '.'"),
        (name, rest) => Ok((Some(Step::Field(name)), rest)),
    }
}

/// A field name up to the next step; a backslash makes the next character a part of it.
fn name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '.' | '[' => return (name, text.get(at..).unwrap_or_default()),
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            c => name.push(c),
        }
    }
    (name, "")
}

/// What stands in brackets; the opening one is read.
fn bracket(text: &str) -> Parsed<'_> {
    if let Some(filter_text) = text.strip_prefix("?(") {
        let end = outside_quotes(filter_text, ")]").ok_or("the filter is not closed by ')]'")?;
        let (inside, rest) = (filter_text.get(..end), filter_text.get(end + 2..));
        return Ok((Some(Step::Filter(filter(inside.unwrap_or_default())?)), rest.unwrap_or_default()));
    }
    let end = outside_quotes(text, "]").ok_or("the bracket is not closed")?;
    let (inside, rest) = (text.get(..end).unwrap_or_default().trim(), text.get(end + 1..).unwrap_or_default());
    let number = |text: &str| text.trim().parse::<i64>().map_err(|_| "an index must be a whole number");
    let optional = |text: &str| if text.trim().is_empty() { Ok(None) } else { number(text).map(Some) };
    let step = match (inside, inside.split_once(':')) {
        ("*", _) => Step::All,
        (quoted, _) if quoted.starts_with(['\'', '"']) => Step::Field(unquote(quoted)?.replace('\\', "")),
        (_, Some((from, to))) => Step::Slice(optional(from)?, optional(to)?),
        (index, None) => Step::Index(number(index)?),
    };
    Ok((Some(step), rest))
}

/// `@.type=="Ready"`
fn filter(text: &str) -> Result<Filter, &'static str> {
    const OPERATORS: [(&str, Comparison); 6] = [
        ("==", Comparison::Equal),
        ("!=", Comparison::NotEqual),
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    let found = OPERATORS.iter().find_map(|(sign, op)| outside_quotes(text, sign).map(|at| (at, sign.len(), *op)));
    let (left, test) = match found {
        None => (text, None),
        Some((at, length, operator)) => {
            let right = text.get(at + length..).unwrap_or_default().trim();
            (text.get(..at).unwrap_or_default(), Some((operator, literal(right)?)))
        }
    };
    let path = left.trim().strip_prefix('@').ok_or("a filter must begin with '@'")?;
    let path = JsonPath::parse(path).map_err(|e| e.why)?;
    Ok(Filter { path, test })
}

fn literal(text: &str) -> Result<Value, &'static str> {
    if text.starts_with(['\'', '"']) {
        return Ok(Value::from(unquote(text)?));
    }
    serde_json::from_str(text).map_err(|_| "a filter compares with a quoted text, a number or a truth")
}

fn unquote(text: &str) -> Result<&str, &'static str> {
    let same = |quote| text.strip_prefix(quote).and_then(|t: &str| t.strip_suffix(quote));
    same('\'').or_else(|| same('"')).ok_or("the quote is not closed")
}

/// Where a sign stands outside of quotes.
fn outside_quotes(text: &str, sign: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, _) if text.get(at..).is_some_and(|rest| rest.starts_with(sign)) => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(path: &str, expected: Value) {
        let object = json!({
            "metadata": {"annotations": {"a.b/c": "dotted"}},
            "spec": {"replicas": 3, "list": [{"n": 1}, {"n": 2}, {"n": 3}]},
            "status": {"conditions": [
                {"type": "Ready", "status": "True"}, {"type": "Odd)]", "status": "False"},
            ]},
        });
        let found = JsonPath::parse(path).unwrap().all(&object);
        assert_eq!(json!(found), expected, "{path}");
    }

    #[test]
    fn a_path_names_values() {
        check(".spec.replicas", json!([3]));
        check("spec.replicas", json!([3]));
        check("{.spec.replicas}", json!([3]));
        check("$.spec['replicas']", json!([3]));
        check(".spec.list[0].n", json!([1]));
        check(".spec.list[-1].n", json!([3]));
        check(".spec.list[*].n", json!([1, 2, 3]));
        check(".spec.list[1:].n", json!([2, 3]));
        check(".spec.list[:5].n", json!([1, 2, 3]));
        check("..n", json!([1, 2, 3]));
        check(".spec.list[?(@.n>1)].n", json!([2, 3]));
        check(r#".status.conditions[?(@.type=="Ready")].status"#, json!(["True"]));
        check(".status.conditions[?(@.type=='Odd)]')].status", json!(["False"]));
        check(r".metadata.annotations.a\.b/c", json!(["dotted"]));
        check(r".metadata.annotations['a\.b/c']", json!(["dotted"]));
        check(".metadata.annotations['a.b/c']", json!(["dotted"]));
        check(".missing.at[0].all", json!([]));
    }

    #[test]
    fn a_malformed_path_says_why() {
        for path in [".a[", ".a[x]", ".a..", ".a[?(b==1)]", ".a[?(@.b==c)]", ".a['b]", ".a[0]b"] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }
}
