//! Small arithmetic on timestamps.

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// The moment so many seconds later; the end of time if there is none.
pub fn plus_seconds(at: Timestamp, seconds: i64) -> Timestamp {
    at.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// How long until a moment; zero if it has passed.
pub fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)
}

/// How long to wait for a moment of the wall clock: at most five minutes. Timers run on monotonic time, and tell nothing
/// of a clock that was set meanwhile.
pub fn by_the_clock(at: Timestamp, now: Timestamp) -> Duration {
    until(at, now).min(Duration::from_secs(300))
}
