//! [`Objects`]: a set of objects as caches would hold it, to which plans can be applied.

use crate::{
    plan::{Action, Plan},
    watches::{IndexFn, Watches},
};
use jiff::Timestamp;
use orch_api::{Gvr, Key, Object};
use orch_store::{Stored, client::Patch};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// A set of objects. Applying a plan does to it what the API server's storage would do: names, UIDs,
/// revisions, generations, status apart from spec, finalizers. It validates and defaults nothing: it
/// stands in for the caches, not for the server.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    stored: BTreeMap<(Gvr, Key), Arc<Stored>>,
    indexes: Vec<(Gvr, &'static str, IndexFn)>,
    events: Vec<String>,
    revision: u64,
}

impl Objects {
    /// No objects, with the indexes that a controller's watches ask for.
    pub fn new(watches: &Watches) -> Self {
        Self { indexes: watches.indexes.clone(), ..Self::default() }
    }

    /// Replaces the indexes by those that a controller's watches ask for.
    #[must_use]
    pub fn indexed(mut self, watches: &Watches) -> Self {
        self.indexes = watches.indexes.clone();
        self
    }

    /// Adds or replaces an object as it is; a missing UID is made of its kind and name.
    #[must_use]
    pub fn with<K: Object>(mut self, object: &K) -> Self {
        self.insert(object);
        self
    }

    /// Adds or replaces an object as it is; a missing UID is made of its kind and name.
    pub fn insert<K: Object>(&mut self, object: &K) {
        let mut body = serde_json::to_value(object).unwrap_or_default();
        let meta = section(&mut body, "metadata");
        let uid = format!("{}-{}", K::plural(&()), object.key().name);
        meta.entry("uid").or_insert_with(|| uid.into());
        self.put(&K::gvr(), &object.key(), body);
    }

    /// Removes an object.
    pub fn remove<K: Object>(&mut self, key: &Key) {
        self.stored.remove(&(K::gvr(), key.clone()));
    }

    /// One object.
    pub fn get(&self, gvr: &Gvr, key: &Key) -> Option<Arc<Stored>> {
        self.stored.get(&(gvr.clone(), key.clone())).cloned()
    }

    /// One typed object.
    pub fn typed<K: Object>(&self, key: &Key) -> Option<Arc<K>> {
        self.get(&K::gvr(), key)?.decode().ok()
    }

    /// The objects of a namespace, or of all when it is empty.
    pub fn list(&self, gvr: &Gvr, namespace: &str) -> Vec<Arc<Stored>> {
        self.of(gvr).filter(|s| namespace.is_empty() || *s.key.namespace == *namespace).cloned().collect()
    }

    /// The objects that name this UID among their owners.
    pub fn owned_by(&self, gvr: &Gvr, uid: &str) -> Vec<Arc<Stored>> {
        self.of(gvr).filter(|s| s.meta.owner_references.iter().any(|o| *o.uid == *uid)).cloned().collect()
    }

    /// The objects that an index files under a value.
    pub fn by_index(&self, gvr: &Gvr, index: &str, value: &str) -> Vec<Arc<Stored>> {
        let found = self.indexes.iter().find(|(of, name, _)| of == gvr && *name == index);
        let Some((_, _, values)) = found else { return Vec::new() };
        self.of(gvr).filter(|s| values(s).iter().any(|v| **v == *value)).cloned().collect()
    }

    /// The events that plans recorded.
    pub fn events(&self) -> &[String] {
        &self.events
    }

    /// Does what a plan says.
    pub fn apply(&mut self, plan: &Plan, now: Timestamp) {
        for action in &plan.actions {
            self.apply_one(action, now);
        }
    }

    fn apply_one(&mut self, action: &Action, now: Timestamp) {
        match action {
            Action::Create { target, body, .. } => self.create(&target.gvr, &target.key, Value::clone(body), now),
            Action::Update { target, subresource, body, .. } => {
                self.write(&target.gvr, &target.key, *subresource, body.clone());
            }
            Action::Patch { target, subresource, patch } => {
                let (Patch::Json(change) | Patch::Merge(change) | Patch::Strategic(change) | Patch::Apply(change)) =
                    patch;
                self.merge(&target.gvr, &target.key, *subresource, change);
            }
            Action::ApplyStatus { target, body, .. } => self.merge(&target.gvr, &target.key, Some("status"), body),
            Action::Delete { target, .. } => self.delete(&target.gvr, &target.key, now),
            Action::DeleteAll { gvr, namespace } => {
                for stored in self.list(gvr, namespace) {
                    self.delete(gvr, &stored.key, now);
                }
            }
            Action::Event(_) => self.events.push(action.to_string()),
        }
    }

