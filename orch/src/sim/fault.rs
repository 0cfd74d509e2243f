//! [`FaultPlan`]: what goes wrong and when, as plain data. It prints, it is stored beside a failure, and it is
//! shrunk by leaving faults out: every fault stands alone, so that leaving one out does not move the others.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Faults in no particular order. Times count from [`World::begin`](super::World::begin), in virtual milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FaultPlan {
    /// The faults.
    pub faults: Vec<Fault>,
}

/// One thing that goes wrong. `who` is a controller, a node or `kube-scheduler` by name, or `*` for everybody but
/// the user. Numbers of requests, writes and events count from 1 and from `begin`; writes of Leases and Events do
/// not count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // The fields are what their names say; units stand at their ends.
pub enum Fault {
    /// Requests take up to so long on their way, and their answers as well.
    Slow { who: String, at_ms: u64, for_ms: u64, up_to_ms: u64 },
    /// So many of a hundred requests fail.
    Flaky { who: String, at_ms: u64, for_ms: u64, percent: u8, how: Failing },
    /// The n-th request of its class fails.
    Nth { who: String, class: Class, nth: u64, how: Failing },
    /// The loop dies before its n-th write reaches the API server, or after that was done and before it learns of
    /// it, and is started anew with an empty memory.
    Crash { who: String, write: u64, after: bool, down_ms: u64 },
    /// The loop dies at a time.
    CrashAt { who: String, at_ms: u64, down_ms: u64 },
    /// The loop dies before its n-th write and comes back to an API server whose watches show the past: the state
    /// so many revisions ago, and nothing newer for so long.
    Stale { who: String, write: u64, back: u64, for_ms: u64 },
    /// The n-th event on the way to the loop is lost together with its watch; the next watch begins with a list,
    /// after so long. What happened in between is never seen.
    Miss { who: String, event: u64, for_ms: u64 },
    /// The n-th write takes so long to reach the API server: others act on what it has not done yet.
    Late { who: String, write: u64, by_ms: u64 },
    /// From the n-th write of another loop on, watches deliver nothing for so long: `who` decides without it.
    Blind { who: String, whose: String, write: u64, for_ms: u64 },
    /// Watches deliver nothing for a time, and then everything.
    Lag { who: String, at_ms: u64, for_ms: u64 },
    /// Watches end. `expire` says that their history is gone too.
    Cut { who: String, at_ms: u64, expire: bool },
    /// The loop hands over to another instance: it finishes what it does, and the other begins with empty caches.
    Takeover { who: String, at_ms: u64 },
    /// Requests fail and watches stand still.
    Partition { who: String, at_ms: u64, for_ms: u64 },
    /// The node loses its power, and gets it back unless `for_ms` is 0.
    NodeLoss { node: String, at_ms: u64, for_ms: u64 },
    /// One of the node's running containers ends.
    Exit { node: String, at_ms: u64, code: i32 },
    /// All probes on the node fail for a time.
    Unhealthy { node: String, at_ms: u64, for_ms: u64 },
    /// No image can be pulled on the node for a time.
    NoImages { node: String, at_ms: u64, for_ms: u64 },
    /// The API server ends and another begins over the same store.
    ServerRestart { at_ms: u64, for_ms: u64 },
    /// The store refuses every commit for a time.
    Disk { at_ms: u64, for_ms: u64 },
    /// Everybody's clock is set forward, or back.
    ClockJump { at_ms: u64, by_ms: i64 },
}

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failing {
    /// 503, and nothing was done.
    Unavailable,
    /// 500, and nothing was done.
    Internal,
    /// 409, and nothing was done: as if another had written first.
    Conflict,
    /// 429 with `Retry-After`, and nothing was done.
    Throttled,
    /// It was done, and the answer is lost: the caller sees a timeout.
    Lost,
    /// It was done twice: a proxy tried again. The caller sees the second answer.
    Twice,
}

/// Which requests a fault counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Creates, updates, patches and deletes, except of Leases and Events.
    Write,
    /// Single objects and lists.
    Read,
    /// The beginning of a watch.
    Watch,
    /// Writes of Leases and Events.
    Noise,
}

