//! Cells that many kinds share.

use super::row::text as column;
use crate::{
    access::{boolean, get, list, map, text},
    duration,
    kind::{Cell, Column},
    label_selector, time,
};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// What stands in a cell that has nothing to say.
pub(super) const NONE: &str = "<none>";
/// What stands in a cell whose field is not set.
pub(super) const UNSET: &str = "<unset>";

/// The identifying column.
pub(super) fn name() -> Column {
    Column {
        format: Cow::Borrowed("name"),
        cell: Cell::Path(Cow::Borrowed(".metadata.name")),
        ..column("Name", NAME, |_, _| Value::Null)
    }
}

/// The identifying column of kinds that mark one object as the default by this annotation.
pub(super) fn name_or_default(cell: fn(&Value, Timestamp) -> Value) -> Column {
    Column { cell: Cell::Computed(cell), ..name() }
}

/// The name, with `(default)` where the annotation says so.
pub(super) fn marked_default(object: &Value, annotation: &str) -> Value {
    let annotations = map(object, "metadata.annotations");
    let marked = annotations.and_then(|all| all.get(annotation)).and_then(Value::as_str) == Some("true");
    Value::from(format!("{}{}", text(object, "metadata.name"), if marked { " (default)" } else { "" }))
}

const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some \
     resources may allow a client to request the generation of an appropriate name automatically. Name is primarily \
     intended for creation idempotence and configuration definition. Cannot be updated. More info: \
     https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

/// The time since creation.
pub(super) fn age() -> Column {
    column("Age", AGE, |object, now| since(object, "metadata.creationTimestamp", now))
}

const AGE: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is \
     not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It \
     is represented in RFC3339 form and is in UTC.";

/// The time since the moment in a field.
pub(super) fn since(object: &Value, path: &str, now: Timestamp) -> Value {
    Value::from(duration::since(get(object, path).and_then(time::read), now))
}

/// The names of the containers of a template.
pub(super) fn containers(column_of: fn(&Value, Timestamp) -> Value) -> Column {
    super::row::wide(column("Containers", "Names of each container in the template.", column_of))
}

/// The images of the containers of a template.
pub(super) fn images(column_of: fn(&Value, Timestamp) -> Value) -> Column {
    super::row::wide(column("Images", "Images referenced by each container in the template.", column_of))
}

/// One field of each item of a list, joined by commas.
pub(super) fn joined(object: &Value, path: &str, field: &str) -> Value {
    Value::from(list(object, path).iter().map(|item| text(item, field)).collect::<Vec<_>>().join(","))
}

/// A text field, or other words where it is empty or absent.
pub(super) fn text_or(object: &Value, path: &str, words: &str) -> Value {
    Value::from(match text(object, path) {
        "" => words,
        text => text,
    })
}

/// A number or text field as text, or other words where it is absent.
pub(super) fn scalar_or(object: &Value, path: &str, words: &str) -> Value {
    match get(object, path) {
        Some(Value::String(text)) => Value::from(text.as_str()),
        None | Some(Value::Null) => Value::from(words),
        Some(other) => Value::from(other.to_string()),
    }
}

/// A list of at most `max` texts, with the number of the others; `<unset>` where it is empty.
pub(super) fn first_few<T: AsRef<str>>(texts: &[T], max: usize) -> Value {
    let shown: Vec<&str> = texts.iter().take(max).map(AsRef::as_ref).collect();
    let shown = shown.join(",");
    Value::from(match texts.len().checked_sub(max) {
        Some(more @ 1..) => format!("{shown} + {more} more..."),
        _ if shown.is_empty() => UNSET.to_owned(),
        _ => shown,
    })
}

/// A map of labels as `a=1,b=2`.
pub(super) fn labels(labels: Option<&Map<String, Value>>) -> Value {
    let pairs: Vec<String> =
        labels.into_iter().flatten().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    Value::from(if pairs.is_empty() { NONE.to_owned() } else { pairs.join(",") })
}

/// A label selector as kubectl writes it.
pub(super) fn selector(selector: Option<&Value>) -> Value {
    let text = match selector {
        None => Ok(String::new()),
        Some(selector) => label_selector::Selector::from_json(selector).map(|s| s.to_string()),
    };
    Value::from(match text {
        Err(_) => "<error>".to_owned(),
        Ok(text) if text.is_empty() => NONE.to_owned(),
        Ok(text) => text,
    })
}

/// Whether the object has a condition of that type that is `True`.
pub(super) fn is_true(object: &Value, condition: &str) -> bool {
    crate::access::condition(object, condition).is_some_and(|c| text(c, "status") == "True")
}

/// Whether the object is being deleted.
pub(super) fn is_deleting(object: &Value) -> bool {
    get(object, "metadata.deletionTimestamp").is_some()
}

/// A truth as Go's printers capitalise it.
pub(super) fn capital(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// A truth that may be absent.
pub(super) fn boolean_or(object: &Value, path: &str, default: bool) -> Value {
    Value::from(if get(object, path).is_some() { boolean(object, path) } else { default })
}
