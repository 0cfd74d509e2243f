//! [`State`]: everything that the store holds, read anew at each commit, and [`Write`]: what a commit changed.

use orch_store::Revision;
use serde_json::Value;
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

/// An object as a commit left it.
#[derive(Debug)]
pub struct Seen {
    /// Its key in the store.
    pub path: Arc<str>,
    /// `v1`, `apps/v1`, …
    pub api_version: String,
    /// `Pod`, …
    pub kind: String,
    /// Empty for what is cluster-scoped.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: Arc<str>,
    /// The commit.
    pub revision: Revision,
    /// The object.
    pub value: Value,
}

impl Seen {
    pub(super) fn read(path: &Arc<str>, json: &[u8], revision: Revision) -> Option<Self> {
        let value: Value = serde_json::from_slice(json).ok()?;
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Self {
            path: path.clone(),
            api_version: text("/apiVersion"),
            kind: text("/kind"),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            uid: text("/metadata/uid").into(),
            revision,
            value,
        })
    }

    /// A part of the object by JSON pointer.
    pub fn at(&self, pointer: &str) -> &Value {
        self.value.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// A text of the object; empty where there is none.
    pub fn text(&self, pointer: &str) -> &str {
        self.at(pointer).as_str().unwrap_or_default()
    }

    /// A number of the object; 0 where there is none.
    pub fn number(&self, pointer: &str) -> i64 {
        self.at(pointer).as_i64().unwrap_or(0)
    }

    /// Whether the object is being deleted.
    pub fn is_deleting(&self) -> bool {
        !self.at("/metadata/deletionTimestamp").is_null()
    }

    /// Its owner references.
    pub fn owners(&self) -> &[Value] {
        self.at("/metadata/ownerReferences").as_array().map_or(&[], Vec::as_slice)
    }

    /// The UID and kind of its controller.
    pub fn controller(&self) -> Option<(&str, &str)> {
        let owner = self.owners().iter().find(|owner| owner["controller"] == true)?;
        Some((owner["uid"].as_str()?, owner["kind"].as_str()?))
    }

    /// Whether a condition of the status is `True`.
    pub fn has_condition(&self, kind: &str) -> bool {
        let all = self.at("/status/conditions").as_array().map_or(&[][..], Vec::as_slice);
        all.iter().any(|condition| condition["type"] == kind && condition["status"] == "True")
    }

    /// Whether a Pod has ended or is about to.
    pub fn is_over(&self) -> bool {
        self.is_deleting() || matches!(self.text("/status/phase"), "Succeeded" | "Failed")
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.namespace {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

/// What a write does to its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// It is new.
    Create,
    /// It changes.
    Update,
    /// It is gone.
    Delete,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        })
    }
}

/// A committed write.
#[derive(Clone, Debug)]
pub struct Write {
    /// Its revision.
    pub revision: Revision,
    /// The virtual time since the start.
    pub at: Duration,
    /// On whose behalf: a controller, `kube-scheduler`, a node, `user`, or `apiserver` for its own.
    pub who: Arc<str>,
    /// The subresource, such as `eviction`; empty for the object itself.
    pub subresource: String,
    /// Whether the network said a request a second time: then nobody decided to make it.
    pub repeated: bool,
    /// What happened to the object.
    pub verb: Verb,
    /// The object before; `None` for a create.
    pub old: Option<Arc<Seen>>,
    /// The object after; `None` when it is gone.
    pub new: Option<Arc<Seen>>,
}

impl Write {
    /// The object, as it is or as it was last.
    pub fn object(&self) -> Option<&Arc<Seen>> {
        self.new.as_ref().or(self.old.as_ref())
    }

    /// Whether this write began the object's end: it is gone, or it is being deleted and was not.
    pub fn dooms(&self) -> bool {
        let was = self.old.as_ref().is_some_and(|old| old.is_deleting());
        !was && self.old.is_some() && self.new.as_ref().is_none_or(|new| new.is_deleting())
    }

    /// Whether nobody waits for it: Leases, Events, and statuses of nodes that only say that they live.
    pub fn is_noise(&self) -> bool {
        let Some(object) = self.object() else { return true };
        match (&*object.kind, &self.old, &self.new) {
            ("Lease" | "Event", ..) => true,
            ("Node", Some(old), Some(new)) => still(&old.value) == still(&new.value),
            _ => false,
        }
    }
}

/// A Node without its heartbeats.
fn still(node: &Value) -> Value {
    let mut node = node.clone();
    for condition in node.pointer_mut("/status/conditions").and_then(Value::as_array_mut).into_iter().flatten() {
        condition["lastHeartbeatTime"] = Value::Null;
    }
    for name in ["resourceVersion", "managedFields"] {
        node["metadata"][name] = Value::Null;
    }
    node
}

