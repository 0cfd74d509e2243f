//! Faults that happen at a time and not to a request: the host carries them out.

use super::{fault::Fault, host::Host, injector::Death};
use jiff::SignedDuration;
use std::{sync::Arc, time::Duration};

/// Plans a fault whose times count from `from_ms` after the beginning.
pub(super) fn plan(host: &Arc<Host>, fault: Fault) {
    let (at, lasts) = match &fault {
        Fault::CrashAt { at_ms, .. }
        | Fault::Takeover { at_ms, .. }
        | Fault::Exit { at_ms, .. }
        | Fault::ClockJump { at_ms, .. } => (*at_ms, 0),
        Fault::NodeLoss { at_ms, for_ms, .. }
        | Fault::Unhealthy { at_ms, for_ms, .. }
        | Fault::NoImages { at_ms, for_ms, .. }
        | Fault::ServerRestart { at_ms, for_ms } => (*at_ms, *for_ms),
        _ => return,
    };
    let wait = Duration::from_millis(at.saturating_sub(host.injector.elapsed_ms()));
    let worker = host.clone();
    host.ambient.tasks.spawn(async move {
        tokio::time::sleep(wait).await;
        begin(&worker, &fault).await;
        if lasts > 0 {
            tokio::time::sleep(Duration::from_millis(lasts)).await;
            end(&worker, &fault).await;
        }
    });
}

async fn begin(host: &Arc<Host>, fault: &Fault) {
    host.observer.note(format_args!("fault: {fault}"));
    match fault {
        Fault::CrashAt { who, down_ms, .. } => {
            host.crash(who, Death { down: Duration::from_millis(*down_ms), stale: None });
        }
        Fault::Takeover { who, .. } => host.take_over(who).await,
        Fault::Exit { node, code, .. } => {
            if let Some(runtime) = host.runtime(node) {
                let running = runtime.running();
                let chosen = host.ambient.chance.child(&fault.to_string()).below(running.len() as u64);
                if let Some(container) = usize::try_from(chosen).ok().and_then(|chosen| running.get(chosen)) {
                    runtime.exit(container, *code);
                }
            }
        }
        Fault::ClockJump { by_ms, .. } => host.ambient.clock.jump(SignedDuration::from_millis(*by_ms)),
        Fault::NodeLoss { node, for_ms, .. } => {
            if let Some(runtime) = host.runtime(node) {
                runtime.lose_everything();
            }
            match for_ms {
                0 => host.bury(node),
                lasts => host.crash(node, Death { down: Duration::from_millis(*lasts), stale: None }),
            }
        }
        Fault::Unhealthy { node, .. } => trouble(host, node, |trouble| trouble.probes = true),
        Fault::NoImages { node, .. } => {
            trouble(host, node, |trouble| trouble.pulls = Some("the registry cannot be reached".into()));
        }
        Fault::ServerRestart { .. } => host.stop_server(),
        _ => {}
    }
}

async fn end(host: &Arc<Host>, fault: &Fault) {
    match fault {
        Fault::Unhealthy { node, .. } => trouble(host, node, |trouble| trouble.probes = false),
        Fault::NoImages { node, .. } => trouble(host, node, |trouble| trouble.pulls = None),
        Fault::ServerRestart { .. } => {
            // The disk may fail as well; a server that cannot start is started again.
            while let Err(error) = host.start_server().await {
                tracing::debug!(%error, "the API server did not start");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            host.observer.note("the API server is back");
        }
        _ => {}
    }
}

fn trouble(host: &Host, node: &str, change: impl FnOnce(&mut orch_node::simulated::Trouble)) {
    if let Some(runtime) = host.runtime(node) {
        runtime.trouble(change);
    }
}
