//! The worker of one pod: observes, plans, begins actions, reports. It sleeps until the spec changes, the
//! runtime or a probe reports, an action ends, or a time comes that the plan named.

mod observe;
mod results;

use super::{
    backoff::{later, until},
    observed::{FRESH, Observed, StartFailure, Volumes},
    plan::{Action, DEADLINE_EXCEEDED, Outcome, plan},
    probing::Probes,
    spec, start, stop,
};
use crate::{
    agent::context::Node,
    event::Severity,
    follow::{Followed, Lookup},
    status, volume,
};
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use orch_api::{Gvr, Key};
use orch_runtime::node::container::{ContainerState, RuntimeError, Sandbox};
use orch_store::{
    Revision, Stored,
    client::{DeleteOptions, Patch, WriteOptions},
    panics::{Pause, caught_async},
    watched as watch,
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Pods.
pub const PODS: Gvr = Gvr::of("", "v1", "pods");

/// So long a report waits for what the agent is about to do: a pod that comes up at once is reported once, as it is then.
const BEGINNING: Duration = Duration::from_millis(100);

/// After so many failures the last status is given up, so that a deleted pod can go.
const GIVE_UP: u32 = 8;

/// How others reach a pod's worker. Cheap to clone.
#[derive(Clone)]
pub struct PodHandle(Arc<Shared>);

/// A pod as its worker sees it.
#[derive(Clone)]
pub struct View {
    /// The object.
    pub pod: Arc<Stored>,
    /// Its sandboxes, the newest first.
    pub sandboxes: Vec<Sandbox>,
    /// The pod is down and forgotten.
    pub over: bool,
}

struct Shared {
    wake: Notify,
    /// Counts what the worker has seen change.
    changes: watch::Sender<u64>,
    inbox: Mutex<Inbox>,
}

struct Inbox {
    pod: Arc<Stored>,
    gone: bool,
    runtime_changed: bool,
    sandboxes: Vec<Sandbox>,
    over: bool,
}

impl PodHandle {
    /// Starts the worker of a pod; `adopted` are its sandboxes that the runtime has already. `ended` is
    /// called when the pod is down and gone.
    pub fn start(
        node: &Arc<Node>,
        pod: Arc<Stored>,
        adopted: Vec<Sandbox>,
        ended: impl FnOnce() + Send + 'static,
    ) -> Self {
        let inbox = Inbox { pod, gone: false, runtime_changed: false, sandboxes: adopted.clone(), over: false };
        let shared = Arc::new(Shared { wake: Notify::new(), changes: watch::channel(0).0, inbox: Mutex::new(inbox) });
        let (over, own) = (shared.clone(), node.clone());
        node.ambient.tasks.spawn(async move {
            work(own, &over, adopted).await;
            over.inbox.lock().over = true;
            over.changes.send_modify(|n| *n += 1);
            ended();
        });
        Self(shared)
    }

    /// The object changed.
    pub fn update(&self, pod: Arc<Stored>) {
        self.0.offer(pod);
        self.0.wake.notify_one();
    }

    /// The object is gone.
    pub fn gone(&self) {
        self.0.inbox.lock().gone = true;
        self.0.wake.notify_one();
    }

    /// The runtime says that something changed.
    pub fn runtime_changed(&self) {
        self.0.inbox.lock().runtime_changed = true;
        self.0.wake.notify_one();
    }

    /// The pod as the worker sees it.
    pub fn view(&self) -> View {
        let inbox = self.0.inbox.lock();
        View { pod: inbox.pod.clone(), sandboxes: inbox.sandboxes.clone(), over: inbox.over }
    }

    /// Reports something whenever the view of the sandboxes changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }
}

/// A worker, and after a panic of its own another one, which adopts what the runtime has of the pod.
async fn work(node: Arc<Node>, shared: &Arc<Shared>, mut adopted: Vec<Sandbox>) {
    let mut pause = Pause::new();
    while let Err(why) = caught_async(Worker::new(node.clone(), shared.clone(), adopted).run()).await {
        let stored = shared.inbox.lock().pod.clone();
        tracing::error!(pod = %stored.key, why, "the worker of a pod panicked; another one takes over");
        if let Ok(pod) = stored.decode::<Pod>() {
            let message = format!("error syncing pod: the pod's worker panicked: {why}");
            node.event(&pod, None, Severity::Warning, "FailedSync", message);
        }
        pause.wait().await;
        adopted = match node.runtime.list().await {
            Ok(all) => all.into_iter().filter(|sandbox| *sandbox.uid == *stored.meta.uid).collect(),
            Err(_) => shared.inbox.lock().sandboxes.clone(),
        };
    }
}

impl Shared {
    /// Takes an object unless a newer one is known.
    fn offer(&self, pod: Arc<Stored>) {
        let mut inbox = self.inbox.lock();
        if pod.revision >= inbox.pod.revision {
            inbox.pod = pod;
        }
    }
}

/// Labels or annotations.
type Tags = Option<std::collections::BTreeMap<String, String>>;

/// What an action came to.
pub(super) enum Done {
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

struct Worker {
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

#[derive(Default)]
struct Report {
    writing: bool,
    written: Option<(Revision, u64)>,
    retry_at: Option<Timestamp>,
    failures: u32,
    /// What the agent has begun may take until then before it is reported.
    hold_until: Option<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Finish {
    No,
    Cleaning,
    Cleaned,
}

impl Worker {
    fn new(node: Arc<Node>, shared: Arc<Shared>, adopted: Vec<Sandbox>) -> Self {
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

    async fn run(mut self) {
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
        let stored = self.shared.inbox.lock().pod.clone();
        let Ok(pod) = stored.decode::<Pod>() else { return };
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
            self.seen.ending_since.get_or_insert(now);
            self.ending.cancel();
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
            self.seen.ending_since.get_or_insert(now);
            self.ending.cancel();
        }
        let mut wake = [actions.wake_at, self.refresh_due(now), self.report.retry_at.filter(|at| *at > now)];
        for action in std::mem::take(&mut actions.actions) {
            self.execute(&pod, action, now);
        }
        self.probe(&pod, now);
        let words = self.announce(&pod, now);
        let held = self.report(&pod, &stored, now);
        wake.sort();
        Some(wake.into_iter().flatten().chain(words).chain(held).min())
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

    fn execute(&mut self, pod: &Arc<Pod>, action: Action, now: Timestamp) {
        if !matches!(action, Action::Finish) {
            tracing::debug!(pod = spec::display(pod), %action, "next");
        }
        let (node, pod) = (self.node.clone(), pod.clone());
        match action {
            Action::PrepareVolumes => self.prepare_volumes(),
            Action::CreateSandbox { attempt } => {
                self.seen.busy.sandbox = true;
                if attempt > 0 {
                    let words = "Pod sandbox changed, it will be killed and re-created.".to_owned();
                    node.event(&pod, None, Severity::Normal, "SandboxChanged", words);
                }
                self.ops.push(Box::pin(async move { Done::Sandbox(start::sandbox(&node, &pod, attempt).await) }));
            }
            Action::StopSandbox { id } => {
                self.seen.busy.sandbox = true;
                self.ops.push(Box::pin(async move { Done::SandboxDown(node.runtime.stop_sandbox(&id).await) }));
            }
            Action::RemoveSandbox { id } => {
                self.seen.sandboxes.retain(|s| s.id != id);
                self.ops.push(Box::pin(async move {
                    drop(node.runtime.remove_sandbox(&id).await);
                    Done::Collected
                }));
            }
            Action::RemoveContainer { id } => {
                self.seen.sandboxes.iter_mut().for_each(|s| s.containers.retain(|c| c.id != id));
                self.seen.messages.remove(&id);
                self.ops.push(Box::pin(async move {
                    drop(node.runtime.remove_container(&id).await);
                    Done::Collected
                }));
            }
            Action::Start { name, attempt, backoff } => {
                let Some(sandbox) = self.seen.newest().cloned() else { return };
                if let Some(backoff) = backoff {
                    self.seen.backoff.insert(name.clone(), backoff);
                }
                self.seen.busy.starting.insert(name.clone());
                let start = start::Start {
                    node,
                    pod,
                    sandbox,
                    name: name.clone(),
                    attempt,
                    references: self.references.clone(),
                    ending: self.ending.clone(),
                    before: self.seen.failures.get(&name).cloned(),
                };
                self.ops.push(Box::pin(async move { Done::Started { name, result: start.run().await } }));
            }
            Action::Kill { id, name, grace, reason } => {
                let again = self.seen.busy.stopping.insert(id.clone(), later(now, grace)).is_some();
                let ip = self.seen.newest().and_then(|s| s.ips.first().copied());
                let stop = stop::Stop { node, pod, id: id.clone(), name, ip, grace, reason, again };
                self.ops.push(Box::pin(async move {
                    stop.run().await;
                    Done::Killed { id }
                }));
            }
            Action::Finish => self.finish(&pod),
        }
    }

    fn prepare_volumes(&mut self) {
        if std::mem::replace(&mut self.seen.busy.volumes, true) {
            return;
        }
        let (node, shared, references) = (self.node.clone(), self.shared.clone(), self.references.clone());
        self.ops.push(Box::pin(async move {
            for followed in references.values() {
                followed.loaded().await;
            }
            let stored = shared.inbox.lock().pod.clone();
            Done::Volumes(match stored.decode::<Pod>() {
                Ok(pod) => volume::prepare(&node, &pod, &*references).await,
                Err(error) => Err(volume::MountError::SetUp { volume: String::new(), why: error.to_string() }),
            })
        }));
    }

    /// Has the volumes written anew when the labels or annotations changed that downwardAPI volumes show.
    fn notice_tags(&mut self, pod: &Pod, now: Timestamp) {
        let (labels, annotations) = (&pod.metadata.labels, &pod.metadata.annotations);
        match &self.shown {
            Some((l, a)) if l == labels && a == annotations => return,
            Some(_) => self.refresh_volumes_at = Some(now),
            None => {}
        }
        self.shown = Some((labels.clone(), annotations.clone()));
    }

    /// When volumes must be looked at again; begins it when that is now.
    fn refresh_due(&mut self, now: Timestamp) -> Option<Timestamp> {
        let at = self.refresh_volumes_at.filter(|_| self.seen.ending_since.is_none())?;
        if at > now {
            return Some(at);
        }
        if !self.seen.busy.volumes {
            self.refresh_volumes_at = None;
            self.prepare_volumes();
        }
        None
    }

    fn watch_references(&mut self) {
        if self.references.is_empty() {
            return;
        }
        let mut receivers: Vec<_> = self.references.values().map(Followed::changes).collect();
        for receiver in &mut receivers {
            receiver.mark_unchanged();
        }
        self.ops.push(Box::pin(async move {
            let changes = receivers.iter_mut().map(|r| {
                Box::pin(async move {
                    if r.changed().await.is_err() {
                        futures::future::pending::<()>().await;
                    }
                })
            });
            futures::future::select_all(changes).await;
            Done::References
        }));
    }

    fn probe(&mut self, pod: &Pod, now: Timestamp) {
        let due = self.probes.begin(&self.node, pod, &mut self.seen, now);
        for tick in due {
            self.ops.push(Box::pin(async move { Done::Probed(tick.await) }));
        }
    }

    /// Events about containers that wait, and when the words of the status change by themselves.
    fn announce(&mut self, pod: &Pod, now: Timestamp) -> Option<Timestamp> {
        let mut next: Option<Timestamp> = None;
        if self.seen.ending_since.is_some() {
            return None;
        }
        for container in spec::containers(pod) {
            let name = container.name();
            if let Some(failure) = self.seen.failures.get(name)
                && let Some((reason, _)) = &failure.waiting
                && failure.retry_at > now
            {
                let settles = later(failure.since, FRESH);
                if settles > now {
                    next = Some(next.map_or(settles, |n| n.min(settles)));
                } else if self.announced.insert(format!("{name}/{}", failure.since)) {
                    let words = format!("Back-off pulling image {:?}", container.image());
                    self.node.event(pod, Some(name), Severity::Normal, "BackOff", words);
                    self.node.event(pod, Some(name), Severity::Warning, "Failed", format!("Error: {reason}"));
                }
            }
            let Some(last) = self.seen.current(name) else { continue };
            if let ContainerState::Exited { finished_at, exit_code, .. } = last.state
                && spec::restarts(pod, container, exit_code)
                && self.seen.held_back_until(name, finished_at, now).is_some()
                && self.announced.insert(last.id.clone())
            {
                let words = format!("Back-off restarting failed container {name} in pod {}", spec::display(pod));
                self.node.event(pod, Some(name), Severity::Warning, "BackOff", words);
            }
        }
        next
    }

    /// Writes the status when it is not what the object says; the time to look again when that has to wait.
    fn report(&mut self, pod: &Pod, stored: &Arc<Stored>, now: Timestamp) -> Option<Timestamp> {
        if self.report.writing || self.seen.gone || self.report.retry_at.is_some_and(|at| at > now) {
            return None;
        }
        if self.is_beginning() && self.seen.ending_since.is_none() {
            let until = *self.report.hold_until.get_or_insert_with(|| later(now, BEGINNING));
            if until > now {
                return Some(until);
            }
        } else {
            self.report.hold_until = None;
        }
        let new = status::generate(pod, &self.seen, &self.node.host_ips, &self.node.runtime_name, now);
        if pod.status.as_ref() == Some(&new) {
            return None;
        }
        let value = serde_json::to_value(&new).ok()?;
        let fingerprint = fingerprint(&value);
        if self.report.written == Some((stored.revision, fingerprint)) {
            return None;
        }
        self.report.writing = true;
        self.report.written = Some((Revision(0), fingerprint));
        let (client, key) = (self.node.client.clone(), stored.key.clone());
        let patch = replacing(value, stored);
        self.ops.push(Box::pin(async move {
            Done::Reported(client.patch(&PODS, &key, Some("status"), patch, &WriteOptions::default()).await)
        }));
        None
    }

    /// Everything is down: remove what is left of a deleted pod, and then its object.
    fn finish(&mut self, pod: &Arc<Pod>) {
        let deleted = self.seen.gone || pod.metadata.deletion_timestamp.is_some();
        let now = self.node.ambient.clock.now();
        let settled = self.seen.gone || !self.report.writing;
        if !deleted || !settled || self.finish != Finish::No {
            return;
        }
        let last = status::generate(pod, &self.seen, &self.node.host_ips, &self.node.runtime_name, now);
        let print = serde_json::to_value(&last).map(|v| fingerprint(&v)).unwrap_or_default();
        let told = self.report.written.is_some_and(|(revision, p)| revision != Revision(0) && p == print);
        let refused = self.report.failures >= GIVE_UP;
        if !self.seen.gone && pod.status.as_ref() != Some(&last) && !told && !refused {
            return;
        }
        self.finish = Finish::Cleaning;
        let (node, pod, gone) = (self.node.clone(), pod.clone(), self.seen.gone);
        let sandboxes: Vec<_> = self.seen.sandboxes.iter().map(|s| s.id.clone()).collect();
        self.ops.push(Box::pin(async move {
            let result = if gone { Ok(()) } else { delete(&node, &pod).await };
            if result.is_ok() {
                for id in sandboxes {
                    drop(node.runtime.remove_sandbox(&id).await);
                }
                volume::tear_down(&node, pod.metadata.uid.as_deref().unwrap_or_default()).await;
            }
            Done::Finished(result)
        }));
    }

    fn look_again(&self) {
        self.shared.inbox.lock().runtime_changed = true;
    }

    fn warn(&self, reason: &'static str, message: String) {
        let stored = self.shared.inbox.lock().pod.clone();
        if let Ok(pod) = stored.decode::<Pod>() {
            self.node.event(&pod, None, Severity::Warning, reason, message);
        }
    }
}

/// Deletes the object now, if it is still this pod.
async fn delete(node: &Node, pod: &Pod) -> Result<(), orch_api::StatusError> {
    use orch_api::Object;
    let options =
        DeleteOptions { uid: Some(pod.uid().into()), grace_period_seconds: Some(0), ..DeleteOptions::default() };
    match node.client.delete(&PODS, &pod.key(), &options).await {
        Err(error) if error.is_not_found() => Ok(()),
        // Either the name belongs to another pod by now, or somebody else wrote at the same time.
        Err(error) if error.is_conflict() => match node.client.get(&PODS, &pod.key(), None).await {
            Ok(found) if *found.meta.uid == *pod.uid() => Err(error),
            Err(unknown) if !unknown.is_not_found() => Err(unknown),
            _ => Ok(()),
        },
        other => other.map(drop),
    }
}

/// The patch that gives an object another status, if it is still the one that was read. It says no more than that, so that
/// nobody has to read the rest.
fn replacing(status: serde_json::Value, stored: &Stored) -> Patch {
    Patch::Json(serde_json::json!([
        {"op": "replace", "path": "/metadata/resourceVersion", "value": stored.revision.to_string()},
        {"op": "add", "path": "/status", "value": status},
    ]))
}

fn fingerprint(value: &serde_json::Value) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    hasher.write(value.to_string().as_bytes());
    hasher.finish()
}

impl crate::env::Lookups for BTreeMap<(Gvr, Key), Followed> {
    fn lookup(&self, resource: &Gvr, key: &Key) -> Lookup {
        self.get(&(resource.clone(), key.clone())).map_or(Lookup::Absent, Followed::get)
    }
}