/// Everything that the store holds.
#[derive(Debug, Default)]
pub struct State {
    objects: BTreeMap<Arc<str>, Arc<Seen>>,
    by_uid: BTreeMap<Arc<str>, Arc<Seen>>,
    /// Every state of the objects whose past says what a loop may still believe.
    past: BTreeMap<Arc<str>, Vec<Arc<Seen>>>,
    /// Pods by their controller, and by their node.
    owned: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Arc<Seen>>>,
    placed: BTreeMap<String, BTreeMap<Arc<str>, Arc<Seen>>>,
    /// Pods that are gone, by their controller.
    gone: BTreeMap<Arc<str>, Vec<Arc<Seen>>>,
}

impl State {
    /// Every object, in the order of the store's keys.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Seen>> {
        self.objects.values()
    }

    /// The objects of a kind.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Arc<Seen>> {
        self.objects.values().filter(move |object| object.kind == kind)
    }

    /// An object by its key in the store.
    pub fn at(&self, path: &str) -> Option<&Arc<Seen>> {
        self.objects.get(path)
    }

    /// An object by its UID; also one that is gone, as it was last.
    pub fn by_uid(&self, uid: &str) -> Option<&Arc<Seen>> {
        self.by_uid.get(uid)
    }

    /// Whether an object of this UID exists.
    pub fn exists(&self, uid: &str) -> bool {
        self.by_uid.get(uid).is_some_and(|seen| self.objects.get(&seen.path).is_some_and(|now| now.uid == seen.uid))
    }

    /// What a loop that knows of `known` may take the object for: that state and every later one. All of them when
    /// it knows nothing.
    pub fn since(&self, uid: &str, known: Option<Revision>) -> &[Arc<Seen>] {
        let Some(past) = self.past.get(uid) else { return &[] };
        let from = known.map_or(0, |known| past.partition_point(|seen| seen.revision < known));
        // What it knows may be a deletion, which has no state of its own: the last one counts.
        past.get(from.min(past.len().saturating_sub(1))..).unwrap_or_default()
    }

    /// The objects whose controller has this UID.
    pub fn owned_by(&self, uid: &str) -> impl Iterator<Item = &Arc<Seen>> {
        self.owned.get(uid).into_iter().flat_map(BTreeMap::values)
    }

    /// The Pods that had this controller until they were gone, as they were last.
    pub fn gone_from(&self, uid: &str) -> &[Arc<Seen>] {
        self.gone.get(uid).map_or(&[], Vec::as_slice)
    }

    /// The Pods that are bound to a node.
    pub fn on_node(&self, node: &str) -> impl Iterator<Item = &Arc<Seen>> {
        self.placed.get(node).into_iter().flat_map(BTreeMap::values)
    }

    pub(super) fn put(&mut self, seen: Arc<Seen>) {
        self.unlink(&seen.path);
        if let Some((owner, _)) = seen.controller() {
            self.owned.entry(owner.into()).or_default().insert(seen.path.clone(), seen.clone());
        }
        if seen.kind == "Pod" && !seen.text("/spec/nodeName").is_empty() {
            let node = seen.text("/spec/nodeName").to_owned();
            self.placed.entry(node).or_default().insert(seen.path.clone(), seen.clone());
        }
        if has_past(&seen) {
            self.past.entry(seen.uid.clone()).or_default().push(seen.clone());
        }
        self.by_uid.insert(seen.uid.clone(), seen.clone());
        self.objects.insert(seen.path.clone(), seen);
    }

    pub(super) fn remove(&mut self, path: &str) -> Option<Arc<Seen>> {
        self.unlink(path);
        let last = self.objects.remove(path)?;
        if let Some((owner, _)) = last.controller().filter(|_| last.kind == "Pod") {
            self.gone.entry(owner.into()).or_default().push(last.clone());
        }
        Some(last)
    }

    fn unlink(&mut self, path: &str) {
        let Some(old) = self.objects.get(path).cloned() else { return };
        if let Some(owned) = old.controller().and_then(|(owner, _)| self.owned.get_mut(owner)) {
            owned.remove(path);
        }
        if let Some(placed) = self.placed.get_mut(old.text("/spec/nodeName")) {
            placed.remove(path);
        }
    }
}

/// Whether oracles ask for earlier states of the object.
fn has_past(seen: &Seen) -> bool {
    !matches!(&*seen.kind, "Event" | "Lease" | "Node" | "EndpointSlice")
}
