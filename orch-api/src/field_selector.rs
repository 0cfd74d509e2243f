//! Field selectors (`apimachinery/pkg/fields`): `spec.nodeName=n1,status.phase!=Failed`.

use crate::{
    access,
    jsonpath::JsonPath,
    kind::{FieldValue, Kind, Scope, SelectableField},
};
use serde_json::Value;
use std::{borrow::Cow, fmt};

/// Terms that must all hold. Without any it matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    terms: Vec<Term>,
}

/// One field with the value that it must, or must not, have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The selector's word for the field.
    pub field: String,
    /// The value.
    pub value: String,
    /// Whether the field must have the value, rather than must not.
    pub equal: bool,
}

/// Why a text is no selector, or none for this kind, in kube-apiserver's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FieldSelectorError(String);

impl FieldSelector {
    /// Reads the text form. In values `\`, `,` and `=` are escaped by a backslash.
    pub fn parse(text: &str) -> Result<Self, FieldSelectorError> {
        let mut parts = split_terms(text);
        parts.sort_unstable();
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        Ok(Self { terms: parts.map(|part| term(text, part)).collect::<Result<_, _>>()? })
    }

    /// Demands that one field has one value.
    pub fn equal(field: &str, value: &str) -> Self {
        Self { terms: vec![Term { field: field.to_owned(), value: value.to_owned(), equal: true }] }
    }

    /// Refuses fields that objects of the kind cannot be selected by.
    pub fn check(&self, kind: &Kind) -> Result<(), FieldSelectorError> {
        let unknown = self.terms.iter().find(|term| !is_selectable(kind, &term.field));
        unknown.map_or(Ok(()), |term| Err(FieldSelectorError(refusal(kind, &term.field))))
    }

    /// Whether an object of the kind has the demanded values.
    pub fn matches(&self, kind: &Kind, object: &Value) -> bool {
        self.matches_by(|field| value_of(kind, field, object))
    }

    /// Whether the demanded values are there, by whoever knows the values of fields.
    pub fn matches_by<'a>(&self, value_of: impl Fn(&str) -> Cow<'a, str>) -> bool {
        self.terms.iter().all(|term| (value_of(&term.field) == term.value) == term.equal)
    }

    /// Whether it matches everything.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// The terms, sorted by their text.
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The value that the field must have, where one is demanded: what an index is asked for.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|term| term.equal && term.field == field).map(|term| term.value.as_str())
    }
}

/// Whether selectors may name the field for objects of the kind.
pub fn is_selectable(kind: &Kind, field: &str) -> bool {
    match field {
        "metadata.name" => true,
        "metadata.namespace" => kind.scope == Scope::Namespaced || kind.selectable.is_empty(),
        field => kind.selectable.iter().any(|s| s.name == field),
    }
}

/// The value of a field of an object as a selector sees it; the empty string where there is none.
pub fn value_of<'a>(kind: &Kind, field: &str, object: &'a Value) -> Cow<'a, str> {
    match field {
        "metadata.name" | "metadata.namespace" => Cow::Borrowed(access::text(object, field)),
        field => kind.selectable.iter().find(|s| s.name == field).map_or(Cow::Borrowed(""), |s| value(s, object)),
    }
}

/// The value of a selectable field of an object.
pub fn value<'a>(field: &SelectableField, object: &'a Value) -> Cow<'a, str> {
    match &field.value {
        FieldValue::Computed(value) => Cow::Owned(value(object)),
        FieldValue::Path(path) => {
            let simple = path.strip_prefix('.').unwrap_or(path);
            let found = match simple.contains(['[', '\\']) {
                false => access::get(object, simple),
                true => JsonPath::parse(path).ok().and_then(|path| path.first(object)),
            };
            match found {
                Some(Value::String(text)) => Cow::Borrowed(text),
                Some(other @ (Value::Bool(_) | Value::Number(_))) => Cow::Owned(other.to_string()),
                _ => Cow::Borrowed(""),
            }
        }
    }
}

/// Escapes a text for use as a value.
pub fn escape(value: &str) -> Cow<'_, str> {
    if !value.contains(['\\', ',', '=']) {
        return Cow::Borrowed(value);
    }
    let escaped = value.chars().flat_map(|c| matches!(c, '\\' | ',' | '=').then_some('\\').into_iter().chain([c]));
    Cow::Owned(escaped.collect())
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, term) in self.terms.iter().enumerate() {
            let (comma, sign) = (if i > 0 { "," } else { "" }, if term.equal { "=" } else { "!=" });
            write!(f, "{comma}{}{sign}{}", term.field, escape(&term.value))?;
        }
        Ok(())
    }
}

