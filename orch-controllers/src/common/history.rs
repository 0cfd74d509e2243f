//! The history of a pod template, as ControllerRevisions (`pkg/controller/history`).
//!
//! A revision holds the patch that brings its template back, which is what `kubectl rollout undo` applies. Its name is
//! made of a hash of that patch; two templates of the same hash are told apart by a count of collisions.

use super::{facts::ORPHANS, hash, owner, selector::selects};
use k8s_openapi::{
    api::{apps::v1::ControllerRevision, core::v1::PodTemplateSpec},
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        runtime::RawExtension,
    },
};
use orch_api::{Key, Object};
use orch_runtime::{Plan, Target, View};
use serde_json::{Value, json};
use std::sync::Arc;

/// The label that tells the pods of one revision from those of another.
pub const LABEL: &str = "controller-revision-hash";

/// The longest part of the owner's name in that of a revision.
const PREFIX_MAX: usize = 223;

/// The revisions of an owner.
pub struct History {
    /// Those that its selector selects and that it controls or may adopt, oldest first.
    pub revisions: Vec<Arc<ControllerRevision>>,
    /// Those that it controls, but that are not selected any more.
    strays: Vec<Arc<ControllerRevision>>,
}

/// The revision of the current template.
#[derive(Debug)]
pub struct Proposed {
    /// As it shall be.
    pub revision: ControllerRevision,
    /// As it is; `None` if it has to be made.
    pub stored: Option<Arc<ControllerRevision>>,
    /// How many names were taken by revisions of another template.
    pub collisions: Option<i32>,
    /// Older revisions of the same template.
    pub duplicates: Vec<Arc<ControllerRevision>>,
}

impl History {
    /// Reads the revisions from the caches.
    pub fn observe<K: Object>(owner: &K, selector: &LabelSelector, view: &View<'_>) -> Self {
        let gvr = ControllerRevision::gvr();
        let mut stored = view.owned_stored(&gvr, owner.uid());
        stored.retain(|revision| owner::is_controlled_by(revision, owner.uid()));
        stored.extend(view.by_index_stored(&gvr, ORPHANS, &owner.key().namespace));
        let (selected, others): (Vec<_>, Vec<_>) =
            stored.into_iter().partition(|revision| selects(selector, &revision.meta.labels));
        let strays = others.iter().filter(|revision| revision.controller().is_some());
        let strays = strays.filter_map(|revision| revision.decode().ok()).collect();
        let mut revisions: Vec<Arc<ControllerRevision>> =
            selected.iter().filter_map(|revision| revision.decode().ok()).collect();
        revisions.sort_by_key(|revision| {
            let created = revision.metadata.creation_timestamp.as_ref().map(|time| time.0);
            (revision.revision, created, revision.metadata.name.clone())
        });
        Self { revisions, strays }
    }

    /// Adopts revisions that have no controller, and releases those that are not selected any more.
    pub fn claim<K: Object>(&self, owner: &K, plan: &mut Plan) {
        if owner.is_deleting() {
            return;
        }
        let is_orphan = |revision: &&Arc<ControllerRevision>| {
            !revision.metadata.owner_references.iter().flatten().any(|o| o.controller == Some(true))
        };
        for orphan in self.revisions.iter().filter(is_orphan).filter(|revision| !revision.is_deleting()) {
            plan.patch(Target::of(&**orphan), None, owner::adopt_typed(&**orphan, owner));
        }
        for stray in &self.strays {
            plan.patch(Target::of(&**stray), None, owner::release_typed(&**stray, owner.uid()));
        }
    }

    /// The revision of the template: the newest one that is equal, as the newest of all; or a new one, under a name that
    /// no other template has. `label` holds its hash.
    pub fn propose<K: Object>(
        &self,
        owner: &K,
        template: &PodTemplateSpec,
        label: &str,
        collisions: Option<i32>,
        view: &View<'_>,
    ) -> Proposed {
        let data = data(template);
        let (mut equal, others): (Vec<_>, Vec<_>) =
            self.revisions.iter().cloned().partition(|revision| is_of(revision, template, &data));
        let next = others.iter().filter_map(|revision| revision.revision).max().unwrap_or(0).saturating_add(1);
        if let Some(stored) = equal.pop() {
            let revision = ControllerRevision { revision: stored.revision.max(Some(next)), ..(*stored).clone() };
            return Proposed { revision, stored: Some(stored), collisions, duplicates: equal };
        }
        let mut proposed = Proposed {
            revision: make(owner, template, data.clone(), label, next),
            stored: None,
            collisions,
            duplicates: Vec::new(),
        };
        loop {
            name(owner, &mut proposed.revision, label, proposed.collisions);
            let taken: Option<Arc<ControllerRevision>> = view.get(&proposed.revision.key());
            match taken {
                None => return proposed,
                Some(same) if is_of(&same, template, &data) => {
                    return Proposed { revision: (*same).clone(), stored: Some(same), ..proposed };
                }
                Some(_) => proposed.collisions = Some(proposed.collisions.unwrap_or(0).saturating_add(1)),
            }
        }
    }

