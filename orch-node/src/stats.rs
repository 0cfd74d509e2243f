//! What the node's containers use, as `/stats/summary` tells it (`pkg/kubelet/apis/stats/v1alpha1`).
//!
//! Nothing is measured while nobody asks. CPU in use is what was used since the last time that somebody asked at least ten
//! seconds ago, or else since the container began.

use crate::agent::Agent;
use jiff::{SignedDuration, Timestamp};
use orch_runtime::node::container::{Container, ContainerState, Stats};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

/// Over less than that CPU is not measured, unless the container is younger.
const WINDOW: SignedDuration = SignedDuration::from_secs(10);
/// The name under which the node's own use is remembered.
const NODE: &str = "";

/// What was used when, by container.
#[derive(Debug, Default)]
pub struct Usage(Mutex<BTreeMap<String, Marks>>);

/// Two moments at which something was measured, at least [`WINDOW`] apart.
#[derive(Clone, Copy, Debug)]
struct Marks {
    before: Mark,
    last: Mark,
}

/// CPU time that was used up to a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Mark {
    at: Timestamp,
    cpu: Duration,
}

/// CPU in use, and over how long that was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rate {
    nanocores: u64,
    window: Duration,
}

impl Usage {
    /// What is used since an earlier look, given that all of it was used since `start`.
    fn rate(&self, id: &str, start: Timestamp, now: Mark) -> Rate {
        let begin = Mark { at: start, cpu: Duration::ZERO };
        let mut all = self.0.lock();
        let marks = all.entry(id.to_owned()).or_insert(Marks { before: begin, last: begin });
        // A container with that id that has used less is another one.
        if marks.last.cpu > now.cpu || marks.last.at < start {
            *marks = Marks { before: begin, last: begin };
        }
        if now.at.duration_since(marks.last.at) >= WINDOW {
            *marks = Marks { before: marks.last, last: now };
        }
        let since = marks.before;
        let window = Duration::try_from(now.at.duration_since(since.at)).unwrap_or_default();
        let used = now.cpu.saturating_sub(since.cpu);
        let nanocores = (used.as_nanos() * 1_000_000_000).checked_div(window.as_nanos()).unwrap_or_default();
        Rate { nanocores: u64::try_from(nanocores).unwrap_or(u64::MAX), window }
    }

    /// Forgets what is no longer there.
    fn keep(&self, ids: &BTreeSet<String>) {
        self.0.lock().retain(|id, _| ids.contains(id));
    }
}

/// The summary of an agent's node.
pub async fn summary(agent: &Agent) -> Value {
    let node = agent.node();
    let mut pods = Vec::new();
    let mut ids = BTreeSet::from([NODE.to_owned()]);
    let (mut together, mut rates) = (Stats::default(), Rate::default());
    let mut views: Vec<_> = agent.pods().iter().map(|pod| pod.view()).collect();
    views.sort_by(|a, b| a.pod.key.cmp(&b.pod.key));
    for view in views {
        let mut containers = Vec::new();
        let all = view.sandboxes.iter().flat_map(|sandbox| &sandbox.containers);
        for container in all {
            let ContainerState::Running { started_at, .. } = container.state else { continue };
            // One that ended just now is not measured.
            let Ok(stats) = node.runtime.stats(&container.id).await else { continue };
            ids.insert(container.id.clone());
            let rate = rate(agent, container, started_at, &stats);
            together.cpu += stats.cpu;
            together.memory_bytes += stats.memory_bytes;
            rates.nanocores += rate.nanocores;
            rates.window = rates.window.max(rate.window);
            let mut measured = measured(node.ambient.clock.now(), rate, &stats);
            measured["name"] = container.name.as_str().into();
            measured["startTime"] = json!(started_at);
            containers.push(measured);
        }
        let key = &view.pod.key;
        let reference = json!({"name": &*key.name, "namespace": &*key.namespace, "uid": &*view.pod.meta.uid});
        pods.push(json!({"podRef": reference, "containers": containers}));
    }
    node.usage.keep(&ids);
    json!({"node": of_node(agent, &together, rates), "pods": pods})
}

