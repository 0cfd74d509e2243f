//! Exponential back-off per container, as `client-go/util/flowcontrol/backoff.go` keeps it.

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// First delay.
pub const INITIAL: Duration = Duration::from_secs(10);
/// Longest delay.
pub const MAX: Duration = Duration::from_secs(300);

/// The delay after the latest failure. Forgotten when no failure follows for twice the longest delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// How long to wait after an event.
    pub delay: Duration,
    /// When the delay was last prolonged.
    pub updated: Timestamp,
}

impl Backoff {
    /// When something that failed at `failed` may be tried again; `None` when it may now.
    pub fn until(entry: Option<&Self>, failed: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let entry = entry.filter(|e| !e.expired(failed))?;
        let until = later(failed, entry.delay);
        (until > now).then_some(until)
    }

    /// The entry after one more failure at `failed`, which is being retried now.
    #[must_use]
    pub fn next(entry: Option<&Self>, failed: Timestamp, now: Timestamp) -> Self {
        let delay = match entry {
            Some(entry) if !entry.expired(failed) => (entry.delay * 2).min(MAX),
            _ => INITIAL,
        };
        Self { delay, updated: now }
    }

    fn expired(&self, failed: Timestamp) -> bool {
        failed.duration_since(self.updated) > SignedDuration::from_secs(2 * MAX.as_secs() as i64)
    }
}

/// A point in time, that much later; the end of time when there is none.
pub fn later(from: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| from.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

/// How long until `to`; zero when it has passed.
pub fn until(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn delays_double_up_to_five_minutes() {
        let (mut entry, mut delays) = (None, Vec::new());
        for n in 0..7 {
            entry = Some(Backoff::next(entry.as_ref(), at(n * 300), at(n * 300)));
            delays.push(entry.unwrap().delay.as_secs());
        }
        assert_eq!(delays, [10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn ten_quiet_minutes_are_forgiven() {
        let entry = Backoff { delay: MAX, updated: at(0) };
        assert_eq!(Backoff::until(Some(&entry), at(601), at(601)), None);
        assert_eq!(Backoff::next(Some(&entry), at(601), at(601)).delay, INITIAL);
        assert_eq!(Backoff::until(Some(&entry), at(600), at(601)), Some(at(900)));
    }

    #[test]
    fn the_first_failure_is_retried_at_once() {
        assert_eq!(Backoff::until(None, at(5), at(5)), None);
    }
}
