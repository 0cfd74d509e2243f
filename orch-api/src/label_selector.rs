//! Label selectors: the typed form, the text form, and matching (`apimachinery/pkg/labels`).

mod parse;
#[cfg(test)]
mod tests;

use crate::{field::Path, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Map, Value};
use std::{
    borrow::Borrow,
    collections::{BTreeMap, HashMap},
    fmt,
    hash::Hash,
};

/// A checked selector: requirements that must all hold. Without any it matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Sorted by key.
    requirements: Vec<Requirement>,
    nothing: bool,
}

/// One requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// What must hold.
    pub operator: Operator,
    /// Against which values; sorted.
    pub values: Vec<String>,
}

/// What a requirement demands of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `a=b`
    Equals,
    /// `a==b`
    DoubleEquals,
    /// `a!=b`: also holds where the label is missing.
    NotEquals,
    /// `a in (b,c)`
    In,
    /// `a notin (b,c)`: also holds where the label is missing.
    NotIn,
    /// `a`
    Exists,
    /// `!a`
    DoesNotExist,
    /// `a>1`
    GreaterThan,
    /// `a<1`
    LessThan,
}

/// Why a selector is none, in kube-apiserver's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(String);

/// Anything that has labels.
pub trait Labels {
    /// The value of a label.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Selector {
    /// Matches every object.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Matches no object.
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }

    /// Reads the text form: `a=b,c in (d,e),!f`.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        parse::selector(text).map(Self::of)
    }

    /// Demands exactly these labels. They are not checked.
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let equals = |(key, value): (&str, &str)| Requirement {
            key: key.to_owned(),
            operator: Operator::Equals,
            values: vec![value.to_owned()],
        };
        Self::of(labels.into_iter().map(equals).collect())
    }

    /// The typed form. An absent selector matches nothing, an empty one everything.
    pub fn from_typed(selector: Option<&LabelSelector>) -> Result<Self, SelectorError> {
        let Some(selector) = selector else { return Ok(Self::nothing()) };
        let mut requirements = Vec::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            requirements.push(Requirement::new(key, Operator::Equals, vec![value.clone()])?);
        }
        for expression in selector.match_expressions.iter().flatten() {
            let values = expression.values.clone().unwrap_or_default();
            requirements.push(Requirement::new(&expression.key, typed_operator(&expression.operator)?, values)?);
        }
        Ok(Self::of(requirements))
    }

    /// The typed form as JSON. `null` matches nothing, `{}` everything.
    pub fn from_json(selector: &Value) -> Result<Self, SelectorError> {
        let typed: Option<LabelSelector> =
            serde_json::from_value(selector.clone()).map_err(|e| SelectorError(e.to_string()))?;
        Self::from_typed(typed.as_ref())
    }

    fn of(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self { requirements, nothing: false }
    }

    /// Whether all requirements hold. Allocates nothing.
    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        !self.nothing && self.requirements.iter().all(|r| r.matches(labels.label(&r.key)))
    }

    /// Whether it matches everything.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    /// Whether it was made to match nothing.
    pub fn is_nothing(&self) -> bool {
        self.nothing
    }

    /// The requirements, sorted by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// The one value that the label must have, where there is one: what an index is asked for.
    pub fn exact(&self, key: &str) -> Option<&str> {
        self.requirements.iter().filter(|r| r.key == key).find_map(|r| match (r.operator, &r.values[..]) {
            (Operator::Equals | Operator::DoubleEquals | Operator::In, [value]) => Some(value.as_str()),
            _ => None,
        })
    }
}

