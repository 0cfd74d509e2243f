//! The owners of fields as they are written: a write reads and writes anew only the entries that it touches. What comes out
//! is what [`Managed`](super::Managed) would make of all of them.

use super::{
    Writer,
    managed::{Entry, Operation},
    set::{Set, Step},
    update::{MAX_UPDATE_MANAGERS, stripped},
};
use serde_json::{Map, Value};

/// The entry of the first writer of an object, unless it owns nothing.
pub(super) fn first(writer: &Writer<'_>, set: Set) -> Option<Value> {
    let mut own = writer.entry(Operation::Update, set.difference(stripped()));
    own.time = Some(writer.now);
    (!own.set.is_empty()).then(|| own.write())
}

/// The entries after a write that changed and removed fields. `None` where the entries are too many or not written as the
/// server writes them: then all of them have to be read, and they are still as they were.
pub(super) fn rewrite(writer: &Writer<'_>, entries: &mut Value, changed: &Set, removed: &Set) -> Option<Vec<Value>> {
    let entries = entries.as_array_mut()?;
    let mut own = Some(writer.entry(Operation::Update, changed.clone().difference(stripped())));
    own = own.filter(|own| !own.set.is_empty());
    let updates = entries.iter().filter(|entry| entry.get("operation").is_some_and(|o| o == "Update")).count();
    if updates >= MAX_UPDATE_MANAGERS {
        return None;
    }
    let mut fates = Vec::with_capacity(entries.len());
    for (at, entry) in entries.iter().enumerate() {
        let line = Line::of(entry)?;
        let mine = own.take_if(|own| line.is_of(own));
        if mine.is_none() && !line.touches(changed) && !line.touches(removed) {
            fates.push(Fate::Stays);
            continue;
        }
        let mut read = Entry::read(at, entry).ok()?;
        read.release(changed, removed);
        if let Some(mine) = mine {
            read.set = mine.set.union(read.set);
            read.time = Some(writer.now);
        }
        fates.push(if read.set.is_empty() { Fate::Goes } else { Fate::Becomes(read.write()) });
    }
    let rewritten = entries.iter_mut().zip(fates).filter_map(|(entry, fate)| match fate {
        Fate::Stays => Some(std::mem::take(entry)),
        Fate::Becomes(other) => Some(other),
        Fate::Goes => None,
    });
    let mut out: Vec<Value> = rewritten.collect();
    if let Some(mut own) = own {
        own.time = Some(writer.now);
        out.push(own.write());
    }
    out.sort_by(|a, b| order(a).cmp(&order(b)));
    Some(out)
}

/// How times are written; what is later is a greater text.
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// What becomes of an entry.
enum Fate {
    Stays,
    Becomes(Value),
    Goes,
}

/// An entry as it is written.
struct Line<'a> {
    entry: &'a Map<String, Value>,
    fields: &'a Map<String, Value>,
}

impl<'a> Line<'a> {
    /// `None` for an entry that the server would write in another way.
    fn of(entry: &'a Value) -> Option<Self> {
        let entry = entry.as_object()?;
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        let fields = entry.get("fieldsV1")?.as_object()?;
        // Times that are written like this are in the order of their texts.
        let dated = entry.get("time").is_none_or(|time| {
            let canonical = |time: &str| time.len() == EPOCH.len() && time.ends_with('Z') && time >= EPOCH;
            time.as_str().is_some_and(canonical)
        });
        let written = text("manager").is_some()
            && matches!(text("operation"), Some("Apply" | "Update"))
            && text("apiVersion").is_some_and(|version| !version.is_empty())
            && text("fieldsType") == Some("FieldsV1")
            && entry.get("subresource").is_none_or(|name| name.as_str().is_some_and(|name| !name.is_empty()))
            && dated
            && !fields.is_empty()
            && fields.keys().all(|key| key.starts_with("f:"));
        written.then_some(Self { entry, fields })
    }

    fn is_of(&self, own: &Entry) -> bool {
        let text = |key: &str| self.entry.get(key).and_then(Value::as_str).unwrap_or_default();
        text("operation") == "Update"
            && text("manager") == own.manager
            && text("apiVersion") == own.api_version
            && text("subresource") == own.subresource
    }

    /// Whether the entry may have fields of the set: it has one of its first steps.
    fn touches(&self, set: &Set) -> bool {
        set.0.iter().any(|node| match &node.step {
            Step::Field(name) => self.fields.keys().any(|key| key.strip_prefix("f:") == Some(name)),
            _ => true,
        })
    }
}

