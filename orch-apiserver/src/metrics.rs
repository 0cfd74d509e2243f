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
        let mut registry = Registry::default();
        registry.register("apiserver_request", "Requests by verb, resource and status code", requests.clone());
        registry.register("apiserver_request_duration_seconds", "How long requests took", durations.clone());
        registry.register("apiserver_longrunning_requests", "Watches that are being served", watches.clone());
        Self { requests, durations, watches, registry: registry.into() }
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

    /// The text form.
    pub fn render(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(error) => format!("# {error}\n"),
        }
    }
}
