//! [`Rbac`]: roles and bindings as an index by subject, fed by whoever watches them.

use super::{Attributes, Authorizer, Decision, Rule, Rules};
use crate::authn::User;
use parking_lot::RwLock;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{collections::HashMap, sync::Arc};

/// RBAC over the live roles and bindings. A request costs the bindings of its user and groups, not the
/// bindings that exist. Aggregated cluster roles are resolved here, so they hold from the moment on which
/// a role with the selected label appears.
#[derive(Default)]
pub struct Rbac(RwLock<Index>);

#[derive(Default)]
struct Index {
    /// Rules by namespace (empty for cluster roles) and name.
    roles: HashMap<(String, String), Role>,
    /// What a binding object binds, to find it again when it changes.
    bindings: HashMap<(String, String), Vec<Subject>>,
    subjects: HashMap<Subject, Vec<Bound>>,
}

struct Role {
    own: Value,
    effective: Arc<[Rule]>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Subject {
    User(String),
    Group(String),
}

/// One binding as a subject sees it.
struct Bound {
    namespace: String,
    name: String,
    role_kind: String,
    role: String,
    words: String,
}

impl Rbac {
    /// An index without roles: it allows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// An index of the given objects.
    pub fn of<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Self {
        let rbac = Self::new();
        objects.into_iter().for_each(|object| rbac.upsert(object));
        rbac
    }

    /// A Role, ClusterRole, RoleBinding or ClusterRoleBinding was created or changed.
    pub fn upsert(&self, object: &Value) {
        let Some((kind, key)) = identity(object) else { return };
        let mut index = self.0.write();
        match kind {
            "Role" | "ClusterRole" => index.put_role(key, object.clone()),
            "RoleBinding" | "ClusterRoleBinding" => index.put_binding(key, object),
            _ => {}
        }
    }

    /// A Role, ClusterRole, RoleBinding or ClusterRoleBinding is gone.
    pub fn remove(&self, object: &Value) {
        let Some((kind, key)) = identity(object) else { return };
        let mut index = self.0.write();
        match kind {
            "Role" | "ClusterRole" => index.remove_role(&key),
            "RoleBinding" | "ClusterRoleBinding" => index.remove_binding(&key),
            _ => {}
        }
    }

    /// The rules of a role as they hold, aggregation included. `kind` is `Role` or `ClusterRole`.
    pub fn rules_of_role(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<[Rule]>> {
        let namespace = if kind == "ClusterRole" { "" } else { namespace };
        Some(self.0.read().roles.get(&(namespace.to_owned(), name.to_owned()))?.effective.clone())
    }
}

impl Authorizer for Rbac {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let mut missing = Vec::new();
        let mut allowed = None;
        self.0.read().visit(attributes.user, attributes.namespace, |bound, rules| {
            match rules {
                Some(rules) if rules.iter().any(|rule| rule.allows(attributes)) => {
                    allowed = Some(format!("RBAC: allowed by {}", bound.words));
                }
                Some(_) => {}
                None => missing.push(bound.missing()),
            }
            allowed.is_none()
        });
        match allowed {
            Some(reason) => Decision::allow(reason),
            None if missing.is_empty() => Decision::no_opinion(""),
            None => {
                let many = missing.len() > 1;
                let list = missing.join(", ");
                Decision::no_opinion(if many { format!("RBAC: [{list}]") } else { format!("RBAC: {list}") })
            }
        }
    }