impl Requirement {
    /// A requirement with a valid key and values that fit the operator.
    pub fn new(key: &str, operator: Operator, values: Vec<String>) -> Result<Self, SelectorError> {
        let mut faults = Vec::new();
        faults.extend(key_fault("key", key));
        faults.extend(values_fault(operator, &values));
        for (i, value) in values.iter().enumerate() {
            let invalid = names::label_value(value);
            if !invalid.is_empty() {
                faults.push(fault(&format!("values[{i}][{key}]"), value, &invalid.join("; ")));
            }
        }
        let mut values = values;
        values.sort_unstable();
        match &faults[..] {
            [] => Ok(Self { key: key.to_owned(), operator, values }),
            [one] => Err(SelectorError(one.clone())),
            many => Err(SelectorError(format!("[{}]", many.join(", ")))),
        }
    }

    /// Whether the requirement holds for a label of this value, or for a missing label.
    pub fn matches(&self, label: Option<&str>) -> bool {
        let listed = |label: &str| self.values.iter().any(|v| v == label);
        match (self.operator, label) {
            (Operator::Exists, label) => label.is_some(),
            (Operator::DoesNotExist, label) => label.is_none(),
            (Operator::NotEquals | Operator::NotIn, label) => label.is_none_or(|l| !listed(l)),
            (_, None) => false,
            (Operator::Equals | Operator::DoubleEquals | Operator::In, Some(label)) => listed(label),
            (Operator::GreaterThan, Some(label)) => self.compare(label, |a, b| a > b),
            (Operator::LessThan, Some(label)) => self.compare(label, |a, b| a < b),
        }
    }

    fn compare(&self, label: &str, holds: fn(i64, i64) -> bool) -> bool {
        let bound = self.values.first().and_then(|v| v.parse().ok());
        label.parse().ok().zip(bound).is_some_and(|(label, bound)| holds(label, bound))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            write!(f, "{}{requirement}", if i > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

impl<K: Borrow<str> + Ord, V: AsRef<str>> Labels for BTreeMap<K, V> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(AsRef::as_ref)
    }
}

impl<K: Borrow<str> + Hash + Eq, V: AsRef<str>> Labels for HashMap<K, V> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(AsRef::as_ref)
    }
}

impl Labels for Map<String, Value> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }
}

impl<L: Labels> Labels for Option<L> {
    fn label(&self, key: &str) -> Option<&str> {
        self.as_ref().and_then(|labels| labels.label(key))
    }
}

fn typed_operator(word: &str) -> Result<Operator, SelectorError> {
    Ok(match word {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        _ => return Err(SelectorError(format!("{word:?} is not a valid label selector operator"))),
    })
}

fn key_fault(path: &str, key: &str) -> Option<String> {
    let invalid = names::qualified_name(key);
    (!invalid.is_empty()).then(|| fault(path, key, &invalid.join("; ")))
}

fn values_fault(operator: Operator, values: &[String]) -> Option<String> {
    let words = match (operator, values) {
        (Operator::In | Operator::NotIn, []) => "for 'in', 'notin' operators, values set can't be empty",
        (Operator::In | Operator::NotIn, _) => return None,
        (Operator::Equals | Operator::DoubleEquals | Operator::NotEquals, [_]) => return None,
        (Operator::Equals | Operator::DoubleEquals | Operator::NotEquals, _) => {
            "exact-match compatibility requires one single value"
        }
        (Operator::Exists | Operator::DoesNotExist, []) => return None,
        (Operator::Exists | Operator::DoesNotExist, _) => "values set must be empty for exists and does not exist",
        (Operator::GreaterThan | Operator::LessThan, [one]) => {
            let words = "for 'Gt', 'Lt' operators, the value must be an integer";
            return one.parse::<i64>().is_err().then(|| fault("values[0]", one, words));
        }
        (Operator::GreaterThan | Operator::LessThan, _) => "for 'Gt', 'Lt' operators, exactly one value is required",
    };
    Some(format!("values: Invalid value: {}: {words}", serde_json::to_string(values).unwrap_or_default()))
}

fn fault(path: &str, value: &str, words: &str) -> String {
    crate::FieldError::invalid(&Path::new(path), value, words).to_string()
}
