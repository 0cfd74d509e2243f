//! [`Rollout`]: the copies that a plan works on, and the moves it makes with them.

use super::{World, conditions, fenceposts, hash, revision};
use crate::common::owner::controller_ref;
use jiff::Timestamp;
use k8s_openapi::{
    api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet, ReplicaSetSpec},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use orch_runtime::{
    Announce, Plan,
    plan::{Notice, reference},
};
use std::sync::Arc;

/// The copies that a plan works on.
pub(super) struct Rollout<'a> {
    pub(super) world: &'a World,
    pub(super) deployment: &'a Deployment,
    pub(super) status: DeploymentStatus,
    /// The sets, oldest first.
    pub(super) sets: Vec<Set<'a>>,
    /// Which of them is of the current template.
    pub(super) new: Option<usize>,
    pub(super) now: Timestamp,
    pub(super) plan: Plan,
    revision: Option<String>,
    /// The new set is refused: until that ends nothing else is said of the rollout.
    pub(super) is_refused: bool,
    /// Told once the set of that number is written.
    events: Vec<(usize, Notice)>,
}

/// A set as observed (`None` if the plan makes it) and as it shall be.
pub(super) struct Set<'a> {
    observed: Option<&'a ReplicaSet>,
    pub(super) copy: ReplicaSet,
}

impl Set<'_> {
    pub(super) fn size(&self) -> i32 {
        self.copy.spec.replicas.unwrap_or(1)
    }

    pub(super) fn available(&self) -> i32 {
        self.copy.status.as_ref().and_then(|s| s.available_replicas).unwrap_or(0)
    }

    pub(super) fn name(&self) -> &str {
        self.copy.metadata.name.as_deref().unwrap_or_default()
    }
}

impl<'a> Rollout<'a> {
    pub(super) fn new(world: &'a World, sets: Vec<&'a Arc<ReplicaSet>>, now: Timestamp, plan: Plan) -> Self {
        let deployment = &*world.deployment;
        let mut sets: Vec<Set<'a>> =
            sets.into_iter().map(|set| Set { observed: Some(set), copy: (**set).clone() }).collect();
        sets.sort_by_key(|set| (set.copy.metadata.creation_timestamp.as_ref().map(|t| t.0), set.name().to_owned()));
        let new = sets.iter().position(|set| hash::is_of_template(&set.copy, &deployment.spec.template));
        let status = deployment.status.clone().unwrap_or_default();
        Self { world, deployment, status, sets, new, now, plan, revision: None, is_refused: false, events: Vec::new() }
    }

    /// How many replicas the deployment asks for.
    pub(super) fn wanted(&self) -> i32 {
        wanted(self.deployment)
    }

    /// The most pods that may exist.
    pub(super) fn max_total(&self) -> i32 {
        self.wanted() + fenceposts::max_surge(self.deployment)
    }

    /// The size of all sets together.
    pub(super) fn total(&self) -> i32 {
        self.sets.iter().map(Set::size).sum()
    }

    /// The sets of other templates, oldest first.
    pub(super) fn old(&self) -> Vec<usize> {
        (0..self.sets.len()).filter(|i| Some(*i) != self.new).collect()
    }

    /// The sets with replicas, oldest first.
    pub(super) fn active(&self) -> Vec<usize> {
        (0..self.sets.len()).filter(|i| self.sets.get(*i).is_some_and(|s| s.size() > 0)).collect()
    }

    /// Brings the annotations of the new set and the revision of the deployment up to date; makes the set if
    /// it is missing and `create` says so. Returns whether there is one now.
    pub(super) fn sync_new(&mut self, create: bool) -> bool {
        let next = self.old().iter().filter_map(|i| self.sets.get(*i)).map(|s| revision::of(&s.copy)).max();
        let next = next.unwrap_or(0) + 1;
        match self.new.and_then(|i| self.sets.get_mut(i)) {
            Some(set) => {
                revision::annotate_new(self.deployment, &mut set.copy, next);
                if set.copy.spec.min_ready_seconds.unwrap_or(0) != self.deployment.spec.min_ready_seconds.unwrap_or(0) {
                    set.copy.spec.min_ready_seconds = self.deployment.spec.min_ready_seconds;
                }
                self.revision = set.copy.metadata.annotations.as_ref().and_then(|a| a.get(revision::REVISION).cloned());
                let message = format!("Found new replica set {:?}", set.name());
                if self.has_deadline() && conditions::get(&self.status, conditions::PROGRESSING).is_none() {
                    self.condition(conditions::PROGRESSING, "True", conditions::SET_FOUND, message);
                }
                true
            }
            None => create && self.create_new(next),
        }
    }