/// Everybody but the user.
pub const EVERYBODY: &str = "*";

/// Whoever the scenario acts as. No fault concerns this one.
pub const USER: &str = "user";

impl FaultPlan {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// These faults.
    pub fn of(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self { faults: faults.into_iter().collect() }
    }

    /// A preset by its name; [`PRESETS`] has them all.
    pub fn preset(name: &str) -> Option<Self> {
        let who = || EVERYBODY.to_owned();
        let (at_ms, for_ms) = (0, 60_000);
        let faults = match name {
            "none" => vec![],
            "slow" => vec![Fault::Slow { who: who(), at_ms, for_ms, up_to_ms: 300 }],
            "lossy" => vec![
                Fault::Flaky { who: who(), at_ms, for_ms, percent: 10, how: Failing::Lost },
                Fault::Flaky { who: who(), at_ms, for_ms, percent: 10, how: Failing::Unavailable },
                Fault::Flaky { who: who(), at_ms, for_ms, percent: 5, how: Failing::Twice },
            ],
            "contended" => vec![
                Fault::Flaky { who: who(), at_ms, for_ms, percent: 20, how: Failing::Conflict },
                Fault::Flaky { who: who(), at_ms, for_ms, percent: 10, how: Failing::Throttled },
            ],
            "watches" => vec![
                Fault::Cut { who: who(), at_ms: 1_000, expire: false },
                Fault::Lag { who: who(), at_ms: 3_000, for_ms: 4_000 },
                Fault::Cut { who: who(), at_ms: 9_000, expire: true },
            ],
            "server" => {
                vec![Fault::ServerRestart { at_ms: 2_000, for_ms: 1_500 }, Fault::Disk { at_ms: 8_000, for_ms: 2_000 }]
            }
            "clock" => vec![
                Fault::ClockJump { at_ms: 2_000, by_ms: 90_000 },
                Fault::ClockJump { at_ms: 10_000, by_ms: -60_000 },
            ],
            _ => return None,
        };
        Some(Self { faults })
    }

    /// The faults of both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.faults.extend(other.faults);
        self
    }
}

/// The names of the presets.
pub const PRESETS: &[&str] = &["none", "slow", "lossy", "contended", "watches", "server", "clock"];

impl Fault {
    /// When the fault is over; `None` for one that happens once, at a request or event by number, whenever that comes.
    pub fn ends_ms(&self) -> Option<u64> {
        Some(match self {
            Self::Slow { at_ms, for_ms, .. }
            | Self::Flaky { at_ms, for_ms, .. }
            | Self::Lag { at_ms, for_ms, .. }
            | Self::Partition { at_ms, for_ms, .. }
            | Self::NodeLoss { at_ms, for_ms, .. }
            | Self::Unhealthy { at_ms, for_ms, .. }
            | Self::NoImages { at_ms, for_ms, .. }
            | Self::ServerRestart { at_ms, for_ms }
            | Self::Disk { at_ms, for_ms } => at_ms + for_ms,
            Self::CrashAt { at_ms, down_ms, .. } => at_ms + down_ms,
            Self::Cut { at_ms, .. }
            | Self::Takeover { at_ms, .. }
            | Self::Exit { at_ms, .. }
            | Self::ClockJump { at_ms, .. } => *at_ms,
            Self::Nth { .. }
            | Self::Crash { .. }
            | Self::Stale { .. }
            | Self::Miss { .. }
            | Self::Late { .. }
            | Self::Blind { .. } => return None,
        })
    }
}

impl fmt::Display for Fault {
    /// As JSON: what prints can be put into a file and replayed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).unwrap_or_default())
    }
}

impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.faults.iter().try_for_each(|fault| writeln!(f, "{fault}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prints_reads_back() {
        for name in PRESETS {
            let plan = FaultPlan::preset(name).unwrap();
            let again = plan.to_string().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(plan, FaultPlan { faults: again });
        }
        assert_eq!(FaultPlan::preset("of this name there is none"), None);
    }
}
