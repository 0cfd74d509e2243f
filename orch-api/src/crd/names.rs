//! Which names a definition gets when others in its group have some already (`controller/status/naming_controller.go`).

use crate::access::{get, text, texts};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The names that a definition may use, and whether they are all that it asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// `status.acceptedNames`
    pub accepted: Value,
    /// The reason of the condition `NamesAccepted`: `NoConflicts`, or which name is taken.
    pub reason: &'static str,
    /// Its message.
    pub message: String,
}

impl Decision {
    /// Whether every name was accepted.
    pub fn is_accepted(&self) -> bool {
        self.reason == "NoConflicts"
    }
}

/// Names of other definitions of the group, and of built-in kinds.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    resources: BTreeSet<String>,
    kinds: BTreeSet<String>,
}

impl Taken {
    /// Adds the accepted names of a definition.
    pub fn add(&mut self, definition: &Value) {
        let Some(names) = get(definition, "status.acceptedNames") else { return };
        let resources = [text(names, "plural"), text(names, "singular")].into_iter().chain(texts(names, "shortNames"));
        self.resources.extend(resources.map(str::to_owned));
        self.kinds.extend([text(names, "kind"), text(names, "listKind")].map(str::to_owned));
    }
}

/// Decides about the names of a definition.
pub fn decide(definition: &Value, taken: &Taken) -> Decision {
    let empty = json!({});
    let wanted = get(definition, "spec.names").unwrap_or(&empty);
    let held = get(definition, "status.acceptedNames").unwrap_or(&empty);
    let mut accepted: Map<String, Value> = held.as_object().cloned().unwrap_or_default();
    let (mut reason, mut message) = ("NoConflicts", "no conflicts found".to_owned());
    let is_free = |name: &str, held: &str, all: &BTreeSet<String>| name == held || !all.contains(name);
    let fields: [(&str, &BTreeSet<String>, &str); 2] =
        [("plural", &taken.resources, "PluralConflict"), ("singular", &taken.resources, "SingularConflict")];
    let kinds: [(&str, &BTreeSet<String>, &str); 2] =
        [("kind", &taken.kinds, "KindConflict"), ("listKind", &taken.kinds, "ListKindConflict")];
    let mut one = |(field, all, conflict): (&str, &BTreeSet<String>, &'static str)| {
        let name = text(wanted, field);
        if is_free(name, text(held, field), all) {
            accepted.insert(field.to_owned(), name.into());
        } else {
            (reason, message) = (conflict, format!("{name:?} is already in use"));
        }
    };
    fields.into_iter().for_each(&mut one);
    kinds.into_iter().for_each(&mut one);
    let own: Vec<&str> = texts(held, "shortNames").collect();
    let conflicts: Vec<String> = texts(wanted, "shortNames")
        .filter(|name| !own.contains(name) && taken.resources.contains(*name))
        .map(|name| format!("{name:?} is already in use"))
        .collect();
    match &conflicts[..] {
        [] => copy(wanted, &mut accepted, "shortNames"),
        [one] => (reason, message) = ("ShortNamesConflict", one.clone()),
        many => (reason, message) = ("ShortNamesConflict", format!("[{}]", many.join(", "))),
    }
    copy(wanted, &mut accepted, "categories");
    Decision { accepted: Value::Object(accepted), reason, message }
}

fn copy(from: &Value, to: &mut Map<String, Value>, field: &str) {
    match from.get(field).filter(|v| v.as_array().is_some_and(|list| !list.is_empty())) {
        Some(value) => to.insert(field.to_owned(), value.clone()),
        None => to.remove(field),
    };
}
