//! [`At`]: a place in an object, from which a validator reads values and reports faults.
//!
//! Walking costs no allocation: a place knows its parent, and the text of a path is made only for a fault.

use super::Setting;
use crate::field::{FieldError, FieldErrors, Path};
use serde_json::Value;
use std::cell::{Cell, RefCell};

/// One validation run: the steps taken so far and the faults found.
#[derive(Default)]
pub(crate) struct Run<'a> {
    steps: RefCell<Vec<(u32, Step<'a>)>>,
    faults: RefCell<FieldErrors>,
    count: Cell<usize>,
    setting: Setting,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Field(&'a str),
    Index(usize),
    Key(&'a str),
}

/// Number of the place that has no parent.
const ROOT: u32 = u32::MAX;

impl<'a> Run<'a> {
    /// A run in a cluster of that kind.
    pub(crate) fn new(setting: Setting) -> Self {
        Self { setting, ..Self::default() }
    }

    /// The place of a whole object.
    pub(crate) fn root(&'a self, value: &'a Value) -> At<'a> {
        At { run: self, value: Some(value), step: ROOT }
    }

    /// The faults found so far, in the order of their discovery.
    pub(crate) fn finish(&self) -> FieldErrors {
        self.faults.take()
    }
}

/// A place: the value that stands there, if any, and the way to it. `null` counts as absent.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    run: &'a Run<'a>,
    value: Option<&'a Value>,
    step: u32,
}

impl<'a> At<'a> {
    fn step(self, step: Step<'a>, value: Option<&'a Value>) -> Self {
        let mut steps = self.run.steps.borrow_mut();
        let number = u32::try_from(steps.len()).unwrap_or(ROOT - 1);
        steps.push((self.step, step));
        At { run: self.run, value: value.filter(|v| !v.is_null()), step: number }
    }

    /// The field of that name, present or not.
    pub(crate) fn at(self, field: &'a str) -> Self {
        self.step(Step::Field(field), self.value.and_then(|v| v.get(field)))
    }

    /// The place of an element that is given as a value of its own.
    pub(crate) fn key(self, key: &'a str) -> Self {
        self.step(Step::Key(key), self.value.and_then(|v| v.get(key)))
    }

    /// The element at an index.
    pub(crate) fn index(self, i: usize) -> Self {
        self.step(Step::Index(i), self.value.and_then(|v| v.get(i)))
    }

    /// The same path with another value, for faults that show something else than what stands there.
    pub(crate) fn with(self, value: Option<&'a Value>) -> Self {
        At { value, ..self }
    }

