//! What becomes of an object (`attemptToDeleteItem`, `attemptToOrphan`).

use super::{
    Graph, Identity, Item, Uid,
    graph::{FOREGROUND, ORPHAN},
};
use crate::common::owner::reference;
use k8s_openapi::api::core::v1::ObjectReference;
use orch_runtime::{
    Plan, Target,
    plan::{EventKind, Notice},
};
use orch_store::{
    client::{DeleteOptions, Patch, Propagation},
    stored::Owner,
};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};

/// Whether an owner that the graph does not know exists, as the API server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It exists, and will be seen.
    Present,
    /// It does not exist, or another object has its name.
    Absent,
    /// Its kind is not served, so nobody can say; the object stays.
    Unknown,
    /// Its kind lives in namespaces and the object does not: which one would be meant? The object stays, whatever else is
    /// said of it.
    CannotOwn,
}

/// What the API server said about owners.
pub type Answers = HashMap<Identity, Presence>;

impl Graph {
    /// The owners that must be asked for before a decision: those of which the graph does not know whether they are.
    pub fn questions(&self, uid: &Uid) -> Vec<Identity> {
        let Some(item) = self.items.get(uid).filter(|item| !item.is_deleting()) else { return Vec::new() };
        let unknown = item.owners().iter().filter(|o| self.owner_of(item, o).is_none());
        unknown.map(|o| item.means(o)).filter(|owner| !self.absent.has(owner)).collect()
    }

    /// What to do about an object. Every write is conditional on the revision that was looked at.
    pub fn decide(&self, uid: &Uid, answers: &Answers) -> Plan {
        let mut plan = Plan::default();
        let Some(item) = self.items.get(uid) else { return plan };
        if item.is_orphaning() {
            self.orphan(item, &mut plan);
        } else if item.waits_for_dependents() {
            if self.blocking(uid).next().is_none() {
                plan.patch(target(item), None, without_finalizer(item, FOREGROUND));
            }
        } else if !item.is_deleting() && !item.owners().is_empty() {
            self.collect(item, answers, &mut plan);
        }
        plan
    }

    /// The objects to examine after this one: the dependents that an owner waits for.
    pub fn woken_by(&self, uid: &Uid) -> BTreeSet<Uid> {
        let waits = self.items.get(uid).is_some_and(Item::waits_for_dependents);
        let dependents = waits.then(|| self.blocking(uid)).into_iter().flatten();
        dependents.filter(|d| !d.is_deleting()).map(|d| d.stored.meta.uid.clone()).collect()
    }

    fn collect(&self, item: &Item, answers: &Answers, plan: &mut Plan) {
        let (mut solid, mut waiting, mut dangling) = (0, Vec::new(), Vec::new());
        for owner in item.owners() {
            self.complain_about_namespace(item, owner, plan);
            let meant = item.means(owner);
            match self.owner_of(item, owner) {
                Some(known) if known.waits_for_dependents() => waiting.push(owner),
                Some(_) => solid += 1,
                None if self.absent.has(&meant) => dangling.push(owner),
                None => match answers.get(&meant) {
                    Some(Presence::Absent) => dangling.push(owner),
                    Some(Presence::Present) => solid += 1,
                    Some(Presence::Unknown | Presence::CannotOwn) | None => return,
                },
            }
        }
        if solid > 0 {
            let gone: Vec<&Owner> = dangling.into_iter().chain(waiting).collect();
            if !gone.is_empty() {
                plan.patch(target(item), None, without_owners(item, &gone));
            }
        } else if !waiting.is_empty() && !self.dependents_of(&item.stored.meta.uid).is_empty() {
            // A dependent that itself waits makes a circle of objects that wait for each other: this one
            // must not hold its owner back any more.
            let dependents = self.dependents_of(&item.stored.meta.uid);
            let circle = dependents.iter().filter_map(|d| self.items.get(d)).any(Item::waits_for_dependents);
            if circle && item.owners().iter().any(|o| o.block_owner_deletion) {
                plan.patch(target(item), None, unblocked(item));
            } else {
                delete(item, Propagation::Foreground, plan);
            }
        } else {
            let finalizers = &item.stored.meta;
            let propagation = match (finalizers.has_finalizer(ORPHAN), finalizers.has_finalizer(FOREGROUND)) {
                (true, _) => Propagation::Orphan,
                (false, true) => Propagation::Foreground,
                (false, false) => Propagation::Background,
            };
            delete(item, propagation, plan);
        }
    }

