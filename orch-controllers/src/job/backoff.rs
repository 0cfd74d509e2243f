//! How long to wait before failed pods are replaced (`pkg/controller/job/backoff_utils.go`).
//!
//! kube-controller-manager remembers failures in its memory. Here those are added of the pods that are there, so that
//! the wait survives a restart too.

use super::{memory::Past, pods::JobPod};
use jiff::{SignedDuration, Timestamp};
use orch_runtime::view::Known;
use std::time::Duration;

/// After the first failure.
const FIRST: SignedDuration = SignedDuration::from_secs(10);
/// After many.
const LONGEST: SignedDuration = SignedDuration::from_mins(10);

/// How long the Job as a whole waits: by the failures since its last success.
pub(super) fn of_job(past: &Past, now: Timestamp) -> Duration {
    past.failures().map_or(Duration::ZERO, |(failures, last)| rest(failures, last, now))
}

/// How long an index waits after the failure of its last pod.
pub(super) fn of_index(last: &Known<JobPod>, now: Timestamp) -> Duration {
    let before = last.facts.failures.saturating_add(last.facts.ignored);
    rest(usize::try_from(before).unwrap_or(0).saturating_add(1), last.facts.finished_at, now)
}

/// What is left of the wait: 10 s, doubled with each failure up to 10 min. A failure that is farther in the future than
/// that is one from before a clock was set back, and tells nothing.
fn rest(failures: usize, last: Timestamp, now: Timestamp) -> Duration {
    let doublings = u32::try_from(failures.saturating_sub(1).min(16)).unwrap_or(16);
    let wait = (FIRST * 2_i32.pow(doublings)).min(LONGEST);
    let ago = now.duration_since(last);
    if ago < -LONGEST {
        return Duration::ZERO;
    }
    Duration::try_from(wait - ago).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::now;

    #[track_caller]
    fn check(failures: usize, seconds_ago: i64, expect: u64) {
        let last = now() - SignedDuration::from_secs(seconds_ago);
        assert_eq!(rest(failures, last, now()), Duration::from_secs(expect));
    }

    #[test]
    fn the_wait_doubles_up_to_ten_minutes() {
        check(1, 0, 10);
        check(2, 0, 20);
        check(6, 0, 320);
        check(7, 0, 600);
        check(1000, 0, 600);
    }

    #[test]
    fn the_wait_counts_from_the_last_failure() {
        check(1, 4, 6);
        check(1, 10, 0);
        check(3, 60, 0);
    }

    #[test]
    fn a_failure_of_another_clock_does_not_stop_the_job() {
        check(1, -30, 40);
        check(1, -3600, 0);
    }
}