    /// The elements of the list here; none where there is no list.
    pub(crate) fn items(self) -> impl Iterator<Item = At<'a>> {
        self.list().iter().enumerate().map(move |(i, v)| self.step(Step::Index(i), Some(v)))
    }

    /// The entries of the map here, with paths of the form `map[key]`.
    pub(crate) fn entries(self) -> impl Iterator<Item = (&'a str, At<'a>)> {
        let map = self.value.and_then(Value::as_object);
        map.into_iter().flatten().map(move |(k, v)| (k.as_str(), self.step(Step::Key(k), Some(v))))
    }

    /// The names of the fields of the object here.
    pub(crate) fn fields(self) -> impl Iterator<Item = &'a str> {
        self.value.and_then(Value::as_object).into_iter().flatten().map(|(field, _)| field.as_str())
    }

    /// The list here, or the empty one.
    pub(crate) fn list(self) -> &'a [Value] {
        self.value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// What is known of the cluster.
    pub(crate) fn setting(self) -> Setting {
        self.run.setting
    }

    /// The value here.
    pub(crate) fn value(self) -> Option<&'a Value> {
        self.value
    }

    /// The text here, or the empty string.
    pub(crate) fn str(self) -> &'a str {
        self.value.and_then(Value::as_str).unwrap_or_default()
    }

    /// The whole number here.
    pub(crate) fn int(self) -> Option<i64> {
        self.value.and_then(Value::as_i64)
    }

    /// Whether the value here is `true`.
    pub(crate) fn flag(self) -> bool {
        self.value.and_then(Value::as_bool).unwrap_or_default()
    }

    /// Whether a value stands here, be it empty.
    pub(crate) fn is_set(self) -> bool {
        self.value.is_some()
    }

    /// Whether nothing stands here, or an empty string, list or map.
    pub(crate) fn is_empty(self) -> bool {
        self.value.is_none_or(is_blank)
    }

    /// Number of elements or entries here.
    pub(crate) fn len(self) -> usize {
        match self.value {
            Some(Value::Array(list)) => list.len(),
            Some(Value::Object(map)) => map.len(),
            _ => 0,
        }
    }

    /// Whether this place and another hold the same value; see [`same`].
    pub(crate) fn same(self, other: At<'_>) -> bool {
        same(self.value, other.value)
    }

    /// The path as text.
    pub(crate) fn path(self) -> Path {
        let steps = self.run.steps.borrow();
        let mut way = Vec::new();
        let mut number = self.step;
        while let Some((parent, step)) = steps.get(number as usize) {
            way.push(*step);
            number = *parent;
        }
        way.iter().rev().fold(Path::default(), |path, step| match step {
            Step::Field(name) => path.child(name),
            Step::Index(i) => path.index(*i),
            Step::Key(key) => path.key(key),
        })
    }

    /// Number of faults found in the whole run so far.
    pub(crate) fn faults(self) -> usize {
        self.run.count.get()
    }

    /// Reports a fault made elsewhere.
    pub(crate) fn report(self, fault: FieldError) {
        self.run.count.set(self.run.count.get() + 1);
        self.run.faults.borrow_mut().push(fault);
    }

    /// The value as faults show it; the empty string where there is none.
    fn shown(self) -> Value {
        self.value.cloned().unwrap_or_else(|| Value::String(String::new()))
    }

    /// Something must stand here.
    pub(crate) fn required(self, detail: impl Into<String>) {
        self.report(FieldError::required(&self.path(), detail));
    }

    /// Reports that nothing stands here, where that is so. Returns whether something does.
    pub(crate) fn require(self, detail: &str) -> bool {
        if self.is_empty() {
            self.required(detail);
        }
        !self.is_empty()
    }

    /// The value here is malformed or out of range.
    pub(crate) fn invalid(self, detail: impl Into<String>) {
        self.report(FieldError::invalid(&self.path(), self.shown(), detail));
    }

    /// The value here is invalid and shown as something else.
    pub(crate) fn invalid_as(self, shown: impl Into<Value>, detail: impl Into<String>) {
        self.report(FieldError::invalid(&self.path(), shown, detail));
    }

    /// What stands here is invalid; the value is not shown.
    pub(crate) fn invalid_bare(self, detail: impl Into<String>) {
        self.report(FieldError::invalid_bare(&self.path(), detail));
    }

    /// Nothing may stand here, or what stands here may not change.
    pub(crate) fn forbidden(self, detail: impl Into<String>) {
        self.report(FieldError::forbidden(&self.path(), detail));
    }

    /// The value here is none of the sorted `supported`.
    pub(crate) fn not_supported(self, supported: &[&str]) {
        self.report(FieldError::not_supported(&self.path(), self.shown(), supported));
    }

    /// The value here stands in the list already.
    pub(crate) fn duplicate(self) {
        self.report(FieldError::duplicate(&self.path(), self.shown()));
    }

    /// The value here stands in the list already, shown as something else.
    pub(crate) fn duplicate_as(self, shown: impl Into<Value>) {
        self.report(FieldError::duplicate(&self.path(), shown));
    }

    /// What the value here names does not exist; shown as it is, even where it is empty.
    pub(crate) fn not_found_as(self, shown: &str) {
        self.report(FieldError::not_found(&self.path(), shown));
    }

    /// What the value here names does not exist.
    pub(crate) fn not_found(self) {
        self.report(FieldError::not_found(&self.path(), self.shown()));
    }

    /// The value here has more than `max` bytes.
    pub(crate) fn too_long(self, max: usize) {
        self.report(FieldError::too_long(&self.path(), max));
    }

    /// What stands here is too long, with an explanation of its own.
    pub(crate) fn too_long_as(self, detail: &str) {
        let mut fault = FieldError::too_long(&self.path(), 0);
        fault.detail = detail.to_owned();
        self.report(fault);
    }

    /// The list here has more than `max` elements.
    pub(crate) fn too_many(self, max: usize) {
        self.report(FieldError::too_many(&self.path(), self.len(), max));
    }

    /// Reports every complaint that a rule for text has about the text here.
    pub(crate) fn text(self, rule: impl Fn(&str) -> Vec<String>) {
        rule(self.str()).into_iter().for_each(|message| self.invalid(message));
    }

    /// Reports a number below zero.
    pub(crate) fn non_negative(self) {
        if self.int().is_some_and(|n| n < 0) {
            self.invalid("must be greater than or equal to 0");
        }
    }

    /// Reports a number, where there is one, that is not above zero.
    pub(crate) fn positive(self) {
        if self.int().is_some_and(|n| n <= 0) {
            self.invalid("must be greater than zero");
        }
    }

    /// Like [`At::positive`]; nothing counts as zero.
    pub(crate) fn positive_required(self) {
        if self.int().unwrap_or_default() <= 0 {
            self.invalid_as(self.int().unwrap_or_default(), "must be greater than zero");
        }
    }

    /// Reports a number, where there is one, outside of the range.
    pub(crate) fn within(self, low: i64, high: i64) {
        if self.int().is_some_and(|n| n < low || n > high) {
            self.invalid(format!("must be between {low} and {high}, inclusive"));
        }
    }

    /// Reports a text, where there is one, that is none of the sorted `supported`.
    pub(crate) fn one_of(self, supported: &[&str]) {
        if !self.is_empty() && !supported.contains(&self.str()) {
            self.not_supported(supported);
        }
    }

    /// Like [`At::one_of`], and something must stand here.
    pub(crate) fn required_one_of(self, supported: &[&str]) {
        if self.require("") {
            self.one_of(supported);
        }
    }

    /// Reports a change from `old`, in the words for fields that never change.
    pub(crate) fn immutable(self, old: At<'_>) {
        if !self.same(old) {
            self.invalid("field is immutable");
        }
    }
}