/// The words differ from kind to kind.
fn refusal(kind: &Kind, field: &str) -> String {
    match (&*kind.group, &*kind.kind) {
        _ if kind.selectable.is_empty() => {
            format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
        }
        ("batch", "Job") => format!("field label {field:?} not supported for Job"),
        ("resource.k8s.io", "ResourceSlice") => {
            format!("field label not supported for {}, Kind={}: {field}", kind.gvk().api_version(), kind.kind)
        }
        _ => format!("field label not supported: {field}"),
    }
}

/// Splits at commas that are not escaped.
fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(text.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(text.get(start..).unwrap_or_default());
    terms
}

fn term(selector: &str, text: &str) -> Result<Term, FieldSelectorError> {
    let refuse = || FieldSelectorError(format!("invalid selector: '{selector}'; can't understand '{text}'"));
    let at = text.find('=').ok_or_else(refuse)?;
    let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default());
    let (field, equal) = before.strip_suffix('!').map_or((before, true), |field| (field, false));
    let value = if equal { after.strip_prefix('=').unwrap_or(after) } else { after };
    Ok(Term { field: field.to_owned(), value: unescape(value)?, equal })
}

fn unescape(value: &str) -> Result<String, FieldSelectorError> {
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => plain.push(c),
                other => {
                    let sequence: String = ['\\'].into_iter().chain(other).collect();
                    let words = "invalid field selector: invalid escape sequence";
                    return Err(FieldSelectorError(format!("{words}: {sequence}")));
                }
            },
            ',' | '=' => {
                let words = "invalid field selector: unescaped character in value";
                return Err(FieldSelectorError(format!("{words}: {}", u32::from(c))));
            }
            c => plain.push(c),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gvr, kinds};
    use serde_json::json;

    fn pods() -> &'static Kind {
        kinds::find(&Gvr::of("", "v1", "pods")).unwrap()
    }

    fn check(text: &str, matches: bool) {
        let pod = json!({"metadata": {"name": "a", "namespace": "b"}, "spec": {"nodeName": "n=1"}});
        let selector = FieldSelector::parse(text).unwrap();
        selector.check(pods()).unwrap();
        assert_eq!(selector.matches(pods(), &pod), matches, "{text}");
        assert_eq!(FieldSelector::parse(&selector.to_string()).unwrap(), selector);
    }

    fn check_error(text: &str, expected: &str) {
        assert_eq!(FieldSelector::parse(text).unwrap_err().to_string(), expected);
    }

    #[test]
    fn terms_must_all_hold() {
        check("", true);
        check("metadata.name=a", true);
        check("metadata.name==a,metadata.namespace!=c", true);
        check("metadata.name=a,metadata.namespace=c", false);
        check(r"spec.nodeName=n\=1", true);
        check("spec.nodeName!=", true);
        check("status.podIP=", true);
        check("spec.hostNetwork=false", true);
    }

    #[test]
    fn a_malformed_selector_is_refused_in_kubernetes_words() {
        check_error("a", "invalid selector: 'a'; can't understand 'a'");
        check_error("a=b=c", "invalid field selector: unescaped character in value: 61");
        check_error(r"a=\b", r"invalid field selector: invalid escape sequence: \b");
        check_error("a=\\", "invalid field selector: invalid escape sequence: \\");
    }

    #[test]
    fn a_field_that_the_kind_does_not_know_is_refused() {
        let refusal = |resource: Gvr, text| {
            let selector = FieldSelector::parse(text).unwrap();
            selector.check(kinds::find(&resource).unwrap()).unwrap_err().to_string()
        };
        assert_eq!(refusal(Gvr::of("", "v1", "pods"), "spec.x=1"), "field label not supported: spec.x");
        assert_eq!(
            refusal(Gvr::of("", "v1", "configmaps"), "spec.x=1"),
            r#""spec.x" is not a known field selector: only "metadata.name", "metadata.namespace""#
        );
        assert_eq!(
            refusal(Gvr::of("", "v1", "nodes"), "metadata.namespace=a"),
            "field label not supported: metadata.namespace"
        );
    }
}
