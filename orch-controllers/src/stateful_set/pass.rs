//! One pass: the steps in order, until one has to wait.

use super::{
    World,
    claims::Tenancy,
    identity, min_ready, start,
    status::{self, Names, is_ready},
    update, wanted,
};
use crate::common::{
    facts::{Phase, PodFacts},
    history::{self, name_of},
};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{ControllerRevision, StatefulSet},
    core::v1::{Pod, PodTemplateSpec},
};
use orch_api::Object;
use orch_runtime::{
    Announce, Plan, Target,
    executor::BURST,
    plan::{Notice, reference},
    view::Known,
};
use std::collections::HashMap;

/// What a pass has seen and decided so far.
pub(super) struct Pass<'a> {
    pub(super) world: &'a World,
    pub(super) set: &'a StatefulSet,
    pub(super) now: Timestamp,
    pub(super) plan: Plan,
    /// The revision of pods that an update has not reached.
    current: &'a ControllerRevision,
    /// The pods that the set wants, by ordinal from the first; `None` where one is missing.
    pub(super) replicas: Vec<Option<&'a Known<PodFacts>>>,
    /// The pods that it wants no more, highest ordinal first.
    condemned: Vec<&'a Known<PodFacts>>,
    /// What is made, by ordinal: the claims of a pod and then the pod.
    pub(super) creates: Plan,
    /// How many pods are made.
    new_pods: usize,
    /// How many pods of the current revision are deleted for the update.
    outdated: usize,
    /// Told if the status changes too, so that waiting is not told again and again.
    notices: Vec<Notice>,
}

/// Whether the pass goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Go,
    Wait,
}

