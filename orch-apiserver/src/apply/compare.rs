//! Which fields differ between two states of an object (`typed/compare.go`).

use super::{
    atom::{Atom, atom, fields, items},
    set::{Node, Set, Step},
};
use crate::patch::shape::{child, resolve};
use orch_api::schema::{List, Schema, Shape};
use serde_json::{Map, Value};

/// The fields that came, changed and went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// In the new state alone, with the objects and items that came with them.
    pub added: Set,
    /// In both, with different values.
    pub modified: Set,
    /// In the old state alone.
    pub removed: Set,
}

impl Comparison {
    /// Whether the states are equal.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// The comparison without the fields at and below `ignored`.
    #[must_use]
    pub fn without(self, ignored: &Set) -> Self {
        if ignored.is_empty() {
            return self;
        }
        Self {
            added: self.added.without(ignored),
            modified: self.modified.without(ignored),
            removed: self.removed.without(ignored),
        }
    }
}

/// Compares two states of an object.
pub fn compare(schema: &Schema, old: &Value, new: &Value) -> Comparison {
    let Difference { added, modified, removed, .. } = walk(schema, Some(old), Some(new));
    Comparison { added, modified, removed }
}

/// Objects and lists that a built-in type always has, because Go has no way to leave them out: they come
/// and go with their parent and are never added to it.
const IMPLIED: [&str; 9] =
    ["metadata", "spec", "status", "template", "strategy", "updateStrategy", "jobTemplate", "containers", "rules"];

/// What happened to a value itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    Added,
    Modified,
    Removed,
}

struct Difference {
    this: Change,
    added: Set,
    modified: Set,
    removed: Set,
}

/// The nodes of one level while it is walked.
#[derive(Default)]
struct Level {
    added: Vec<Node>,
    modified: Vec<Node>,
    removed: Vec<Node>,
}

fn walk(schema: &Schema, old: Option<&Value>, new: Option<&Value>) -> Difference {
    let held = resolve(schema);
    let Some(sample) = new.filter(|v| !v.is_null()).or(old).or(new) else { return leaf(old, new) };
    let same_form = |a: &Value, b: &Value| a.is_object() == b.is_object() && a.is_array() == b.is_array();
    if let (Some(a), Some(b)) = (old, new)
        && !a.is_null()
        && !b.is_null()
        && !same_form(a, b)
    {
        return leaf(old, new);
    }
    let below = match atom(&held, sample) {
        Atom::Map(schema) if fields(old).is_some() || fields(new).is_some() => {
            of_map(schema, fields(old), fields(new), old.is_some())
        }
        Atom::List(list) if has_items(old) || has_items(new) => of_list(list, old, new),
        _ => return leaf(old, new),
    };
    let this = match (old, new) {
        (None, Some(_)) => Change::Added,
        (Some(_), None) => Change::Removed,
        _ => Change::None,
    };
    Difference {
        this,
        added: Set::from_nodes(below.added),
        modified: Set::from_nodes(below.modified),
        removed: Set::from_nodes(below.removed),
    }
}

fn leaf(old: Option<&Value>, new: Option<&Value>) -> Difference {
    let this = match (old, new) {
        (None, Some(_)) => Change::Added,
        (Some(_), None) => Change::Removed,
        (Some(old), Some(new)) if old != new => Change::Modified,
        _ => Change::None,
    };
    Difference { this, added: Set::default(), modified: Set::default(), removed: Set::default() }
}

fn has_items(value: Option<&Value>) -> bool {
    value.and_then(Value::as_array).is_some_and(|items| !items.is_empty())
}

type Fields<'a> = Option<&'a Map<String, Value>>;

fn of_map(schema: &Schema, old: Fields<'_>, new: Fields<'_>, parent_was: bool) -> Level {
    let empty = Value::Object(Map::new());
    let built_in = matches!(&schema.shape, Shape::Object(fields) if !fields.definition.is_empty());
    let mut level = Level::default();
    for (name, value) in new.into_iter().flatten() {
        let mut was = old.and_then(|fields| fields.get(name));
        if was.is_none() && parent_was && built_in && IMPLIED.contains(&name.as_str()) {
            was = if value.is_object() { Some(&empty) } else { Some(&Value::Null) };
        }
        if was == Some(value) && !value.is_object() {
            continue;
        }
        level.push(|| Step::Field(name.as_str().into()), walk(child(schema, name), was, Some(value)));
    }
    for (name, value) in old.into_iter().flatten() {
        if new.is_none_or(|fields| !fields.contains_key(name)) {
            level.push(|| Step::Field(name.as_str().into()), walk(child(schema, name), Some(value), None));
        }
    }
    level
}

fn of_list(list: &List, old: Option<&Value>, new: Option<&Value>) -> Level {
    let mut pairs: Vec<(Step, Vec<&Value>, Vec<&Value>)> = Vec::new();
    for (step, item) in items(list, old) {
        match pairs.iter_mut().find(|(s, ..)| *s == step) {
            Some((_, olds, _)) => olds.push(item),
            None => pairs.push((step, vec![item], Vec::new())),
        }
    }
    for (at, (step, item)) in items(list, new).into_iter().enumerate() {
        // Most lists keep their order, so the item at the same place is tried first.
        let place = match pairs.get(at) {
            Some((s, ..)) if *s == step => Some(at),
            _ => pairs.iter().position(|(s, ..)| *s == step),
        };
        match place.and_then(|at| pairs.get_mut(at)) {
            Some((_, _, news)) => news.push(item),
            None => pairs.push((step, Vec::new(), vec![item])),
        }
    }
    let mut level = Level::default();
    for (step, olds, news) in pairs {
        level.item(list, step, &olds, &news);
    }
    level
}

impl Level {
    fn push(&mut self, step: impl Fn() -> Step, difference: Difference) {
        let Difference { this, added, modified, removed } = difference;
        let node = |member, below: Set| (member || !below.is_empty()).then(|| Node { step: step(), member, below });
        self.added.extend(node(this == Change::Added, added));
        self.modified.extend(node(this == Change::Modified, modified));
        self.removed.extend(node(this == Change::Removed, removed));
    }

    /// Twins (items with the same identity) are compared as one value.
    fn item(&mut self, list: &List, step: Step, olds: &[&Value], news: &[&Value]) {
        let alone =
            |this| Difference { this, added: Set::default(), modified: Set::default(), removed: Set::default() };
        let difference = match (olds, news) {
            (olds, news) if olds.len() <= 1 && news.len() <= 1 => {
                walk(&list.items, olds.first().copied(), news.first().copied())
            }
            (olds, news) if olds.len() >= 2 && news.len() >= 2 => {
                alone(if olds == news { Change::None } else { Change::Modified })
            }
            (olds, news) if olds.len() >= 2 => {
                let mut new = walk(&list.items, None, news.first().copied());
                self.removed.push(Node { step: step.clone(), member: true, below: Set::default() });
                if news.is_empty() {
                    new.this = Change::None;
                }
                new
            }
            (olds, _) => {
                let mut old = walk(&list.items, olds.first().copied(), None);
                self.added.push(Node { step: step.clone(), member: true, below: Set::default() });
                if olds.is_empty() {
                    old.this = Change::None;
                }
                old
            }
        };
        self.push(|| step.clone(), difference);
    }
}
