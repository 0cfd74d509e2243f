//! [`Binder`]: the IO of the scheduler. Binds chosen pods and says why others wait.

use super::{
    condition,
    cycle::Refusal,
    evict::{evict, patch},
    guard::{Guard, Point},
    recall::Recall,
    state::{Assumed, Eviction, State},
    words,
};
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use orch_api::StatusError;
use orch_runtime::{
    executor::Recorder,
    plan::{EventKind, Notice},
    scheduler::{Binding, Cycle, Permitted, PodInfo, PreBind},
};
use orch_store::{Ambient, Client, Informer, Informers, Tasks};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::mpsc;

/// Bindings under way at once, without those that wait for something else than a request.
const MOST_BINDINGS: usize = 256;

/// Performs what the state decided.
pub(super) struct Binder {
    client: Arc<dyn Client>,
    informers: Informers,
    guard: Guard,
    pods: Informer,
    tasks: Tasks,
    recorder: Recorder,
    ambient: Ambient,
    results: mpsc::UnboundedReceiver<Outcome>,
    report: mpsc::UnboundedSender<Outcome>,
    under_way: usize,
    /// The bindings of pods that may wait before they are bound, by UID.
    recalls: HashMap<Arc<str>, Arc<Recall>>,
}

/// What became of something that was done beside the loop.
enum Outcome {
    Bound {
        assumed: Assumed,
        result: Result<(), StatusError>,
        /// Whether it is not counted among those under way.
        waits: bool,
    },
    /// Victims were told to go: those of them that do, and whether all were told.
    Evicted(Eviction, Vec<Arc<PodInfo>>, Result<(), StatusError>),
}

