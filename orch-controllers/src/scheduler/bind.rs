//! [`Binder`]: the IO of the scheduler. Binds chosen pods and says why others wait.

use super::{
    cycle::Refusal,
    guard::{Guard, Point},
    state::{Assumed, State},
};
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use orch_api::{Object, StatusError};
use orch_runtime::{
    executor::Recorder,
    plan::{EventKind, Notice},
    scheduler::{Binding, Cycle, Permitted, PodInfo, PreBind},
};
use orch_store::{
    Ambient, Client, Informer, Informers, Tasks,
    client::{Patch, WriteOptions},
};
use serde_json::json;
use std::sync::Arc;
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
}

struct Outcome {
    assumed: Assumed,
    result: Result<(), StatusError>,
    /// Whether it is not counted among those under way.
    waits: bool,
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
        self.tasks.spawn(async move {
            let result = bind(&guard, &*client, &informers, &assumed).await;
            let _ = report.send(Outcome { assumed, result, waits });
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

    /// Writes the pod's condition, if it says something new, and an event.
    pub(super) fn refuse(&self, pod: &Arc<PodInfo>, refusal: Refusal) {
        self.record(pod, EventKind::Warning, "FailedScheduling", &refusal.message);
        if *pod.refusal == refusal.message && refusal.nominated.is_none() {
            return;
        }
        let (client, pod, now) = (self.client.clone(), pod.clone(), self.ambient.clock.now());
        self.tasks.spawn(async move {
            let now = jiff::fmt::temporal::DateTimePrinter::new().precision(Some(0)).timestamp_to_string(&now);
            let reason = if refusal.failed { "SchedulerError" } else { "Unschedulable" };
            let mut status = json!({ "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": reason, "message": refusal.message,
                "lastProbeTime": null, "lastTransitionTime": now,
            }]});
            if let Some(node) = &refusal.nominated {
                status["nominatedNodeName"] = json!(node);
            }
            let patch = Patch::Strategic(json!({ "metadata": { "uid": &*pod.uid }, "status": status }));
            let options = WriteOptions { field_manager: "kube-scheduler".into(), ..WriteOptions::default() };
            if let Err(error) = client.patch(&Pod::gvr(), &pod.key, Some("status"), patch, &options).await {
                tracing::debug!(%error, pod = %pod.key, "the scheduling condition was not written");
            }
        });
    }

    fn settle(&mut self, outcome: Outcome, state: &mut State, ambient: &Ambient) {
        let Outcome { assumed, result, waits } = outcome;
        self.under_way -= usize::from(!waits);
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
                self.record(&pod, EventKind::Warning, "FailedScheduling", error.message());
                let live = self.pods.get(&pod.key).filter(|p| p.meta.uid == pod.uid);
                let pending =
                    live.and_then(|p| PodInfo::read(&p).ok()).is_some_and(|p| p.node.is_empty() && !p.deleting);
                state.unbind(assumed, pending && !error.is_not_found(), ambient.clock.now());
            }
        }
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

async fn bind(guard: &Guard, client: &dyn Client, informers: &Informers, assumed: &Assumed) -> Result<(), StatusError> {
    let (pod, node, points) = (&assumed.queued.pod, &assumed.node, &assumed.profile.points);
    let cycle = &assumed.cycle;
    for plugin in &points.permit {
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
    let binding = Binding { client, informers, cycle, pod, node };
    for plugin in &points.pre_bind {
        if needs(guard, &**plugin, cycle)? {
            let prepared = guard.wait(Point::PreBind, plugin.name(), async { plugin.pre_bind(&binding).await });
            prepared.await.map_err(StatusError::internal)??;
        }
    }
    for plugin in &points.bind {
        let bound = guard.wait(Point::Bind, plugin.name(), async { plugin.bind(client, pod, node).await });
        if bound.await.map_err(StatusError::internal)?? {
            return Ok(());
        }
    }
    Err(StatusError::internal("no plugin binds pods"))
}