    fn create(&mut self, gvr: &Gvr, key: &Key, mut body: Value, now: Timestamp) {
        let meta = section(&mut body, "metadata");
        let mut key = key.clone();
        if key.name.is_empty() {
            let prefix = meta.get("generateName").and_then(Value::as_str).unwrap_or_default();
            key.name = format!("{prefix}{}", self.revision).into();
            meta.insert("name".into(), Value::from(&*key.name));
        }
        if self.stored.contains_key(&(gvr.clone(), key.clone())) {
            return;
        }
        meta.insert("uid".into(), format!("{}-{}-{}", gvr.resource, key.name, self.revision).into());
        meta.insert("creationTimestamp".into(), json!(now));
        meta.insert("generation".into(), 1.into());
        self.put(gvr, &key, body);
    }

    fn write(&mut self, gvr: &Gvr, key: &Key, subresource: Option<&str>, mut body: Value) {
        let Some(mut old) = self.tree(gvr, key) else { return };
        match subresource {
            Some("status") => {
                section(&mut old, "").insert("status".into(), body.get("status").cloned().unwrap_or_default());
                if let Some(annotations) = body.pointer("/metadata/annotations").filter(|a| !a.is_null()) {
                    section(&mut old, "metadata").insert("annotations".into(), annotations.clone());
                }
                body = old;
            }
            _ => {
                let generation = old.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(1);
                let grown = generation + i64::from(old.get("spec") != body.get("spec"));
                section(&mut body, "metadata").insert("generation".into(), grown.into());
                let status = old.get("status").cloned();
                let body = section(&mut body, "");
                match status {
                    Some(status) => drop(body.insert("status".into(), status)),
                    None => drop(body.remove("status")),
                }
            }
        }
        if subresource != Some("status") && is_finished(&body) {
            self.stored.remove(&(gvr.clone(), key.clone()));
        } else {
            self.put(gvr, key, body);
        }
    }

    fn merge(&mut self, gvr: &Gvr, key: &Key, subresource: Option<&str>, change: &Value) {
        if let Some(mut body) = self.tree(gvr, key) {
            merge(&mut body, change);
            self.write(gvr, key, subresource, body);
        }
    }

    fn delete(&mut self, gvr: &Gvr, key: &Key, now: Timestamp) {
        let Some(mut body) = self.tree(gvr, key) else { return };
        section(&mut body, "metadata").entry("deletionTimestamp").or_insert_with(|| json!(now));
        if is_finished(&body) {
            self.stored.remove(&(gvr.clone(), key.clone()));
        } else {
            self.put(gvr, key, body);
        }
    }

    fn of<'a>(&'a self, gvr: &Gvr) -> impl Iterator<Item = &'a Arc<Stored>> + use<'a> {
        let gvr = gvr.clone();
        self.stored.iter().filter(move |((of, _), _)| *of == gvr).map(|(_, stored)| stored)
    }

    fn tree(&self, gvr: &Gvr, key: &Key) -> Option<Value> {
        self.get(gvr, key)?.parse().ok()
    }

    fn put(&mut self, gvr: &Gvr, key: &Key, mut body: Value) {
        self.revision += 1;
        section(&mut body, "metadata").insert("resourceVersion".into(), self.revision.to_string().into());
        if let Ok(stored) = Stored::from_json(body.to_string().into()) {
            self.stored.insert((gvr.clone(), key.clone()), Arc::new(stored));
        }
    }
}

/// A part of a tree as a map, made if it is missing; the whole tree for the empty name.
fn section<'a>(body: &'a mut Value, name: &str) -> &'a mut Map<String, Value> {
    let place = if name.is_empty() { body } else { &mut body[name] };
    if !place.is_object() {
        *place = Value::Object(Map::new());
    }
    match place {
        Value::Object(map) => map,
        _ => unreachable!("made an object just now"),
    }
}

fn is_finished(body: &Value) -> bool {
    let meta = &body["metadata"];
    // Namespaces have finalizers in their spec, too.
    let lists = [meta.get("finalizers"), body.pointer("/spec/finalizers")];
    let finalizers = lists.into_iter().flatten().filter_map(Value::as_array).any(|f| !f.is_empty());
    meta.get("deletionTimestamp").is_some_and(|t| !t.is_null()) && !finalizers
}

/// The directive of a strategic merge patch that takes values out of a list.
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

/// RFC 7396, and of strategic merge what controllers use.
fn merge(target: &mut Value, change: &Value) {
    let Value::Object(change) = change else {
        *target = change.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    for (name, value) in change {
        if let Some((list, gone)) = name.strip_prefix(DELETE_FROM).zip(value.as_array()) {
            if let Some(list) = target.get_mut(list).and_then(Value::as_array_mut) {
                list.retain(|item| !gone.contains(item));
            }
            continue;
        }
        match (value, &mut *target) {
            (Value::Null, Value::Object(target)) => drop(target.remove(name)),
            (value, target) => merge(&mut target[name.as_str()], value),
        }
    }
}