impl Binder {
    pub(super) fn new(informers: Informers, ambient: &Ambient, guard: Guard) -> Self {
        let (report, results) = mpsc::unbounded_channel();
        let client = informers.client().clone();
        Self {
            recorder: Recorder::new(client.clone(), ambient, "default-scheduler"),
            client,
            pods: informers.of::<Pod>(),
            informers,
            guard,
            tasks: ambient.tasks.clone(),
            ambient: ambient.clone(),
            results,
            report,
            under_way: 0,
            recalls: HashMap::new(),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.under_way >= MOST_BINDINGS
    }

    /// Binds in the background; [`Binder::finished`] takes the outcome back.
    pub(super) fn bind(&mut self, assumed: Assumed) {
        let guard = self.guard.clone();
        let waits = waits(&guard, &assumed);
        self.under_way += usize::from(!waits);
        let (client, informers, report) = (self.client.clone(), self.informers.clone(), self.report.clone());
        let recall = (waits || !assumed.profile.points.permit.is_empty()).then(|| Arc::new(Recall::new()));
        if let Some(recall) = &recall {
            self.recalls.insert(assumed.queued.pod.uid.clone(), recall.clone());
        }
        self.tasks.spawn(async move {
            let binding = Binding {
                client: &*client,
                informers: &informers,
                cycle: &assumed.cycle,
                pod: &assumed.queued.pod,
                node: &assumed.node,
            };
            let result = match recall {
                Some(recall) => bind_unless(&recall, &guard, &binding, &assumed, waits).await,
                None => bind(&guard, &binding, &assumed).await,
            };
            let _ = report.send(Outcome::Bound { assumed, result, waits });
        });
    }

    /// Waits for an outcome; never resolves while nothing is under way.
    pub(super) async fn finished(&mut self, state: &mut State, ambient: &Ambient) {
        if let Some(outcome) = self.results.recv().await {
            self.settle(outcome, state, ambient);
        }
    }

    /// Takes all outcomes that are there.
    pub(super) fn drain(&mut self, state: &mut State, ambient: &Ambient) {
        while let Ok(outcome) = self.results.try_recv() {
            self.settle(outcome, state, ambient);
        }
    }

    /// Writes the pod's condition, if it says something new, and an event; then makes room for it.
    pub(super) fn refuse(&self, pod: &Arc<PodInfo>, refusal: &Refusal, eviction: Option<Eviction>) {
        self.record(pod, EventKind::Warning, "FailedScheduling", &words::note(&refusal.message));
        let now = self.ambient.clock.now();
        let said = condition::of_refusal(pod, refusal, now);
        let eviction = eviction.map(|eviction| self.recall(eviction));
        if said.is_none() && eviction.is_none() {
            return;
        }
        let (client, pod, report) = (self.client.clone(), pod.clone(), self.report.clone());
        self.tasks.spawn(async move {
            if let Some(said) = said
                && let Err(error) = patch(&*client, &pod, said).await
            {
                tracing::debug!(%error, pod = %pod.key, "the scheduling condition was not written");
            }
            if let Some(eviction) = eviction {
                let (going, result) = evict(&*client, &eviction, now).await;
                let _ = report.send(Outcome::Evicted(eviction, going, result));
            }
        });
    }

    /// Calls off the bindings of victims that still wait; the others are left to be told.
    fn recall(&self, mut eviction: Eviction) -> Eviction {
        let plugin = eviction.room.plugin;
        let is_recalled = |uid: &Arc<str>| self.recalls.get(uid).is_some_and(|recall| recall.call_off(plugin));
        let victims = std::mem::take(&mut eviction.room.victims);
        let (recalled, left): (Vec<_>, Vec<_>) = victims.into_iter().partition(|victim| is_recalled(&victim.uid));
        eviction.room.victims = left;
        recalled.iter().for_each(|victim| self.record_preempted(victim, &eviction, " (in kube-scheduler memory)."));
        eviction
    }

    fn settle(&mut self, outcome: Outcome, state: &mut State, ambient: &Ambient) {
        match outcome {
            Outcome::Bound { assumed, result, waits } => {
                self.under_way -= usize::from(!waits);
                self.recalls.remove(&assumed.queued.pod.uid);
                self.settle_binding(assumed, result, state, ambient);
            }
            Outcome::Evicted(eviction, going, result) => {
                if let Err(error) = &result {
                    tracing::warn!(%error, pod = %eviction.preemptor.key, "not all victims could be told to go");
                }
                state.evicted(&eviction.preemptor.uid, result.is_ok(), ambient.clock.now());
                going.iter().for_each(|victim| self.record_preempted(victim, &eviction, ""));
            }
        }
    }

    fn settle_binding(&self, assumed: Assumed, result: Result<(), StatusError>, state: &mut State, ambient: &Ambient) {
        let pod = assumed.queued.pod.clone();
        match result {
            Ok(()) => {
                let message = format!("Successfully assigned {} to {}", pod.key, assumed.node);
                self.record(&pod, EventKind::Normal, "Scheduled", &message);
                for plugin in &assumed.profile.points.post_bind {
                    let tell = || plugin.post_bind(&pod, &assumed.node);
                    // The pod is bound, whatever a plugin makes of it.
                    let _ = self.guard.call(Point::PostBind, || plugin.name(), tell);
                }
            }
            Err(error) => {
                let live = self.pods.get(&pod.key).filter(|p| p.meta.uid == pod.uid);
                let live = live.and_then(|p| PodInfo::read(&p).ok()).map(Arc::new);
                let pending = live.filter(|p| p.node.is_empty() && !p.deleting && !error.is_not_found());
                match &pending {
                    Some(live) => {
                        let refusal = Refusal::plain(error.message().to_owned(), Vec::new());
                        self.refuse(live, &Refusal { failed: true, ..refusal }, None);
                    }
                    None => self.record(&pod, EventKind::Warning, "FailedScheduling", error.message()),
                }
                state.unbind(assumed, pending.is_some(), ambient.clock.now());
            }
        }
    }

    fn record_preempted(&self, victim: &PodInfo, eviction: &Eviction, how: &str) {
        let message = format!("Preempted by pod {} on node {}{how}", eviction.preemptor.uid, eviction.room.node);
        self.record(victim, EventKind::Normal, "Preempted", &message);
    }

    fn record(&self, pod: &PodInfo, kind: EventKind, reason: &str, message: &str) {
        let regarding = ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            namespace: Some(pod.key.namespace.to_string()),
            name: Some(pod.key.name.to_string()),
            uid: Some(pod.uid.to_string()),
            ..ObjectReference::default()
        };
        self.recorder.record(Notice { regarding, kind, reason: reason.into(), message: message.into() });
    }
}

