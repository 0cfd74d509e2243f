//! The functions of lists (`apiserver/pkg/cel/library/lists.go`, `cel-go/ext/lists.go`, `sets.go`).

use super::{
    EvalError,
    functions::message,
    value::{List, Value},
};
use jiff::SignedDuration;
use std::cmp::Ordering;

type Result<T, E = EvalError> = std::result::Result<T, E>;

/// Calls a function of lists; `None` where it is none.
pub(super) fn call<'a>(function: &str, args: &[Value<'a>]) -> Option<Result<Value<'a>>> {
    Some(match (function, args) {
        ("isSorted", [Value::List(list)]) => is_sorted(list),
        ("sum", [Value::List(list)]) => sum(list),
        ("min", [Value::List(list)]) => extreme(list, Ordering::Less, "min"),
        ("max", [Value::List(list)]) => extreme(list, Ordering::Greater, "max"),
        ("indexOf", [Value::List(list), item]) => Ok(position(list.iter().position(|known| known.equals(item)))),
        ("lastIndexOf", [Value::List(list), item]) => {
            let all: Vec<Value<'a>> = list.iter().collect();
            Ok(position(all.iter().rposition(|known| known.equals(item))))
        }
        ("distinct", [Value::List(list)]) => Ok(distinct(list)),
        ("reverse", [Value::List(list)]) => {
            let mut all: Vec<Value<'a>> = list.iter().collect();
            all.reverse();
            Ok(Value::list(all))
        }
        ("sort", [Value::List(list)]) => sort(list, list),
        ("@sortByAssociatedKeys", [Value::List(list), Value::List(keys)]) => sort(list, keys),
        ("slice", [Value::List(list), Value::Int(from), Value::Int(to)]) => slice(list, *from, *to),
        ("flatten", [Value::List(list)]) => Ok(Value::list(flat(list, 1))),
        ("flatten", [Value::List(list), Value::Int(depth)]) => match usize::try_from(*depth) {
            Ok(depth) => Ok(Value::list(flat(list, depth))),
            Err(_) => Err(message("level must be non-negative")),
        },
        ("first", [Value::List(list)]) => Ok(Value::Optional(list.get(0).map(Box::new))),
        ("last", [Value::List(list)]) => {
            Ok(Value::Optional(list.len().checked_sub(1).and_then(|i| list.get(i)).map(Box::new)))
        }
        ("lists.range", [Value::Int(n)]) => Ok(Value::list((0..*n).map(Value::Int).collect())),
        ("sets.contains", [Value::List(a), Value::List(b)]) => Ok(Value::Bool(contains(a, b))),
        ("sets.equivalent", [Value::List(a), Value::List(b)]) => Ok(Value::Bool(contains(a, b) && contains(b, a))),
        ("sets.intersects", [Value::List(a), Value::List(b)]) => {
            Ok(Value::Bool(a.iter().any(|x| b.iter().any(|y| y.equals(&x)))))
        }
        _ => return None,
    })
}

fn position<'a>(found: Option<usize>) -> Value<'a> {
    Value::Int(found.and_then(|i| i64::try_from(i).ok()).unwrap_or(-1))
}

fn contains(all: &List<'_>, some: &List<'_>) -> bool {
    some.iter().all(|item| all.iter().any(|known| known.equals(&item)))
}

fn is_sorted<'a>(list: &List<'a>) -> Result<Value<'a>> {
    let all: Vec<Value<'a>> = list.iter().collect();
    for pair in all.windows(2) {
        let [a, b] = pair else { continue };
        match a.compare(b) {
            Some(Ordering::Greater) => return Ok(Value::Bool(false)),
            Some(_) => {}
            None => return Err(EvalError::no_overload()),
        }
    }
    Ok(Value::Bool(true))
}

fn sum<'a>(list: &List<'a>) -> Result<Value<'a>> {
    let mut total: Option<Value<'a>> = None;
    for item in list.iter() {
        total = Some(match total {
            None => item,
            Some(total) => super::functions::call("_+_", false, &[total, item])?,
        });
    }
    match total {
        Some(Value::Duration(span)) if span.is_zero() => Ok(Value::Duration(SignedDuration::ZERO)),
        Some(total) => Ok(total),
        None => Ok(Value::Int(0)),
    }
}

fn extreme<'a>(list: &List<'a>, wanted: Ordering, name: &str) -> Result<Value<'a>> {
    let mut best: Option<Value<'a>> = None;
    for item in list.iter() {
        best = Some(match best {
            None => item,
            Some(best) => match item.compare(&best) {
                Some(order) if order == wanted => item,
                Some(_) => best,
                None => return Err(EvalError::no_overload()),
            },
        });
    }
    best.ok_or_else(|| message(format!("{name} called on empty list")))
}

fn distinct<'a>(list: &List<'a>) -> Value<'a> {
    let mut all: Vec<Value<'a>> = Vec::new();
    for item in list.iter() {
        if !all.iter().any(|known| known.equals(&item)) {
            all.push(item);
        }
    }
    Value::list(all)
}

fn sort<'a>(list: &List<'a>, keys: &List<'a>) -> Result<Value<'a>> {
    let mut pairs: Vec<(Value<'a>, Value<'a>)> = keys.iter().zip(list.iter()).collect();
    if pairs.windows(2).any(|pair| pair.first().zip(pair.last()).is_some_and(|(a, b)| a.0.compare(&b.0).is_none())) {
        return Err(message("list elements must have the same type"));
    }
    pairs.sort_by(|a, b| a.0.compare(&b.0).unwrap_or(Ordering::Equal));
    Ok(Value::list(pairs.into_iter().map(|(_, item)| item).collect()))
}

fn slice<'a>(list: &List<'a>, from: i64, to: i64) -> Result<Value<'a>> {
    let bad = |words: String| Err(message(words));
    if from < 0 || to < 0 {
        return bad(format!("cannot slice({from}, {to}), negative indexes not supported"));
    }
    if from > to {
        return bad(format!("cannot slice({from}, {to}), start index must be less than or equal to end index"));
    }
    if to > list.len() as i64 {
        return bad(format!("cannot slice({from}, {to}), list is length {}", list.len()));
    }
    Ok(Value::list((from..to).filter_map(|i| list.get(usize::try_from(i).ok()?)).collect()))
}

fn flat<'a>(list: &List<'a>, depth: usize) -> Vec<Value<'a>> {
    list.iter()
        .flat_map(|item| match item {
            Value::List(inner) if depth > 0 => flat(&inner, depth - 1),
            other => vec![other],
        })
        .collect()
}