fn order(entry: &Value) -> (Operation, &str, &str, &str, &str) {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
    let operation = if text("operation") == "Apply" { Operation::Apply } else { Operation::Update };
    (operation, text("time"), text("manager"), text("apiVersion"), text("subresource"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::{Managed, from_fields};
    use orch_api::{Gvk, schema::Schema};
    use serde_json::json;

    fn set(fields: Value) -> Set {
        from_fields(&fields).unwrap()
    }

    fn entry(manager: &str, operation: &str, subresource: &str, time: &str, fields: Value) -> Value {
        let mut entry = json!({"manager": manager, "operation": operation, "apiVersion": "v1", "time": time,
            "fieldsType": "FieldsV1", "fieldsV1": fields});
        if !subresource.is_empty() {
            entry["subresource"] = subresource.into();
        }
        entry
    }

    fn entries() -> Value {
        json!([
            entry("helm", "Apply", "", "2026-01-03T00:00:00Z", json!({"f:spec": {"f:a": {}, "f:b": {}}})),
            entry(
                "web",
                "Update",
                "",
                "2026-01-01T00:00:00Z",
                json!({"f:metadata": {"f:labels": {".": {}, "f:x": {}}}})
            ),
            entry("kubelet", "Update", "status", "2026-01-02T00:00:00Z", json!({"f:status": {"f:phase": {}}})),
        ])
    }

    /// Both ways come to the same.
    #[track_caller]
    fn check(manager: &str, subresource: &str, entries: &Value, changed: Value, removed: Value) -> Vec<Value> {
        let (schema, kind) = (Schema::default(), Gvk::parse("v1", "Pod"));
        let now = "2026-01-02T12:00:00.5Z".parse().unwrap();
        let writer = Writer { schema: &schema, kind: &kind, manager, subresource, reset: &[], now };
        let (changed, removed) = (set(changed), set(removed));
        let quick = match entries.as_array().is_some_and(Vec::is_empty) {
            true => first(&writer, changed.clone()).into_iter().collect(),
            false => rewrite(&writer, &mut entries.clone(), &changed, &removed).unwrap(),
        };
        let mut object = json!({"metadata": {}});
        let mut managed = Managed::parse(entries).unwrap();
        managed.release(&changed, &removed);
        super::super::update::own(&writer, &mut managed, changed);
        managed.write(&mut object);
        let slow = object["metadata"].get("managedFields").cloned().unwrap_or_else(|| json!([]));
        assert_eq!(Value::Array(quick.clone()), slow);
        quick
    }

    #[test]
    fn a_write_comes_to_the_same_as_if_all_entries_were_read() {
        let status = json!({"f:status": {"f:phase": {}, "f:podIP": {}}});
        assert_eq!(check("kubelet", "status", &entries(), status.clone(), json!({})).len(), 3);
        assert_eq!(
            check("other", "status", &entries(), status.clone(), json!({})).len(),
            3,
            "kubelet has nothing left"
        );
        assert_eq!(check("other", "", &entries(), json!({"f:spec": {"f:a": {}}}), json!({})).len(), 4);
        assert_eq!(
            check("web", "", &entries(), json!({}), json!({"f:metadata": {"f:labels": {".": {}, "f:x": {}}}})).len(),
            2
        );
        assert_eq!(check("web", "", &json!([]), status, json!({})).len(), 1);
        assert_eq!(check("web", "", &json!([]), json!({"f:kind": {}}), json!({})).len(), 0, "nobody owns these");
    }

    #[test]
    fn what_the_server_does_not_write_is_read_whole() {
        let (schema, kind) = (Schema::default(), Gvk::parse("v1", "Pod"));
        let writer =
            Writer { schema: &schema, kind: &kind, manager: "m", subresource: "", reset: &[], now: Default::default() };
        let with = |field: &str, value: Value| {
            let mut entries = entries();
            entries[0][field] = value;
            rewrite(&writer, &mut entries, &set(json!({"f:status": {"f:x": {}}})), &Set::default())
        };
        assert!(with("manager", json!("x")).is_some());
        assert!(with("time", json!("2026-01-03T00:00:00+02:00")).is_none());
        assert!(with("fieldsV1", json!({})).is_none());
        assert!(with("subresource", json!("")).is_none());
        let many: Vec<Value> = (0..=MAX_UPDATE_MANAGERS)
            .map(|n| entry(&n.to_string(), "Update", "", "2026-01-01T00:00:00Z", json!({"f:spec": {"f:a": {}}})))
            .collect();
        assert!(rewrite(&writer, &mut many.into(), &Set::default(), &Set::default()).is_none());
    }
}