/// Whether a plugin may have the pod wait for long.
fn waits(guard: &Guard, assumed: &Assumed) -> bool {
    // One that panics is asked again, and named, by the binding.
    assumed.profile.points.pre_bind.iter().any(|plugin| needs(guard, &**plugin, &assumed.cycle).unwrap_or(false))
}

fn needs(guard: &Guard, plugin: &dyn PreBind, cycle: &Cycle) -> Result<bool, StatusError> {
    guard.call(Point::PreBind, || plugin.name(), || plugin.is_needed(cycle)).map_err(StatusError::internal)
}

/// Binds a pod that may wait before, unless it is called off. Its status names the node meanwhile (KEP-5278).
async fn bind_unless(
    recall: &Recall,
    guard: &Guard,
    binding: &Binding<'_>,
    assumed: &Assumed,
    waits: bool,
) -> Result<(), StatusError> {
    let prepared = async {
        if waits
            && let Err(error) =
                patch(binding.client, binding.pod, condition::of_nomination(binding.pod, Some(binding.node))).await
        {
            tracing::debug!(%error, pod = %binding.pod.key, "the node that it waits for was not written");
        }
        permit(guard, binding, assumed).await?;
        recall.permitted();
        prepare(guard, binding, assumed).await
    };
    tokio::select! {
        biased;
        why = recall.called_off() => return Err(StatusError::internal(why)),
        prepared = prepared => prepared?,
    }
    recall.prepared().map_err(StatusError::internal)?;
    complete(guard, binding, assumed).await
}

async fn bind(guard: &Guard, binding: &Binding<'_>, assumed: &Assumed) -> Result<(), StatusError> {
    permit(guard, binding, assumed).await?;
    prepare(guard, binding, assumed).await?;
    complete(guard, binding, assumed).await
}

async fn permit(guard: &Guard, binding: &Binding<'_>, assumed: &Assumed) -> Result<(), StatusError> {
    let Binding { cycle, pod, node, .. } = *binding;
    for plugin in &assumed.profile.points.permit {
        let refused = |r: orch_runtime::scheduler::Rejection| StatusError::internal(r.reasons.join(", "));
        let permitted = guard.call(Point::Permit, || plugin.name(), || plugin.permit(cycle, pod, node));
        match permitted.map_err(StatusError::internal)? {
            Permitted::Allow => {}
            Permitted::Reject(rejection) => return Err(refused(rejection)),
            Permitted::Wait(most) => {
                let ready = guard.wait(Point::Permit, plugin.name(), async { plugin.ready(pod, node).await });
                match tokio::time::timeout(most, ready).await {
                    Ok(ready) => ready.map_err(StatusError::internal)?.map_err(refused)?,
                    Err(_) => return Err(StatusError::internal(format_args!("timeout waiting on {}", plugin.name()))),
                }
            }
        }
    }
    Ok(())
}

async fn prepare(guard: &Guard, binding: &Binding<'_>, assumed: &Assumed) -> Result<(), StatusError> {
    for plugin in &assumed.profile.points.pre_bind {
        if needs(guard, &**plugin, binding.cycle)? {
            let prepared = guard.wait(Point::PreBind, plugin.name(), async { plugin.pre_bind(binding).await });
            prepared.await.map_err(StatusError::internal)??;
        }
    }
    Ok(())
}

async fn complete(guard: &Guard, binding: &Binding<'_>, assumed: &Assumed) -> Result<(), StatusError> {
    let Binding { client, pod, node, .. } = *binding;
    for plugin in &assumed.profile.points.bind {
        let bound = guard.wait(Point::Bind, plugin.name(), async { plugin.bind(client, pod, node).await });
        if bound.await.map_err(StatusError::internal)?? {
            return Ok(());
        }
    }
    Err(StatusError::internal("no plugin binds pods"))
}