    fn rules(&self, user: &User, namespace: &str) -> Rules {
        let mut found = Rules::default();
        self.0.read().visit(user, namespace, |bound, rules| {
            match rules {
                Some(rules) => found.rules.extend(rules.iter().cloned()),
                None => {
                    found.incomplete = true;
                    found.error = bound.missing();
                }
            }
            true
        });
        found
    }
}

impl Index {
    /// Calls `each` with every binding that applies and the rules of its role, until it says stop.
    fn visit(&self, user: &User, namespace: &str, mut each: impl FnMut(&Bound, Option<&[Rule]>) -> bool) {
        let subjects = std::iter::once(Subject::User(user.name.clone()))
            .chain(user.groups.iter().map(|group| Subject::Group(group.clone())));
        let bound: Vec<&Bound> = subjects
            .filter_map(|subject| self.subjects.get(&subject))
            .flatten()
            .filter(|bound| bound.namespace.is_empty() || bound.namespace == namespace)
            .collect();
        let (cluster, local): (Vec<&Bound>, Vec<&Bound>) = bound.into_iter().partition(|b| b.namespace.is_empty());
        for bound in cluster.into_iter().chain(local) {
            let at = if bound.role_kind == "ClusterRole" { String::new() } else { bound.namespace.clone() };
            let role = self.roles.get(&(at, bound.role.clone()));
            if !each(bound, role.map(|role| &*role.effective)) {
                return;
            }
        }
    }

    fn put_role(&mut self, key: (String, String), object: Value) {
        let effective = rules_in(&object).into();
        let cluster = key.0.is_empty();
        self.roles.insert(key, Role { own: object, effective });
        if cluster {
            self.resolve_aggregated();
        }
    }

    fn remove_role(&mut self, key: &(String, String)) {
        self.roles.remove(key);
        if key.0.is_empty() {
            self.resolve_aggregated();
        }
    }

    /// Aggregated roles may select each other, so this goes on until nothing changes.
    fn resolve_aggregated(&mut self) {
        let aggregated: Vec<(String, String)> = self
            .roles
            .iter()
            .filter(|(_, r)| r.own.get("aggregationRule").is_some_and(|a| !a.is_null()))
            .map(|(k, _)| k.clone())
            .collect();
        for _ in 0..=aggregated.len() {
            let mut changed = false;
            for key in &aggregated {
                let Some(role) = self.roles.get(key) else { continue };
                let others = self.roles.iter().filter(|((ns, _), _)| ns.is_empty());
                let matching = others.filter(|(k, other)| *k != key && selects(&role.own, &other.own));
                let mut sorted: Vec<_> = matching.collect();
                sorted.sort_by(|a, b| a.0.cmp(b.0));
                let rules = distinct(sorted.into_iter().flat_map(|(_, other)| other.effective.iter().cloned()));
                if *rules != *role.effective
                    && let Some(role) = self.roles.get_mut(key)
                {
                    role.effective = rules.into();
                    changed = true;
                }
            }
            if !changed {
                return;
            }
        }
    }

    fn put_binding(&mut self, key: (String, String), object: &Value) {
        self.remove_binding(&key);
        let Ok(Binding { role_ref, subjects }) = Binding::deserialize(object) else { return };
        let mut known: Vec<Subject> = Vec::new();
        for reference in subjects {
            let Some(subject) = reference.subject(&key.0) else { continue };
            let bound = Bound {
                namespace: key.0.clone(),
                name: key.1.clone(),
                role_kind: role_ref.kind.clone(),
                role: role_ref.name.clone(),
                words: describe(&key, &role_ref, &reference),
            };
            if !known.contains(&subject) {
                self.subjects.entry(subject.clone()).or_default().push(bound);
                known.push(subject);
            }
        }
        self.bindings.insert(key, known);
    }

    fn remove_binding(&mut self, key: &(String, String)) {
        for subject in self.bindings.remove(key).into_iter().flatten() {
            if let Some(bound) = self.subjects.get_mut(&subject) {
                bound.retain(|b| (&b.namespace, &b.name) != (&key.0, &key.1));
                if bound.is_empty() {
                    self.subjects.remove(&subject);
                }
            }
        }
    }
}

impl Bound {
    fn missing(&self) -> String {
        let (kind, role) = (self.role_kind.to_lowercase(), &self.role);
        format!("{kind}.rbac.authorization.k8s.io {role:?} not found")
    }
}

/// The rules that an aggregated cluster role takes from the `roles` that it selects.
pub(super) fn aggregate<'a>(role: &Value, roles: impl Iterator<Item = &'a Map<String, Value>>) -> Vec<Rule> {
    let name = role.pointer("/metadata/name");
    let mut selected: Vec<Value> = roles.cloned().map(Value::Object).filter(|r| selects(role, r)).collect();
    selected.retain(|other| other.pointer("/metadata/name") != name);
    selected.sort_by_key(|r| r.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned());
    distinct(selected.iter().flat_map(rules_in))
}

