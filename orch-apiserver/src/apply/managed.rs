//! [`Managed`]: who owns which fields of an object (`metadata.managedFields`).

use super::{
    fields_v1::{from_fields, to_fields},
    set::Set,
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// How a manager came to own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By server-side apply.
    Apply,
    /// By any other write.
    Update,
}

/// One manager and what it owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of the manager.
    pub manager: String,
    /// How it owns.
    pub operation: Operation,
    /// Group and version in which the paths are written.
    pub api_version: String,
    /// Through which subresource; empty for the object itself.
    pub subresource: String,
    /// When the set last changed.
    pub time: Option<Timestamp>,
    /// The owned fields.
    pub set: Set,
}

/// The owners of an object's fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Managed(pub Vec<Entry>);

impl Entry {
    /// Whether both are entries of the same manager. Appliers are the same across versions.
    pub fn is_same_manager(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }

    /// What tells managers apart, in the order in which upstream sorts conflicts.
    pub(super) fn identity(&self) -> (&str, Operation, &str, &str) {
        let version = if self.operation == Operation::Apply { "" } else { &self.api_version };
        (&self.manager, self.operation, version, &self.subresource)
    }

    /// Takes changed and removed fields from the set.
    pub(super) fn release(&mut self, changed: &Set, removed: &Set) {
        self.set = std::mem::take(&mut self.set).difference(changed).difference(removed);
    }

    /// The manager as a conflict names it: `"web" using apps/v1 at 2026-01-01T00:00:00Z`.
    pub fn words(&self) -> String {
        let mut words = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            words.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            words.push_str(&format!(" using {}", self.api_version));
            if let Some(time) = self.time {
                words.push_str(&format!(" at {}", seconds(time)));
            }
        }
        words
    }

    /// The entry as JSON.
    pub(super) fn write(&self) -> Value {
        let mut out = Map::new();
        let mut put = |key: &str, value: Value| drop(out.insert(key.into(), value));
        put("manager", self.manager.clone().into());
        put("operation", if self.operation == Operation::Apply { "Apply" } else { "Update" }.into());
        put("apiVersion", self.api_version.clone().into());
        if let Some(time) = self.time {
            put("time", seconds(time).into());
        }
        put("fieldsType", "FieldsV1".into());
        put("fieldsV1", to_fields(&self.set));
        if !self.subresource.is_empty() {
            put("subresource", self.subresource.clone().into());
        }
        Value::Object(out)
    }

    /// # Errors
    ///
    /// What is wrong with the entry, in upstream's words.
    pub(super) fn read(at: usize, entry: &Value) -> Result<Self, String> {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        let operation = match text("operation") {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return Err("operation must be `Apply` or `Update`".into()),
        };
        if text("apiVersion").is_empty() {
            return Err("apiVersion must not be empty".into());
        }
        match text("fieldsType") {
            "FieldsV1" => {}
            "" => return Err(format!("missing fieldsType in managed fields entry {at}")),
            other => return Err(format!("invalid fieldsType {other:?} in managed fields entry {at}")),
        }
        let none = json!({});
        let set = from_fields(entry.get("fieldsV1").filter(|f| !f.is_null()).unwrap_or(&none))
            .ok_or_else(|| format!("error decoding versioned set from managed fields entry {at}"))?;
        Ok(Self {
            manager: text("manager").to_owned(),
            operation,
            api_version: text("apiVersion").to_owned(),
            subresource: text("subresource").to_owned(),
            time: text("time").parse().ok(),
            set,
        })
    }
}

impl Managed {
    /// Reads `metadata.managedFields`.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in upstream's words.
    pub fn read(object: &Value) -> Result<Self, String> {
        object.pointer("/metadata/managedFields").map_or(Ok(Self::default()), Self::parse)
    }

    /// Reads the value of `metadata.managedFields`.
    pub(super) fn parse(entries: &Value) -> Result<Self, String> {
        let entries = entries.as_array().into_iter().flatten().enumerate();
        entries.map(|(at, entry)| Entry::read(at, entry)).collect::<Result<_, _>>().map(Self)
    }

    /// Writes `metadata.managedFields`; without owners the field goes away.
    pub fn write(mut self, object: &mut Value) {
        self.0.retain(|entry| !entry.set.is_empty());
        self.0.sort_by(|a, b| order(a).cmp(&order(b)));
        let entries: Vec<Value> = self.0.iter().map(Entry::write).collect();
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
        if entries.is_empty() {
            metadata.remove("managedFields");
        } else {
            metadata.insert("managedFields".into(), entries.into());
        }
    }

    /// Takes changed and removed fields from their owners; who owns nothing any more is forgotten.
    pub(super) fn release(&mut self, changed: &Set, removed: &Set) {
        self.0.iter_mut().for_each(|entry| entry.release(changed, removed));
        self.0.retain(|entry| !entry.set.is_empty());
    }

    /// The entry of the same manager.
    pub(super) fn find(&self, entry: &Entry) -> Option<&Entry> {
        self.0.iter().find(|e| e.is_same_manager(entry))
    }

    /// Replaces the entry of the same manager, or adds it.
    pub(super) fn put(&mut self, entry: Entry) {
        match self.0.iter_mut().find(|e| e.is_same_manager(&entry)) {
            Some(known) => *known = entry,
            None => self.0.push(entry),
        }
    }
}

/// Removes `metadata.managedFields`.
pub(super) fn forget(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

fn order(entry: &Entry) -> (Operation, i64, &str, &str, &str) {
    let time = entry.time.map_or(0, Timestamp::as_second);
    (entry.operation, time, &entry.manager, &entry.api_version, &entry.subresource)
}

/// RFC 3339 in whole seconds.
fn seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}
