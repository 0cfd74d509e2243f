//! The probes of one pod: which are due, and what their verdicts change.

use super::{
    backoff::{later, until},
    observed::{Health, Observed},
    spec,
};
use crate::{
    agent::context::Node,
    event::Severity,
    probe::{Kind, Machine, Settings, resolve},
};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use orch_runtime::node::container::ContainerState;
use orch_store::Chance;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// State of the probes of a pod's running containers.
pub(super) struct Probes {
    chance: Chance,
    slots: BTreeMap<(String, Kind), Slot>,
}

#[derive(Default)]
struct Slot {
    machine: Machine,
    in_flight: bool,
    last: Option<Timestamp>,
}

/// A probe that was made.
pub(super) struct Tick {
    container: String,
    kind: Kind,
    at: Timestamp,
    result: Result<(), String>,
}

impl Probes {
    pub(super) fn new(chance: Chance) -> Self {
        Self { chance, slots: BTreeMap::new() }
    }

    /// Begins every probe that is neither under way nor decided for good.
    pub(super) fn begin(
        &mut self,
        node: &Arc<Node>,
        pod: &Pod,
        seen: &mut Observed,
        now: Timestamp,
    ) -> Vec<BoxFuture<'static, Tick>> {
        let mut ticks = Vec::new();
        let Some(sandbox) = seen.sandboxes.first().cloned() else { return ticks };
        let ip = match spec::host_network(pod) {
            true => node.host_ips.first().copied(),
            false => sandbox.ips.first().copied(),
        };
        self.slots.retain(|(id, _), _| sandbox.containers.iter().any(|c| c.id == *id));
        for container in &sandbox.containers {
            let ContainerState::Running { started_at, .. } = container.state else { continue };
            let Some(of) = spec::container(pod, &container.name) else { continue };
            if of.role == spec::Role::Init || seen.busy.starting.contains(&container.name) {
                continue;
            }
            let initial = || first_health(pod, of.container, &format!("{}://{}", node.runtime_name, container.id));
            let health = *seen.health.entry(container.id.clone()).or_insert_with(initial);
            for (kind, probe) in wanted(of.container, health, seen.ending_since.is_some()) {
                let slot = self.slots.entry((container.id.clone(), kind)).or_default();
                if std::mem::replace(&mut slot.in_flight, true) {
                    continue;
                }
                let settings = Settings::of(probe);
                let due = due(slot.last, started_at, now, &settings, &self.chance);
                ticks.push(tick(node.clone(), probe, of.container, container.id.clone(), kind, ip, until(now, due)));
            }
        }
        ticks
    }

    /// Takes the result of a probe.
    pub(super) fn end(&mut self, node: &Node, pod: &Pod, seen: &mut Observed, tick: Tick) {
        let Some(slot) = self.slots.get_mut(&(tick.container.clone(), tick.kind)) else { return };
        slot.in_flight = false;
        slot.last = Some(tick.at);
        let name = seen.running().find(|c| c.id == tick.container).map(|c| c.name.clone());
        let (Some(name), Some(health)) = (name, seen.health.get_mut(&tick.container)) else { return };
        let Some(of) = spec::container(pod, &name) else { return };
        let Some(probe) = probe_of(of.container, tick.kind) else { return };
        if let Err(output) = &tick.result {
            let words = format!("{} probe failed: {output}", tick.kind.word());
            node.event(pod, Some(&name), Severity::Warning, "Unhealthy", words);
        }
        let Some(verdict) = slot.machine.feed(tick.result.is_ok(), &Settings::of(probe)) else { return };
        match tick.kind {
            Kind::Startup => health.startup = Some(verdict),
            Kind::Liveness => health.live = verdict,
            Kind::Readiness => health.ready = verdict,
        }
    }
}

/// What is assumed of a container before its first probe: what the API says of this very container, so that
/// a restarted agent does not declare healthy pods unready.
fn first_health(pod: &Pod, container: &Container, id: &str) -> Health {
    let status = pod.status.as_ref();
    let known = status
        .into_iter()
        .flat_map(|s| s.container_statuses.iter().chain(&s.init_container_statuses).flatten())
        .find(|s| s.container_id.as_deref() == Some(id));
    let started = container.startup_probe.is_none() || known.is_some_and(|k| k.started == Some(true));
    let ready = container.readiness_probe.is_none() || known.is_some_and(|k| k.ready);
    Health { startup: started.then_some(true), live: true, ready }
}

fn wanted(container: &Container, health: Health, ending: bool) -> Vec<(Kind, &Probe)> {
    let kinds: &[Kind] = match health.startup {
        _ if ending => &[Kind::Readiness],
        Some(true) => &[Kind::Liveness, Kind::Readiness],
        Some(false) => &[],
        None => &[Kind::Startup],
    };
    kinds.iter().filter_map(|kind| Some((*kind, probe_of(container, *kind)?))).collect()
}

fn probe_of(container: &Container, kind: Kind) -> Option<&Probe> {
    match kind {
        Kind::Startup => container.startup_probe.as_ref(),
        Kind::Liveness => container.liveness_probe.as_ref(),
        Kind::Readiness => container.readiness_probe.as_ref(),
    }
}

/// A first probe comes after the initial delay; that of a container which runs already (the agent was
/// restarted) at a random moment of its period, so that they do not all come at once.
fn due(last: Option<Timestamp>, started: Timestamp, now: Timestamp, settings: &Settings, chance: &Chance) -> Timestamp {
    if let Some(last) = last {
        return later(last, settings.period);
    }
    let first = later(started, settings.initial_delay);
    if now.duration_since(first) > SignedDuration::from_secs(10) {
        return later(now, settings.period.mul_f64(chance.fraction()));
    }
    first
}

fn tick(
    node: Arc<Node>,
    probe: &Probe,
    container: &Container,
    id: String,
    kind: Kind,
    ip: Option<std::net::IpAddr>,
    wait: Duration,
) -> BoxFuture<'static, Tick> {
    let (check, timeout) = (resolve(probe, container, &id, ip), Settings::of(probe).timeout);
    Box::pin(async move {
        tokio::time::sleep(wait).await;
        let at = node.ambient.clock.now();
        let result = match check {
            Err(error) => Err(error),
            Ok(check) => match tokio::time::timeout(timeout, node.prober.check(&check)).await {
                Ok(result) => result,
                Err(_) => Err(format!("command timed out: probe timed out after {}s", timeout.as_secs())),
            },
        };
        Tick { container: id, kind, at, result }
    })
}