fn distinct(rules: impl Iterator<Item = Rule>) -> Vec<Rule> {
    let mut out: Vec<Rule> = Vec::new();
    for rule in rules {
        if !out.contains(&rule) {
            out.push(rule);
        }
    }
    out
}

fn rules_in(role: &Value) -> Vec<Rule> {
    let rules = role.get("rules").and_then(Value::as_array);
    rules.into_iter().flatten().filter_map(|rule| Rule::deserialize(rule).ok()).collect()
}

/// Whether the aggregation rule of `role` selects `other`.
fn selects(role: &Value, other: &Value) -> bool {
    let none = Map::new();
    let labels = other.pointer("/metadata/labels").and_then(Value::as_object).unwrap_or(&none);
    let selectors = role.pointer("/aggregationRule/clusterRoleSelectors").and_then(Value::as_array);
    selectors.into_iter().flatten().any(|selector| matches_labels(selector, labels))
}

fn matches_labels(selector: &Value, labels: &Map<String, Value>) -> bool {
    let exact = selector.get("matchLabels").and_then(Value::as_object);
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    exact.into_iter().flatten().all(|(k, v)| labels.get(k) == Some(v))
        && expressions.into_iter().flatten().all(|e| {
            let found = e.get("key").and_then(Value::as_str).and_then(|key| labels.get(key));
            let values = e.get("values").and_then(Value::as_array);
            let within = found.is_some_and(|v| values.is_some_and(|values| values.contains(v)));
            match e.get("operator").and_then(Value::as_str) {
                Some("In") => within,
                Some("NotIn") => !within,
                Some("Exists") => found.is_some(),
                Some("DoesNotExist") => found.is_none(),
                _ => false,
            }
        })
}

fn identity(object: &Value) -> Option<(&str, (String, String))> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let kind = text("/kind")?;
    let namespace = if kind.starts_with("Cluster") { "" } else { text("/metadata/namespace")? };
    Some((kind, (namespace.to_owned(), text("/metadata/name")?.to_owned())))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Binding {
    role_ref: Reference,
    #[serde(default)]
    subjects: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    kind: String,
    name: String,
    #[serde(default)]
    namespace: String,
}

impl Reference {
    fn subject(&self, binding_namespace: &str) -> Option<Subject> {
        let namespace = if self.namespace.is_empty() { binding_namespace } else { &self.namespace };
        match &*self.kind {
            "User" => Some(Subject::User(self.name.clone())),
            "Group" => Some(Subject::Group(self.name.clone())),
            "ServiceAccount" if !namespace.is_empty() => {
                Some(Subject::User(format!("system:serviceaccount:{namespace}:{}", self.name)))
            }
            _ => None,
        }
    }
}

/// The binding as the reason of an allowed request names it.
fn describe(key: &(String, String), role: &Reference, subject: &Reference) -> String {
    let (namespace, name) = key;
    let who = match &*subject.kind {
        "ServiceAccount" => {
            let of = if subject.namespace.is_empty() { namespace } else { &subject.namespace };
            format!("ServiceAccount {:?}", format!("{}/{of}", subject.name))
        }
        kind => format!("{kind} {:?}", subject.name),
    };
    let (kind, role) = (&role.kind, &role.name);
    match &**namespace {
        "" => format!("ClusterRoleBinding {name:?} of {kind} {role:?} to {who}"),
        namespace => format!("RoleBinding {:?} of {kind} {role:?} to {who}", format!("{name}/{namespace}")),
    }
}
