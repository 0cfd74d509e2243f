//! Stopping one container: the preStop hook, then the stop signal, then the kill
//! (`kuberuntime_container.go`, killContainer).

use super::{action::KillReason, spec};
use crate::{agent::context::Node, event::Severity, probe::resolve_lifecycle};
use k8s_openapi::api::core::v1::Pod;
use std::{net::IpAddr, sync::Arc, time::Duration};

/// What a container gets at least after its stop signal.
const MINIMUM: Duration = Duration::from_secs(2);

pub(super) struct Stop {
    pub(super) node: Arc<Node>,
    pub(super) pod: Arc<Pod>,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) ip: Option<IpAddr>,
    pub(super) grace: Duration,
    pub(super) reason: KillReason,
    /// An earlier stop with a longer grace period is under way.
    pub(super) again: bool,
}

impl Stop {
    pub(super) async fn run(self) {
        let begun = tokio::time::Instant::now();
        if !self.again {
            let words = self.reason.message(&self.name);
            self.node.event(&self.pod, Some(&self.name), Severity::Normal, "Killing", words);
            self.pre_stop().await;
        }
        let left = self.grace.saturating_sub(begun.elapsed()).max(MINIMUM);
        if let Err(error) = self.node.runtime.stop_container(&self.id, left).await {
            let words = format!("error killing pod: failed to stop container {}: {error}", self.name);
            self.node.event(&self.pod, None, Severity::Warning, "FailedKillPod", words);
            // The worker looks again and plans another try; this keeps it from spinning.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn pre_stop(&self) {
        let Some(of) = spec::container(&self.pod, &self.name) else { return };
        let Some(hook) = of.container.lifecycle.as_ref().and_then(|l| l.pre_stop.as_ref()) else { return };
        let done = match resolve_lifecycle(hook, of.container, &self.id, self.ip) {
            Ok(check) => match tokio::time::timeout(self.grace, self.node.prober.check(&check)).await {
                Ok(result) => result,
                Err(_) => Err("the grace period is over".into()),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            tracing::debug!(container = self.id, error, "preStop hook failed");
            let words = "PreStopHook failed".to_owned();
            self.node.event(&self.pod, Some(&self.name), Severity::Warning, "FailedPreStopHook", words);
        }
    }
}