impl<'a> Pass<'a> {
    pub(super) fn new(world: &'a World, pods: &[&'a Known<PodFacts>], now: Timestamp, plan: Plan) -> Self {
        let set = &*world.set;
        let by_ordinal: HashMap<i32, &'a Known<PodFacts>> =
            pods.iter().map(|pod| (identity::ordinal(pod), *pod)).collect();
        let range = start(set)..start(set).saturating_add(wanted(set));
        let mut condemned: Vec<_> =
            by_ordinal.iter().filter(|(ordinal, _)| !range.contains(ordinal)).map(|(_, pod)| *pod).collect();
        condemned.sort_by_key(|pod| std::cmp::Reverse(identity::ordinal(pod)));
        let replicas = range.map(|ordinal| by_ordinal.get(&ordinal).copied()).collect();
        let named = set.status.as_ref().and_then(|status| status.current_revision.as_deref());
        let known = world.history.revisions.iter().find(|revision| Some(name_of(revision)) == named);
        Self {
            world,
            set,
            now,
            plan,
            current: known.map_or(&world.update.revision, |revision| revision),
            replicas,
            condemned,
            creates: Plan::default(),
            new_pods: 0,
            outdated: 0,
            notices: Vec::new(),
        }
    }

    /// Takes the steps.
    pub(super) fn proceed(&mut self) {
        if self.set.is_deleting() {
            return;
        }
        if self.keep_the_living() == Next::Go {
            self.condemned.clone().into_iter().for_each(|pod| self.correct_claims(pod, false));
            if self.give_up_the_condemned() == Next::Go && !update::is_on_delete(self.set) {
                update::proceed(self);
            }
        }
    }

    /// Turns what was decided into a plan.
    pub(super) fn finish(mut self) -> Plan {
        self.plan.append(self.creates);
        let update = self.world.update.name();
        let names = Names { current: name_of(self.current), update };
        let pods: Vec<_> = self.replicas.iter().flatten().chain(&self.condemned).copied().collect();
        let mut new = self.set.clone();
        let collisions = self.world.update.collisions;
        new.status = Some(status::status(self.set, &pods, names, collisions, self.outdated, self.now));
        if self.plan.update_status(self.set, &new) {
            self.notices.into_iter().for_each(|notice| self.plan.event(notice));
        }
        let has_pods = |name: &str| pods.iter().any(|pod| identity::revision(pod) == name);
        let lives = |revision: &ControllerRevision| {
            let name = name_of(revision);
            name == names.current || name == names.update || has_pods(name)
        };
        if !self.set.is_deleting() {
            let limit = self.set.spec.revision_history_limit;
            self.world.history.truncate(limit, |revision| !lives(revision), lives, &mut self.plan);
        }
        self.plan
    }

    /// Whether pods are made and ended one after the other.
    pub(super) fn is_monotonic(&self) -> bool {
        self.set.spec.pod_management_policy.as_deref() != Some("Parallel")
    }

    /// Deletes a pod and says so.
    pub(super) fn delete(&mut self, pod: &Known<PodFacts>) {
        let (name, set) = (&pod.stored.key.name, self.name());
        let announce = Announce {
            regarding: reference(self.set),
            success: Some(("SuccessfulDelete", format!("Delete Pod {name} in StatefulSet {set} successful"))),
            failure: ("FailedDelete", format!("Delete Pod {name} in StatefulSet {set} failed error: {{}}")),
        };
        self.plan.delete_announced(Target::stored::<Pod>(&pod.stored), pod.stored.meta.uid.clone(), announce);
    }

    /// Deletes a pod that is not of the new revision.
    pub(super) fn outdate(&mut self, pod: &Known<PodFacts>) {
        self.outdated += usize::from(identity::revision(pod) == name_of(self.current));
        self.delete(pod);
    }

    pub(super) fn name(&self) -> &'a str {
        self.set.metadata.name.as_deref().unwrap_or_default()
    }

    /// From the lowest ordinal up: makes those that are missing, replaces those that ended, mends the others.
    fn keep_the_living(&mut self) -> Next {
        for (index, replica) in self.replicas.clone().into_iter().enumerate() {
            let ordinal = start(self.set).saturating_add(crate::common::count::number(index));
            let next = match replica {
                None => self.make(ordinal),
                Some(pod) => self.keep(pod),
            };
            if next == Next::Wait && self.is_monotonic() {
                return Next::Wait;
            }
        }
        Next::Go
    }

    fn keep(&mut self, pod: &'a Known<PodFacts>) -> Next {
        let (facts, deleting) = (&pod.facts, pod.stored.meta.is_deleting());
        if facts.is_finished() {
            // It begins again, however it ended; the new one is made when the old one is gone.
            if !deleting {
                self.delete(pod);
            }
            return Next::Wait;
        }
        if facts.phase == Phase::Pending && self.ensure_claims(&pod.stored.key.name, identity::ordinal(pod)).is_some() {
            return Next::Wait;
        }
        let ready = is_ready(pod) && facts.is_available(min_ready(self.set), self.now);
        if self.is_monotonic() && (deleting || !ready) {
            if facts.phase == Phase::Pending {
                self.correct_claims(pod, true);
            }
            return Next::Wait;
        }
        self.correct_claims(pod, true);
        if !identity::is_whole(self.set, pod) {
            self.mend(pod);
        }
        Next::Go
    }

    /// Makes a pod after its claims. In order, one that has been made is waited for.
    fn make(&mut self, ordinal: i32) -> Next {
        let name = identity::pod_name(self.set, ordinal);
        let set = self.name();
        let tenancies = self.claims_of(&name, None, ordinal, true);
        if tenancies.iter().any(Tenancy::is_stale) || self.new_pods >= BURST {
            return Next::Wait;
        }
        let contested: Vec<Notice> = tenancies.iter().filter(|c| c.is_contested()).map(|c| self.conflict(c)).collect();
        self.notices.extend(contested);
        if let Some(claim) = self.ensure_claims(&name, ordinal) {
            let message = format!("Create Pod {name} in StatefulSet {set} failed error: pvc {claim} is being deleted");
            self.notices.push(Notice::warning(self.set, "FailedCreate", message));
            return Next::Wait;
        }
        let (template, revision) = self.template(ordinal);
        let pod = identity::make(self.set, &template, revision, ordinal);
        let announce = Announce {
            regarding: reference(self.set),
            success: Some(("SuccessfulCreate", format!("Create Pod {name} in StatefulSet {set} successful"))),
            failure: ("FailedCreate", format!("Create Pod {name} in StatefulSet {set} failed error: {{}}")),
        };
        self.creates.create_announced(&pod, announce);
        self.new_pods += 1;
        Next::Wait
    }

    /// The template for a new pod: that of the current revision where an update may not or did not reach it.
    fn template(&self, ordinal: i32) -> (PodTemplateSpec, &'a str) {
        if ordinal < start(self.set).saturating_add(update::kept(self.set))
            && let Some(template) = history::template_of(self.current)
        {
            return (template, name_of(self.current));
        }
        (self.set.spec.template.clone(), self.world.update.name())
    }

    /// Gives a pod back the labels and the volumes that make it what it is.
    fn mend(&mut self, pod: &Known<PodFacts>) {
        let Ok(old) = pod.stored.decode::<Pod>() else { return };
        let (mut new, ordinal) = ((*old).clone(), identity::ordinal(pod));
        identity::mend(self.set, &mut new, ordinal);
        self.ensure_claims(&pod.stored.key.name, ordinal);
        if self.plan.update(&*old, &new) {
            let message = format!("Update Pod {} in StatefulSet {} successful", pod.stored.key.name, self.name());
            self.plan.event(Notice::normal(self.set, "SuccessfulUpdate", message));
        }
    }

    /// From the highest ordinal down: in order, one at a time, and only while all the others are well. Of those that are
    /// not, the lowest may go.
    fn give_up_the_condemned(&mut self) -> Next {
        let monotonic = self.is_monotonic();
        let ill = |pod: &&Known<PodFacts>| {
            pod.stored.meta.is_deleting() || !pod.facts.is_available(min_ready(self.set), self.now)
        };
        let lowest_ill = self.condemned.iter().rev().copied().find(ill).map(|pod| pod.stored.meta.uid.clone());
        for pod in self.condemned.clone() {
            if pod.stored.meta.is_deleting() {
                if monotonic {
                    return Next::Wait;
                }
                continue;
            }
            let well = is_ready(pod) && pod.facts.is_available(min_ready(self.set), self.now);
            if monotonic && !well && lowest_ill.as_ref() != Some(&pod.stored.meta.uid) {
                return Next::Wait;
            }
            self.delete(pod);
            if monotonic {
                return Next::Wait;
            }
        }
        Next::Go
    }
}