    /// Deletes as many of the oldest revisions that do not live as more than the limit are counted.
    pub fn truncate(
        &self,
        limit: Option<i32>,
        counts: impl Fn(&ControllerRevision) -> bool,
        lives: impl Fn(&ControllerRevision) -> bool,
        plan: &mut Plan,
    ) {
        let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else { return };
        let present = || self.revisions.iter().filter(|revision| !revision.is_deleting());
        let excess = present().filter(|revision| counts(revision)).count().saturating_sub(limit);
        for revision in present().filter(|revision| !lives(revision)).take(excess) {
            plan.delete(&**revision);
        }
    }
}

impl Proposed {
    /// Makes the revision, or brings its number up to date.
    pub fn write(&self, plan: &mut Plan) {
        match &self.stored {
            Some(stored) => drop(plan.update(&**stored, &self.revision)),
            None => plan.create(&self.revision),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        name_of(&self.revision)
    }
}

/// The name of a revision.
pub fn name_of(revision: &ControllerRevision) -> &str {
    revision.metadata.name.as_deref().unwrap_or_default()
}

/// The template that a revision holds; `None` if it holds none.
pub fn template_of(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    serde_json::from_value(revision.data.0.pointer("/spec/template")?.clone()).ok()
}

/// The patch that brings a template back.
fn data(template: &PodTemplateSpec) -> Value {
    let mut template = json!(template);
    tidy(&mut template);
    if let Some(fields) = template.as_object_mut() {
        fields.insert("$patch".into(), "replace".into());
    }
    json!({ "spec": { "template": template } })
}

/// Leaves out what says nothing: empty lists, and empty maps where the fields are maps. An empty structure, such as
/// `emptyDir`, says something.
fn tidy(value: &mut Value) {
    const MAPS: [&str; 7] = ["annotations", "labels", "limits", "matchLabels", "nodeSelector", "overhead", "requests"];
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(tidy);
            fields.retain(|name, value| match value {
                Value::Array(items) => !items.is_empty(),
                Value::Object(entries) => !entries.is_empty() || !MAPS.contains(&name.as_str()),
                _ => true,
            });
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// Whether the revision holds the template: by the letter, or, if another version wrote it down, by what it means.
fn is_of(revision: &ControllerRevision, template: &PodTemplateSpec, data: &Value) -> bool {
    revision.data.0 == *data || template_of(revision).as_ref() == Some(template)
}

fn make<K: Object>(
    owner: &K,
    template: &PodTemplateSpec,
    data: Value,
    label: &str,
    revision: i64,
) -> ControllerRevision {
    let mut labels = template.metadata.as_ref().and_then(|meta| meta.labels.clone()).unwrap_or_default();
    labels.insert(label.to_owned(), String::new());
    ControllerRevision {
        metadata: ObjectMeta {
            namespace: owner.meta().namespace.clone(),
            labels: Some(labels),
            annotations: owner.meta().annotations.clone(),
            owner_references: Some(vec![owner::controller_ref(owner)]),
            ..ObjectMeta::default()
        },
        data: RawExtension(data),
        revision: Some(revision),
    }
}

/// Names a new revision by the hash of its data and the collisions.
fn name<K: Object>(owner: &K, revision: &mut ControllerRevision, label: &str, collisions: Option<i32>) {
    let bytes = revision.data.0.to_string();
    let salt = collisions.map(|count| count.to_string()).unwrap_or_default();
    let hash = hash::of(bytes.as_bytes().iter().chain(salt.as_bytes()));
    let Key { name, .. } = owner.key();
    let prefix = name.get(..PREFIX_MAX).unwrap_or(&name);
    revision.metadata.name = Some(format!("{prefix}-{hash}"));
    revision.metadata.labels.get_or_insert_default().insert(label.to_owned(), hash);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Volume};

    #[test]
    fn what_says_nothing_makes_no_other_revision() {
        let plain = fixtures::template("app:1", "web");
        let mut empty = plain.clone();
        empty.metadata.as_mut().unwrap().annotations = Some(Default::default());
        empty.spec.as_mut().unwrap().tolerations = Some(Vec::new());
        assert_eq!(data(&plain), data(&empty));
    }

    #[test]
    fn a_template_comes_back_as_it_was() {
        let mut template = fixtures::template("app:1", "web");
        let volume =
            Volume { name: "scratch".into(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() };
        template.spec.as_mut().unwrap().volumes = Some(vec![volume]);
        let revision = make(&fixtures::stateful_set("web", 1), &template, data(&template), LABEL, 1);
        assert_eq!(template_of(&revision), Some(template));
        assert_eq!(revision.data.0.pointer("/spec/template/$patch"), Some(&json!("replace")));
    }
}
