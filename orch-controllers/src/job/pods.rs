//! [`JobPod`]: what a Job looks at in its pods, and [`Claimed`]: a pod that is the Job's.

use super::spec;
use crate::common::{Phase, facts::LiteCondition};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use orch_api::Gvr;
use orch_runtime::view::{Facts, Known};
use orch_store::{Stored, stored::Parts};
use serde::Deserialize;
use std::{cmp::Reverse, collections::BTreeMap};

/// The finalizer that keeps a pod until it has been counted.
pub const TRACKING: &str = "batch.kubernetes.io/job-tracking";
/// The completion index, as annotation and label of a pod.
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// How many pods of the same index have failed before this one.
pub(super) const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
/// The same for failures that the failure policy ignores.
pub(super) const IGNORED: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

/// A few facts of a pod that a Job controls, or nobody.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobPod {
    /// Where it is in its life.
    pub phase: Phase,
    /// Whether it is bound to a node.
    pub is_bound: bool,
    /// Since when it is ready; `None` when it is not.
    pub ready_since: Option<Timestamp>,
    /// Its completion index.
    pub index: Option<usize>,
    /// How many pods of its index have failed before it.
    pub failures: i32,
    /// How many pods of its index have failed before it and were ignored.
    pub ignored: i32,
    /// The restarts of all its containers.
    pub restarts: i32,
    /// When it ended, or when it last showed a sign of that.
    pub finished_at: Timestamp,
    /// The containers that ended badly, init containers last.
    pub exits: Box<[Exit]>,
    /// Its conditions: type and status.
    pub conditions: Box<[(Box<str>, Box<str>)]>,
}

/// A container that ended badly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its name.
    pub container: Box<str>,
    /// Its exit code, not zero.
    pub code: i32,
}

/// A pod that is the Job's.
#[derive(Clone, Copy)]
pub(super) struct Claimed<'a> {
    pub known: &'a Known<JobPod>,
    /// Whether the caches have it with the finalizer: it is still to be counted.
    pub is_tracked: bool,
}

impl<'a> Claimed<'a> {
    pub(super) fn uid(&self) -> &'a str {
        &self.known.stored.meta.uid
    }

    /// Whether it works, or is about to.
    pub(super) fn is_active(&self) -> bool {
        self.known.facts.phase < Phase::Succeeded && !self.known.stored.meta.is_deleting()
    }

    /// Whether it is about to end because somebody deleted it.
    pub(super) fn is_terminating(&self) -> bool {
        self.known.facts.phase < Phase::Succeeded && self.known.stored.meta.is_deleting()
    }

    pub(super) fn has_succeeded(&self) -> bool {
        self.known.facts.phase == Phase::Succeeded
    }

    /// Whether it counts as a failure. One that is being deleted may never come to a phase that says so.
    pub(super) fn has_failed(&self, job: &Job) -> bool {
        self.known.facts.phase == Phase::Failed || (self.is_terminating() && !spec::waits_for_the_end(job))
    }

    /// Whether it goes without being counted: the Job wanted it no more.
    pub(super) fn was_discarded(&self) -> bool {
        !self.is_tracked && self.known.stored.meta.is_deleting()
    }

    /// Its completion index, if the Job has such a one.
    pub(super) fn valid_index(&self, job: &Job) -> Option<usize> {
        self.known.facts.index.filter(|index| *index < spec::completions(job))
    }

    /// Whether it can be counted towards the Job.
    pub(super) fn is_valid(&self, job: &Job) -> bool {
        !spec::is_indexed(job) || self.valid_index(job).is_some()
    }
}

/// Which of active pods goes first (`ActivePods` of `pkg/controller/controller_utils.go`).
pub(super) fn rank(pod: &Known<JobPod>) -> impl Ord + use<> {
    let facts = &pod.facts;
    (
        facts.is_bound,
        facts.phase,
        facts.ready_since.is_some(),
        Reverse(facts.ready_since),
        Reverse(facts.restarts),
        Reverse(pod.stored.meta.creation_timestamp),
        pod.stored.key.name.clone(),
    )
}