    /// Takes the owner out of all its dependents, then lets it go.
    fn orphan(&self, item: &Item, plan: &mut Plan) {
        let uid = &item.stored.meta.uid;
        for dependent in self.dependents_of(uid).iter().filter_map(|d| self.items.get(d)) {
            let gone: Vec<&Owner> = dependent.owners().iter().filter(|o| o.uid == *uid).collect();
            plan.patch(target(dependent), None, without_owners(dependent, &gone));
        }
        plan.patch(target(item), None, without_finalizer(item, ORPHAN));
    }

    /// The dependents that hold the deletion of their owner back.
    fn blocking(&self, uid: &Uid) -> impl Iterator<Item = &Item> {
        let uid = uid.clone();
        let dependents = self.dependents_of(&uid).into_iter().filter_map(|d| self.items.get(&d));
        dependents.filter(move |d| d.owners().iter().any(|o| o.uid == uid && o.block_owner_deletion))
    }

    /// An owner in another namespace cannot own: whoever wrote that should know.
    fn complain_about_namespace(&self, item: &Item, owner: &Owner, plan: &mut Plan) {
        let Some(known) = self.items.get(&owner.uid) else { return };
        if known.namespaced && known.key().namespace != item.key().namespace {
            let words = format!(
                "ownerRef [{}/{}, namespace: {}, name: {}, uid: {}] does not exist in namespace {:?}",
                owner.api_version,
                owner.kind,
                item.key().namespace,
                owner.name,
                owner.uid,
                &*item.key().namespace
            );
            plan.event(warning(item, words));
        }
    }
}

fn target(item: &Item) -> Target {
    Target { gvr: item.gvr.clone(), kind: item.kind.kind.clone(), key: item.key().clone() }
}

fn delete(item: &Item, propagation: Propagation, plan: &mut Plan) {
    let options = DeleteOptions {
        uid: Some(item.stored.meta.uid.clone()),
        revision: Some(item.stored.revision),
        propagation: Some(propagation),
        ..DeleteOptions::default()
    };
    plan.delete_with(target(item), options);
}

fn without_owners(item: &Item, gone: &[&Owner]) -> Patch {
    let kept: Vec<Value> = item.owners().iter().filter(|o| !gone.contains(o)).map(reference).collect();
    conditional(item, "ownerReferences", json!(kept))
}

fn unblocked(item: &Item) -> Patch {
    let free = item.owners().iter().map(|o| reference(&Owner { block_owner_deletion: false, ..o.clone() }));
    conditional(item, "ownerReferences", free.collect())
}

fn without_finalizer(item: &Item, name: &str) -> Patch {
    let kept: Vec<&str> = item.stored.meta.finalizers.iter().map(|f| &**f).filter(|f| *f != name).collect();
    conditional(item, "finalizers", json!(kept))
}

fn conditional(item: &Item, field: &str, value: Value) -> Patch {
    let meta = &item.stored.meta;
    let mut metadata = json!({ "uid": &*meta.uid, "resourceVersion": item.stored.revision.to_string() });
    metadata[field] = value;
    Patch::Merge(json!({ "metadata": metadata }))
}

fn warning(item: &Item, message: String) -> Notice {
    let key = item.key();
    Notice {
        regarding: ObjectReference {
            api_version: Some(item.kind.api_version()),
            kind: Some(item.kind.kind.to_string()),
            namespace: (!key.namespace.is_empty()).then(|| key.namespace.to_string()),
            name: Some(key.name.to_string()),
            uid: Some(item.stored.meta.uid.to_string()),
            ..ObjectReference::default()
        },
        kind: EventKind::Warning,
        reason: "OwnerRefInvalidNamespace".into(),
        message,
    }
}