fn rate(agent: &Agent, container: &Container, started_at: Timestamp, stats: &Stats) -> Rate {
    let now = agent.node().ambient.clock.now();
    agent.node().usage.rate(&container.id, started_at, Mark { at: now, cpu: stats.cpu })
}

/// The whole machine where the node is one and the only one, else what its pods use together.
fn of_node(agent: &Agent, pods: &Stats, rates: Rate) -> Value {
    let node = agent.node();
    let now = node.ambient.clock.now();
    let machine = if node.materialize && !node.shares_machine { machine().zip(uptime()) } else { None };
    let mut out = match machine {
        Some((stats, uptime)) => {
            let start = now.saturating_sub(SignedDuration::try_from(uptime).unwrap_or_default()).unwrap_or(now);
            let rate = node.usage.rate(NODE, start, Mark { at: now, cpu: stats.cpu });
            measured(now, rate, &stats)
        }
        None => measured(now, rates, pods),
    };
    out["nodeName"] = (&*node.name).into();
    out
}

fn measured(now: Timestamp, rate: Rate, stats: &Stats) -> Value {
    let total = u64::try_from(stats.cpu.as_nanos()).unwrap_or(u64::MAX);
    json!({
        "cpu": {"time": now, "usageNanoCores": rate.nanocores, "usageCoreNanoSeconds": total,
            "windowNanoSeconds": u64::try_from(rate.window.as_nanos()).unwrap_or(u64::MAX)},
        "memory": {"time": now, "workingSetBytes": stats.memory_bytes},
    })
}

/// What the machine uses, from `/proc`.
fn machine() -> Option<Stats> {
    let cpu = cpu_time(&fs::read_to_string("/proc/stat").ok()?)?;
    let memory_bytes = memory_in_use(&fs::read_to_string("/proc/meminfo").ok()?)?;
    Some(Stats { cpu, memory_bytes, pids: 0 })
}

fn uptime() -> Option<Duration> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    Duration::try_from_secs_f64(text.split(' ').next()?.parse().ok()?).ok()
}

/// All time of all processors that was not idle, from `/proc/stat`, which counts in hundredths of a second.
fn cpu_time(stat: &str) -> Option<Duration> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<u64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
    // User, nice, system, idle, waiting for disks, interrupts, soft interrupts, stolen; guests are in user already.
    let busy: u64 = fields.iter().take(8).enumerate().filter(|(n, _)| *n != 3 && *n != 4).map(|(_, v)| v).sum();
    Some(Duration::from_millis(busy * 10))
}

/// Memory that could not be had by asking, from `/proc/meminfo`.
fn memory_in_use(meminfo: &str) -> Option<u64> {
    let kib = |name: &str| -> Option<u64> {
        let rest = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        rest.trim().strip_suffix(" kB")?.trim().parse().ok()
    };
    Some(kib("MemTotal")?.saturating_sub(kib("MemAvailable")?) * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    #[test]
    fn use_is_measured_since_the_last_look_that_is_long_enough_ago() {
        let usage = Usage::default();
        let look = |seconds, cpu_millis| {
            let rate = usage.rate("a", at(0), Mark { at: at(seconds), cpu: Duration::from_millis(cpu_millis) });
            (rate.nanocores / 1_000_000, rate.window.as_secs())
        };
        assert_eq!(look(2, 1_000), (500, 2), "since the start");
        assert_eq!(look(20, 2_000), (100, 20));
        assert_eq!(look(25, 2_000), (80, 25), "five seconds are not enough");
        assert_eq!(look(40, 12_000), (500, 20), "since the look at 20");
        assert_eq!(look(45, 12_000), (400, 25));
        usage.keep(&BTreeSet::new());
        assert_eq!(look(50, 5_000), (100, 50), "forgotten");
        assert_eq!(look(60, 100), (1, 60), "another container");
    }

    #[test]
    fn the_machine_is_read_from_proc() {
        let stat = "cpu  100 10 50 1000 500 5 5 30 20 0\ncpu0 1 1 1 1\n";
        assert_eq!(cpu_time(stat), Some(Duration::from_secs(2)));
        let meminfo = "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    400 kB\n";
        assert_eq!(memory_in_use(meminfo), Some(600 * 1024));
        assert_eq!((cpu_time(""), memory_in_use("")), (None, None));
    }
}
