//! [`Set`]: a set of field paths as a sorted tree, small in memory and quick to combine
//! (`structured-merge-diff/fieldpath`).

use serde_json::Value;
use std::{cmp::Ordering, fmt};

/// One step of a path.
#[derive(Clone, Debug)]
pub enum Step {
    /// A field of an object or map.
    Field(Box<str>),
    /// An item of a list of objects, by its identifying fields sorted by name.
    Key(Box<[(Box<str>, Value)]>),
    /// An item of a set of scalars.
    Value(Value),
    /// An item of a list by its place.
    Index(i64),
}

/// A set of paths: fields that are in the set (`member`) and fields below which something is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set(pub(super) Vec<Node>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) step: Step,
    pub(super) member: bool,
    pub(super) below: Set,
}

impl Set {
    /// The set of these paths, each a list of field names.
    pub fn of_fields<'a>(paths: impl IntoIterator<Item = &'a [&'a str]>) -> Self {
        let mut set = Self::default();
        for path in paths {
            set.insert(&path.iter().map(|name| Step::Field((*name).into())).collect::<Vec<_>>());
        }
        set
    }

    /// Adds a path.
    pub fn insert(&mut self, path: &[Step]) {
        let Some((first, rest)) = path.split_first() else { return };
        let at = match self.find(first) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, Node { step: first.clone(), member: false, below: Self::default() });
                at
            }
        };
        let Some(node) = self.0.get_mut(at) else { return };
        if rest.is_empty() {
            node.member = true;
        } else {
            node.below.insert(rest);
        }
    }

    /// Whether there is no path in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every path of the set as text (`.spec.replicas`), in order.
    pub fn paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.visit(&mut String::new(), &mut out);
        out
    }

    /// Whether the step itself is in the set, and what is in it below.
    pub(super) fn at(&self, step: &Step) -> Option<&Node> {
        self.find(step).ok().and_then(|at| self.0.get(at))
    }

    /// The paths of either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        if self.is_empty() {
            return other;
        }
        let (mut left, mut right) = (self.0.into_iter().peekable(), other.0.into_iter().peekable());
        let mut out = Vec::with_capacity(left.len().max(right.len()));
        loop {
            let order = match (left.peek(), right.peek()) {
                (Some(l), Some(r)) => l.step.cmp(&r.step),
                (Some(_), None) => Ordering::Less,
                (None, _) => Ordering::Greater,
            };
            let l = if order == Ordering::Greater { None } else { left.next() };
            let r = if order == Ordering::Less { None } else { right.next() };
            out.push(match (l, r) {
                (Some(l), Some(r)) => {
                    Node { step: l.step, member: l.member || r.member, below: l.below.union(r.below) }
                }
                (Some(node), None) | (None, Some(node)) => node,
                (None, None) => return Self(out),
            });
        }
    }

    /// The paths of both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let pairs = self.0.iter().filter_map(|l| Some((l, other.at(&l.step)?)));
        let both =
            pairs.filter_map(|(l, r)| Node::new(l.step.clone(), l.member && r.member, l.below.intersection(&r.below)));
        Self(both.collect())
    }

    /// The paths that are not in `other`. What lies below a path of `other` stays.
    #[must_use]
    pub fn difference(self, other: &Self) -> Self {
        self.less(other, |l, r| Node::new(l.step, l.member && !r.member, l.below.difference(&r.below)))
    }

    /// The paths that are neither in `other` nor below a path of `other`.
    #[must_use]
    pub fn without(self, other: &Self) -> Self {
        self.less(other, |l, r| if r.member { None } else { Node::new(l.step, l.member, l.below.without(&r.below)) })
    }

    /// Sorts nodes that were pushed in any order, each step at most once.
    pub(super) fn from_nodes(mut nodes: Vec<Node>) -> Self {
        if !nodes.is_sorted_by(|a, b| a.step < b.step) {
            nodes.sort_by(|a, b| a.step.cmp(&b.step));
        }
        Self(nodes)
    }

    fn find(&self, step: &Step) -> Result<usize, usize> {
        self.0.binary_search_by(|node| node.step.cmp(step))
    }

    /// The nodes without a counterpart in `other`, and what `rest` leaves of those that have one.
    fn less(self, other: &Self, mut rest: impl FnMut(Node, &Node) -> Option<Node>) -> Self {
        if other.is_empty() {
            return self;
        }
        let mut right = other.0.iter().peekable();
        let left = self.0.into_iter().filter_map(|node| {
            while right.next_if(|r| r.step < node.step).is_some() {}
            match right.next_if(|r| r.step == node.step) {
                Some(counterpart) => rest(node, counterpart),
                None => Some(node),
            }
        });
        Self(left.collect())
    }

    fn visit(&self, prefix: &mut String, out: &mut Vec<String>) {
        let length = prefix.len();
        for node in self.0.iter().filter(|n| n.member) {
            out.push(format!("{prefix}{}", node.step));
        }
        for node in &self.0 {
            prefix.push_str(&node.step.to_string());
            node.below.visit(prefix, out);
            prefix.truncate(length);
        }
    }
}

impl Node {
    /// A node, or none where it would hold nothing.
    pub(super) fn new(step: Step, member: bool, below: Set) -> Option<Self> {
        (member || !below.is_empty()).then_some(Self { step, member, below })
    }
}

impl Ord for Step {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(a), Self::Field(b)) => a.cmp(b),
            (Self::Key(a), Self::Key(b)) => {
                let pairs = a.iter().zip(b.iter());
                let first = pairs.map(|(a, b)| a.0.cmp(&b.0).then_with(|| compare(&a.1, &b.1))).find(|o| o.is_ne());
                first.unwrap_or_else(|| a.len().cmp(&b.len()))
            }
            (Self::Value(a), Self::Value(b)) => compare(a, b),
            (Self::Index(a), Self::Index(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }
}

impl PartialOrd for Step {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Step {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Step {}

impl Step {
    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                let words: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
                write!(f, "[{}]", words.join(","))
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(at) => write!(f, "[{at}]"),
        }
    }
}

/// The order of values: numbers, texts, booleans, lists, objects, null.
fn compare(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    };
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.as_f64().unwrap_or_default().total_cmp(&b.as_f64().unwrap_or_default()),
        },
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) => a.to_string().cmp(&b.to_string()),
        _ => rank(a).cmp(&rank(b)),
    }
}
