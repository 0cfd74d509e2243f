//! The worker of one pod: observes, plans, begins actions, reports. It sleeps until the spec changes, the
//! runtime or a probe reports, an action ends, or a time comes that the plan named.

mod announce;
mod execute;
mod finish;
mod observe;
mod report;
mod results;
mod volumes;

use super::{
    action::{DEADLINE_EXCEEDED, Outcome},
    backoff::until,
    handle::Shared,
    observed::{Observed, StartFailure, Volumes},
    plan::plan,
    probing::Probes,
};
use crate::{agent::context::Node, event::Severity, follow::Followed, volume};
use finish::Finish;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use orch_api::{Gvr, Key};
use orch_runtime::node::container::{RuntimeError, Sandbox};
use orch_store::{Revision, Stored};
use report::Report;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use volumes::Tags;

/// Pods.
pub const PODS: Gvr = Gvr::of("", "v1", "pods");

/// What an action came to.
enum Done {
    Sandbox(Result<String, RuntimeError>),
    SandboxDown(Result<(), RuntimeError>),
    Started { name: String, result: Result<(), StartFailure> },
    Killed { id: String },
    Collected,
    Volumes(Result<Option<Timestamp>, volume::MountError>),
    References,
    Probed(super::probing::Tick),
    Reported(Result<Arc<Stored>, orch_api::StatusError>),
    Finished(Result<(), orch_api::StatusError>),
}

pub(super) struct Worker {
    node: Arc<Node>,
    shared: Arc<Shared>,
    seen: Observed,
    probes: Probes,
    ops: FuturesUnordered<BoxFuture<'static, Done>>,
    references: Arc<BTreeMap<(Gvr, Key), Followed>>,
    /// Cancels image pulls when the pod ends.
    ending: CancellationToken,
    /// Volumes must be looked at again then.
    refresh_volumes_at: Option<Timestamp>,
    /// The pod's labels and annotations that its volumes show.
    shown: Option<(Tags, Tags)>,
    volume_delay: Duration,
    announced: BTreeSet<String>,
    report: Report,
    finish: Finish,
    /// The typed form of the object, kept from step to step while something is under way.
    typed: Option<(Revision, Arc<Pod>)>,
}

impl Worker {
    pub(super) fn new(node: Arc<Node>, shared: Arc<Shared>, adopted: Vec<Sandbox>) -> Self {
        let mut seen = Observed { sandboxes: adopted, ..Observed::default() };
        seen.sort();
        if !node.materialize {
            seen.volumes = Volumes::Ready;
        }
        let chance = node.ambient.chance.clone();
        Self {
            node,
            shared,
            seen,
            probes: Probes::new(chance),
            ops: FuturesUnordered::new(),
            references: Arc::default(),
            ending: CancellationToken::new(),
            refresh_volumes_at: None,
            shown: None,
            volume_delay: Duration::ZERO,
            announced: BTreeSet::new(),
            report: Report::default(),
            finish: Finish::No,
            typed: None,
        }
    }

    pub(super) async fn run(mut self) {
        self.begin();
        self.read_messages().await;
        loop {
            let Some(wake_at) = self.step() else { return };
            if !self.is_busy() {
                self.typed = None;
            }
            let wait = wake_at.map(|at| until(self.node.ambient.clock.now(), at));
            tokio::select! {
                biased;
                () = self.shared.wake.notified() => {}
                Some(done) = self.ops.next(), if !self.ops.is_empty() => self.apply(done),
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
            self.observe().await;
        }
    }

    /// Follows what the pod names.
    fn begin(&mut self) {
        let Ok(pod) = self.shared.pod().decode::<Pod>() else { return };
        let accepted = pod.status.as_ref().and_then(|s| s.start_time.as_ref()).map(|t| t.0);
        self.seen.accepted_at = Some(accepted.unwrap_or_else(|| self.node.ambient.clock.now()));
        if matches!(pod.status.as_ref().and_then(|s| s.phase.as_deref()), Some("Failed" | "Succeeded")) {
            self.seen.outcome = Some(super::Outcome::Completed);
        }
        if self.node.materialize {
            let named = crate::env::references(&pod).into_iter();
            let followed = named.map(|(gvr, key)| ((gvr.clone(), key.clone()), self.node.objects.follow(gvr, key)));
            self.references = Arc::new(followed.collect());
            self.watch_references();
        }
    }

    /// Plans and begins; the time to wake at, or `None` when the pod is done with.
    fn step(&mut self) -> Option<Option<Timestamp>> {
        let (stored, gone) = {
            let inbox = self.shared.inbox.lock();
            (inbox.pod.clone(), inbox.gone)
        };
        self.seen.gone |= gone;
        if self.finish == Finish::Cleaned && self.seen.gone {
            return None;
        }
        let now = self.node.ambient.clock.now();
        let Some(pod) = self.typed(&stored) else {
            tracing::error!(pod = %stored.key, "the API server sent a pod that cannot be read");
            return Some(None);
        };
        if pod.metadata.deletion_timestamp.is_some() || self.seen.gone || self.seen.outcome.is_some() {
            self.begin_to_end(now);
        }
        if self.node.materialize {
            self.notice_tags(&pod, now);
        }
        let mut actions = plan(&pod, &self.seen, now);
        if let Some(outcome) = actions.outcome.take() {
            if let Outcome::Failed { reason, message } = &outcome
                && reason == DEADLINE_EXCEEDED
            {
                self.node.event(&pod, None, Severity::Normal, DEADLINE_EXCEEDED, message.clone());
            }
            self.seen.outcome = Some(outcome);
            self.begin_to_end(now);
        }
        let wake = [actions.wake_at, self.refresh_due(now), self.report.retry_at.filter(|at| *at > now)];
        for action in std::mem::take(&mut actions.actions) {
            self.execute(&pod, action, now);
        }
        self.probe(&pod, now);
        let words = self.announce(&pod, now);
        let held = self.report(&pod, &stored, now);
        Some(wake.into_iter().flatten().chain(words).chain(held).min())
    }

    /// From now on the pod goes down: nothing of it is begun any more.
    fn begin_to_end(&mut self, now: Timestamp) {
        self.seen.ending_since.get_or_insert(now);
        self.ending.cancel();
    }

    /// The typed form of the object.
    fn typed(&mut self, stored: &Stored) -> Option<Arc<Pod>> {
        match &self.typed {
            Some((revision, pod)) if *revision == stored.revision => Some(pod.clone()),
            _ => {
                let pod: Arc<Pod> = stored.decode().ok()?;
                self.typed = Some((stored.revision, pod.clone()));
                Some(pod)
            }
        }
    }

    /// Whether the agent waits for something that it has begun.
    fn is_busy(&self) -> bool {
        self.is_beginning()
            || self.report.writing
            || !self.seen.busy.stopping.is_empty()
            || self.finish == Finish::Cleaning
    }

    fn is_beginning(&self) -> bool {
        let busy = &self.seen.busy;
        busy.sandbox || busy.volumes || !busy.starting.is_empty()
    }

    fn look_again(&self) {
        self.shared.inbox.lock().runtime_changed = true;
    }

    fn warn(&self, reason: &'static str, message: String) {
        if let Ok(pod) = self.shared.pod().decode::<Pod>() {
            self.node.event(&pod, None, Severity::Warning, reason, message);
        }
    }
}