impl Facts for JobPod {
    fn gvr() -> Gvr {
        <Pod as orch_api::Object>::gvr()
    }

    fn of(stored: &Stored) -> Self {
        if stored.controller().is_some_and(|owner| &*owner.kind != "Job") {
            return Self::default(); // Nobody asks.
        }
        facts(&Lite::of(stored), stored)
    }
}

/// The part of a pod's JSON that is read.
type Lite = Parts<LiteSpec, LiteStatus, LiteMeta>;

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LiteMeta {
    annotations: BTreeMap<String, String>,
    deletion_grace_period_seconds: i64,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LiteSpec {
    node_name: String,
    init_containers: Vec<LiteContainer>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LiteContainer {
    name: String,
    restart_policy: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LiteStatus {
    phase: String,
    conditions: Vec<LiteCondition>,
    container_statuses: Vec<LiteContainerStatus>,
    init_container_statuses: Vec<LiteContainerStatus>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LiteContainerStatus {
    name: String,
    restart_count: i32,
    state: LiteState,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LiteState {
    terminated: Option<LiteTerminated>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LiteTerminated {
    exit_code: i32,
    finished_at: Option<Timestamp>,
}

fn facts(lite: &Lite, stored: &Stored) -> JobPod {
    let Parts { metadata, spec, status } = lite;
    let ready = status.conditions.iter().find(|c| c.kind == "Ready" && c.status == "True");
    let all = || status.container_statuses.iter().chain(&status.init_container_statuses);
    let number = |name| metadata.annotations.get(name).and_then(|text| text.parse().ok()).filter(|n| *n >= 0);
    let exits = all().filter_map(|container| {
        let code = container.state.terminated.as_ref()?.exit_code;
        (code != 0).then(|| Exit { container: container.name.as_str().into(), code })
    });
    JobPod {
        phase: Phase::named(&status.phase),
        is_bound: !spec.node_name.is_empty(),
        ready_since: ready.map(LiteCondition::since),
        index: metadata.annotations.get(INDEX).and_then(|text| text.parse().ok()),
        failures: number(FAILURES).unwrap_or(0),
        ignored: number(IGNORED).unwrap_or(0),
        restarts: all().map(|container| container.restart_count).sum(),
        finished_at: finished_at(lite, stored),
        exits: exits.collect(),
        conditions: status.conditions.iter().map(|c| (c.kind.as_str().into(), c.status.as_str().into())).collect(),
    }
}

/// When the last container ended, or else since when it is not ready, or else when it was asked to go, or else when
/// it was made (`getFinishedTime`).
fn finished_at(lite: &Lite, stored: &Stored) -> Timestamp {
    let deleted = || {
        let grace = SignedDuration::from_secs(lite.metadata.deletion_grace_period_seconds);
        stored.meta.deletion_timestamp?.saturating_sub(grace).ok()
    };
    let found = last_exit(lite).or_else(|| not_ready_since(lite)).or_else(deleted);
    found.or(stored.meta.creation_timestamp).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// When the last container ended, sidecars included; `None` while one has not.
fn last_exit(lite: &Lite) -> Option<Timestamp> {
    let sidecars = |status: &&LiteContainerStatus| {
        lite.spec.init_containers.iter().any(|c| c.name == status.name && c.restart_policy == "Always")
    };
    let status = &lite.status;
    let all = status.container_statuses.iter().chain(status.init_container_statuses.iter().filter(sidecars));
    let ends: Option<Vec<Timestamp>> = all.map(|c| c.state.terminated.as_ref()?.finished_at).collect();
    ends?.into_iter().max()
}

fn not_ready_since(lite: &Lite) -> Option<Timestamp> {
    lite.status.conditions.iter().find(|c| c.kind == "Ready" && c.status == "False")?.last_transition_time
}