/// Two places are equal when they are the same place of the same run.
impl PartialEq for At<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.run, other.run) && self.step == other.step
    }
}

impl Eq for At<'_> {}

/// Whether two values mean the same to Kubernetes' Go types: an absent field equals `null`, an empty text, an
/// empty list, and, where the field is a map or a struct without a pointer, an empty object.
pub(crate) fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(v), None) | (None, Some(v)) => is_blank(v),
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            a.iter().all(|(k, v)| b.get(k).map_or_else(|| means_absent(k, v), |w| same(Some(v), Some(w))))
                && b.iter().all(|(k, v)| a.contains_key(k) || means_absent(k, v))
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(Some(a), Some(b)))
        }
        (Some(a), Some(b)) => a == b || (is_blank(a) && is_blank(b)),
    }
}

/// Fields whose empty object says nothing: in Go they are maps, or structs that are always there.
const HOLLOW: [&str; 22] = [
    "annotations",
    "allocatable",
    "capacity",
    "data",
    "hard",
    "labels",
    "limits",
    "loadBalancer",
    "matchLabels",
    "metadata",
    "nodeInfo",
    "nodeSelector",
    "overhead",
    "parameters",
    "requests",
    "resources",
    "rollingUpdate",
    "spec",
    "status",
    "strategy",
    "template",
    "updateStrategy",
];

fn means_absent(field: &str, value: &Value) -> bool {
    match value {
        Value::Object(map) => HOLLOW.contains(&field) && map.iter().all(|(k, v)| means_absent(k, v)),
        other => is_blank(other),
    }
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_place_knows_its_path_even_where_nothing_stands() {
        let object = json!({"spec": {"containers": [{"name": "a"}]}});
        let run = Run::default();
        let root = run.root(&object);
        let image = root.at("spec").at("containers").items().next().unwrap().at("image");
        image.required("");
        assert_eq!(run.finish()[0].to_string(), "spec.containers[0].image: Required value");
    }

    #[test]
    fn empty_and_absent_are_the_same() {
        assert!(same(Some(&json!({"labels": {}, "b": [], "c": ""})), Some(&json!({}))));
        assert!(!same(Some(&json!({"podSelector": {}})), Some(&json!({"namespaceSelector": {}}))));
        assert!(same(None, Some(&json!([]))));
        assert!(!same(Some(&json!({"a": 0})), Some(&json!({}))));
    }
}
