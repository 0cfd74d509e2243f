//! The order of a merged list: what the patch says comes first, what only the server knows keeps its place
//! as far as it can (`normalizeElementOrder` in `strategicpatch`).

use serde_json::Value;

/// What identifies an item of a list.
#[derive(Clone, Copy)]
pub(super) enum Key<'a> {
    /// The item is a scalar.
    Itself,
    /// A field of the item.
    Field(&'a str),
}

impl Key<'_> {
    /// The identity of the item.
    pub(super) fn of<'v>(&self, item: &'v Value) -> Option<&'v Value> {
        match self {
            Self::Itself => Some(item),
            Self::Field(field) => item.get(field),
        }
    }
}

/// Orders `merged`: the items named by `order` follow it, the others follow `server`, and the two are
/// interleaved so that the positions in `server` are respected where both are known there.
pub(super) fn normalize(merged: Vec<Value>, order: &[Value], server: &[Value], key: Key<'_>) -> Vec<Value> {
    let position = |list: &[Value], item: &Value| list.iter().position(|other| key.of(other) == key.of(item));
    let (mut named, mut others): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| position(order, item).is_some());
    named.sort_by_key(|item| position(order, item));
    others.sort_by_key(|item| position(server, item).unwrap_or(usize::MAX));
    let mut out = Vec::with_capacity(named.len() + others.len());
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    loop {
        let other_first = match (others.peek(), named.peek()) {
            (Some(left), Some(right)) => {
                matches!((position(server, left), position(server, right)), (Some(l), Some(r)) if l < r)
            }
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return out,
        };
        out.extend(if other_first { others.next() } else { named.next() });
    }
}