    /// Changes the size of a set; with `force` also notes the deployment's size if only that changed.
    pub(super) fn scale(&mut self, index: usize, size: i32, force: bool) -> bool {
        let (desired, max) = (self.wanted(), self.max_total());
        let Some(set) = self.sets.get_mut(index) else { return false };
        let old = set.size();
        if old == size && !force {
            return false;
        }
        set.copy.spec.replicas = Some(size);
        revision::annotate_size(&mut set.copy, desired, max);
        if old == size {
            return false;
        }
        let direction = if old < size { "up" } else { "down" };
        let message = format!("Scaled {direction} replica set {} from {old} to {size}", set.name());
        self.events.push((index, Notice::normal(self.deployment, "ScalingReplicaSet", message)));
        true
    }

    /// Deletes an old set.
    pub(super) fn delete(&mut self, index: usize) {
        if let Some(set) = self.sets.get(index) {
            self.plan.delete(&set.copy);
        }
    }

    pub(super) fn has_deadline(&self) -> bool {
        self.deployment.spec.progress_deadline_seconds.is_some_and(|s| s != i32::MAX)
    }

    pub(super) fn condition(&mut self, kind: &str, status: &str, reason: &str, message: String) {
        conditions::set(&mut self.status, conditions::new(kind, status, reason, message, self.now));
    }

    /// Turns the differences between the copies and what was observed into writes.
    pub(super) fn finish(mut self) -> Plan {
        for (number, set) in self.sets.iter().enumerate() {
            if let Some(observed) = set.observed {
                self.plan.update(observed, &set.copy);
            }
            let told = self.events.iter().filter(|(index, _)| *index == number);
            told.for_each(|(_, event)| self.plan.event(event.clone()));
        }
        let mut new = self.deployment.clone();
        if let Some(revision) = self.revision {
            new.metadata.annotations.get_or_insert_default().insert(revision::REVISION.into(), revision);
        }
        new.status = Some(self.status);
        self.plan.update_status(self.deployment, &new);
        self.plan
    }

    fn create_new(&mut self, next: i64) -> bool {
        if self.world.squatter {
            // Another template has the same hash: the count makes it different next time.
            let count = self.status.collision_count.unwrap_or(0);
            self.status.collision_count = Some(count.saturating_add(1));
            return false;
        }
        let mut copy = new_set(self.deployment);
        let room = (self.max_total() - self.total()).max(0);
        let size = if super::is_recreate(self.deployment) { self.wanted() } else { room.min(self.wanted()) };
        copy.spec.replicas = Some(size);
        revision::annotate_new(self.deployment, &mut copy, next);
        revision::annotate_size(&mut copy, self.wanted(), self.max_total());
        let name = copy.metadata.name.clone().unwrap_or_default();
        let scaled = format!("Scaled up replica set {name} from 0 to {size}");
        let failed = format!("Failed to create new replica set {name:?}: {{}}");
        let announce = Announce {
            regarding: reference(self.deployment),
            success: (size > 0).then_some(("ScalingReplicaSet", scaled)),
            failure: (conditions::SET_REFUSED, failed.clone()),
        };
        self.plan.create_announced(&copy, announce);
        if let Some(failure) = self.world.failure.as_ref().filter(|f| f.reason == conditions::SET_REFUSED) {
            self.is_refused = true;
            if self.has_deadline() {
                let message = failed.replace("{}", &failure.message);
                self.condition(conditions::PROGRESSING, "False", conditions::SET_REFUSED, message);
            }
            return false;
        }
        if self.has_deadline() {
            let message = format!("Created new replica set {name:?}");
            self.condition(conditions::PROGRESSING, "True", conditions::SET_CREATED, message);
        }
        self.revision = Some(next.to_string());
        copy.metadata.creation_timestamp = Some(Time(self.now));
        self.new = Some(self.sets.len());
        self.sets.push(Set { observed: None, copy });
        true
    }
}

/// How many replicas a deployment asks for.
pub(super) fn wanted(deployment: &Deployment) -> i32 {
    deployment.spec.replicas.unwrap_or(1)
}

fn new_set(deployment: &Deployment) -> ReplicaSet {
    let hash = hash::of(deployment);
    let mut template = deployment.spec.template.clone();
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(hash::LABEL.into(), hash.clone());
    let labels = labels.clone();
    let mut selector = deployment.spec.selector.clone();
    selector.match_labels.get_or_insert_default().insert(hash::LABEL.into(), hash);
    ReplicaSet {
        metadata: ObjectMeta {
            name: Some(hash::set_name(deployment)),
            namespace: deployment.metadata.namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![controller_ref(deployment)]),
            ..ObjectMeta::default()
        },
        spec: ReplicaSetSpec {
            replicas: Some(0),
            min_ready_seconds: deployment.spec.min_ready_seconds,
            selector,
            template: Some(template),
        },
        status: None,
    }
}
