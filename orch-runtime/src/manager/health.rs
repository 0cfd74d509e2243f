//! [`Endpoints`]: `/metrics`, `/healthz`, `/livez` and `/readyz`, with the words of kube-apiserver's.

use crate::{
    http::{self, Answer},
    metrics::Prometheus,
};
use orch_store::Tasks;
use std::{fmt::Write, io, net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;

/// Says whether something is well, or what is wrong. Asked at every request: it must answer at once.
pub trait Check: Fn() -> Result<(), String> + Send + Sync + 'static {}

impl<F: Fn() -> Result<(), String> + Send + Sync + 'static> Check for F {}

type Named = (&'static str, Arc<dyn Fn() -> Result<(), String> + Send + Sync>);

/// What is served about a program. Cheap to clone.
#[derive(Clone)]
pub struct Endpoints {
    metrics: Prometheus,
    health: Vec<Named>,
    ready: Vec<Named>,
}

impl Endpoints {
    /// No checks but that the process answers.
    pub fn new(metrics: Prometheus) -> Self {
        let ping: Named = ("ping", Arc::new(|| Ok(())));
        Self { metrics, health: vec![ping.clone()], ready: vec![ping] }
    }

    pub(super) fn add_health(&mut self, name: &'static str, check: impl Check) {
        self.health.push((name, Arc::new(check)));
    }

    pub(super) fn add_ready(&mut self, name: &'static str, check: impl Check) {
        self.ready.push((name, Arc::new(check)));
    }

    /// The metrics that are served.
    pub fn metrics(&self) -> &Prometheus {
        &self.metrics
    }

    /// What stands at a path, with `?verbose` or without.
    pub fn answer(&self, path: &str, query: &str) -> Answer {
        let (root, one) = match path.trim_start_matches('/').split_once('/') {
            Some((root, one)) => (root, Some(one)),
            None => (path.trim_start_matches('/'), None),
        };
        match root {
            "metrics" if one.is_none() => {
                let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                Answer { status: 200, content_type: kind, body: self.metrics.text().into() }
            }
            "healthz" | "livez" => checked(root, &self.health, one, query),
            "readyz" => checked(root, &self.ready, one, query),
            _ => Answer::text(404, "404 page not found\n"),
        }
    }

    /// Listens until the tasks are stopped. Resolves with the address when it can be reached.
    pub async fn listen(self, address: SocketAddr, tasks: &Tasks) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let handler: http::Handler = Arc::new(move |request| {
            let answer = self.answer(request.uri().path(), request.uri().query().unwrap_or_default());
            Box::pin(async move { answer })
        });
        tasks.spawn_graceful(http::serve(listener, None, handler, tasks.clone()));
        Ok(address)
    }
}

fn checked(root: &str, checks: &[Named], one: Option<&str>, query: &str) -> Answer {
    let chosen: Vec<&Named> = checks.iter().filter(|(name, _)| one.is_none_or(|one| one == *name)).collect();
    if chosen.is_empty() {
        return Answer::text(404, "404 page not found\n");
    }
    let (mut words, mut well) = (String::new(), true);
    for (name, check) in chosen {
        // Writing to a string does not fail.
        let _ = match check() {
            Ok(()) => writeln!(words, "[+]{name} ok"),
            Err(why) => {
                well = false;
                tracing::debug!(check = name, why, "not well");
                writeln!(words, "[-]{name} failed: {why}")
            }
        };
    }
    match (well, query.split('&').any(|q| q.split('=').next() == Some("verbose"))) {
        (true, false) => Answer::text(200, "ok"),
        (true, true) => Answer::text(200, format!("{words}{root} check passed\n")),
        (false, _) => Answer::text(500, format!("{words}{root} check failed\n")),
    }
}
