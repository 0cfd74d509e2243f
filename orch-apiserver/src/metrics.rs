//! What `/metrics` shows, in the names of kube-apiserver.

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use std::time::Duration;

/// The metrics of a server. Cheap to clone: clones share.
#[derive(Clone)]
pub struct Metrics {
    requests: Family<Request, Counter>,
    durations: Family<Path, Histogram, fn() -> Histogram>,
    watches: Family<Path, Gauge>,
    webhooks: Family<Webhook, Histogram, fn() -> Histogram>,
    webhooks_failed_open: Family<FailedOpen, Counter>,
    registry: std::sync::Arc<Registry>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    verb: String,
    group: String,
    version: String,
    resource: String,
    code: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Path {
    verb: String,
    resource: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Webhook {
    name: String,
    r#type: &'static str,
    operation: &'static str,
    rejected: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FailedOpen {
    name: String,
    r#type: &'static str,
}

/// A watch that is being served; counted as long as it lives.
pub struct WatchGuard(Gauge);

impl Drop for WatchGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 2.0, 20))
}

impl Default for Metrics {
    fn default() -> Self {
        let requests = Family::default();
        let durations = Family::new_with_constructor(buckets as fn() -> Histogram);
        let watches = Family::default();
        let webhooks = Family::new_with_constructor(buckets as fn() -> Histogram);
        let webhooks_failed_open = Family::default();
        let mut registry = Registry::default();
        registry.register("apiserver_request", "Requests by verb, resource and status code", requests.clone());
        registry.register("apiserver_request_duration_seconds", "How long requests took", durations.clone());
        registry.register("apiserver_longrunning_requests", "Watches that are being served", watches.clone());
        let name = "apiserver_admission_webhook_admission_duration_seconds";
        registry.register(name, "How long webhooks took, and whether they refused", webhooks.clone());
        let name = "apiserver_admission_webhook_fail_open";
        registry.register(name, "Webhooks whose failure was ignored", webhooks_failed_open.clone());
        Self { requests, durations, watches, webhooks, webhooks_failed_open, registry: registry.into() }
    }
}

impl Metrics {
    /// Counts a finished request. The resource must be one that the server knows: strings that clients make up
    /// are no labels.
    pub fn request(&self, verb: &str, group: &str, version: &str, resource: &str, code: u16, took: Duration) {
        let (verb, resource) = (verb.to_uppercase(), resource.to_owned());
        self.requests
            .get_or_create(&Request {
                verb: verb.clone(),
                group: group.to_owned(),
                version: version.to_owned(),
                resource: resource.clone(),
                code,
            })
            .inc();
        if verb != "WATCH" {
            self.durations.get_or_create(&Path { verb, resource }).observe(took.as_secs_f64());
        }
    }

    /// Counts a watch while it is served.
    pub fn watching(&self, resource: &str) -> WatchGuard {
        let path = Path { verb: "WATCH".into(), resource: resource.to_owned() };
        let gauge = self.watches.get_or_create(&path).clone();
        gauge.inc();
        WatchGuard(gauge)
    }

    /// Counts a question to a webhook. `kind` is `admit` of one that may change the object, else `validating`.
    pub(crate) fn webhook(
        &self,
        name: &str,
        kind: &'static str,
        operation: &'static str,
        rejected: bool,
        took: Duration,
    ) {
        let asked = Webhook { name: name.to_owned(), r#type: kind, operation, rejected: rejected.to_string() };
        self.webhooks.get_or_create(&asked).observe(took.as_secs_f64());
    }

    /// Counts a webhook that failed and was ignored.
    pub(crate) fn webhook_failed_open(&self, name: &str, kind: &'static str) {
        self.webhooks_failed_open.get_or_create(&FailedOpen { name: name.to_owned(), r#type: kind }).inc();
    }

    /// The text form.
    pub fn render(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(error) => format!("# {error}\n"),
        }
    }
}
