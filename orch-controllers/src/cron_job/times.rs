//! Which times of a schedule were missed, and when the next one is (`pkg/controller/cronjob/utils.go`).

use crate::common::time::plus_seconds;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use orch_api::cron::Schedule;

/// A CronJob's schedule in its zone.
pub(super) struct Times {
    pub schedule: Schedule,
    pub zone: TimeZone,
}

/// How many times have been missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missed {
    None,
    Few,
    /// More than a hundred: a clock is wrong, or nothing ran for long.
    Many,
}

/// The clocks of machines differ a little: it is looked again this much after a time.
const PADDING: SignedDuration = SignedDuration::from_millis(100);

/// A schedule that has no two times that differ.
const NEVER: &str = "time difference between two schedules is less than 1 second";

impl Times {
    fn after(&self, at: Timestamp) -> Option<Timestamp> {
        self.schedule.next(at, &self.zone)
    }

    /// The last time after `since`, and not after now, and how many there were. The number is estimated from the distance
    /// of the first two, so that it costs no more when the clock is off by years.
    ///
    /// # Errors
    /// For a schedule that is well-formed and never comes, like the 31st of February.
    pub(super) fn last(&self, since: Timestamp, now: Timestamp) -> Result<(Option<Timestamp>, Missed), String> {
        let first = self.after(since).ok_or(NEVER)?;
        if now < first {
            return Ok((None, Missed::None));
        }
        let second = self.after(first).ok_or(NEVER)?;
        if now < second {
            return Ok((Some(first), Missed::None));
        }
        let between = second.duration_since(first).as_secs();
        if between < 1 {
            return Err(NEVER.into());
        }
        let count = now.duration_since(first).as_secs() / between + 1;
        // One step back, where the times are not evenly spaced: `30 6-16/4 * * 1-5`.
        let mut last = None;
        let mut next = self.after(plus_seconds(first, (count - 2) * between));
        while let Some(at) = next.filter(|at| *at <= now) {
            last = Some(at);
            next = self.after(at);
        }
        Ok((last, if count > 100 { Missed::Many } else { Missed::Few }))
    }

    /// When to look again.
    pub(super) fn next(&self, since: Timestamp, now: Timestamp) -> Timestamp {
        let from = match self.last(since, now) {
            Ok((Some(last), _)) => last,
            Ok((None, Missed::None)) => since,
            Ok((None, _)) | Err(_) => now,
        };
        let next = self.after(from).unwrap_or(Timestamp::MAX);
        next.saturating_add(PADDING).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn times(schedule: &str) -> Times {
        Times { schedule: Schedule::parse(schedule).unwrap(), zone: TimeZone::UTC }
    }

    #[track_caller]
    fn check(schedule: &str, since: &str, now: &str, last: Option<&str>, missed: Missed) {
        assert_eq!(times(schedule).last(at(since), at(now)), Ok((last.map(at), missed)));
    }

    #[test]
    fn of_missed_times_the_last_one_counts() {
        check("0 * * * *", "2026-07-01T10:00:00Z", "2026-07-01T10:59:59Z", None, Missed::None);
        check("0 * * * *", "2026-07-01T10:00:00Z", "2026-07-01T11:00:00Z", Some("2026-07-01T11:00:00Z"), Missed::None);
        check("0 * * * *", "2026-07-01T10:00:00Z", "2026-07-01T13:20:00Z", Some("2026-07-01T13:00:00Z"), Missed::Few);
        check("0 * * * *", "2026-07-01T10:00:00Z", "2027-07-01T13:20:00Z", Some("2027-07-01T13:00:00Z"), Missed::Many);
    }

    #[test]
    fn uneven_times_are_found() {
        // A Friday; the next times are on Monday.
        let since = "2026-07-03T14:30:00Z";
        check("30 6-16/4 * * 1-5", since, "2026-07-05T10:00:00Z", None, Missed::None);
        check("30 6-16/4 * * 1-5", since, "2026-07-06T11:00:00Z", Some("2026-07-06T10:30:00Z"), Missed::Few);
    }

    #[test]
    fn every_counts_from_the_last_time() {
        let since = "2026-07-01T10:00:07Z";
        check("@every 1h", since, "2026-07-01T13:30:00Z", Some("2026-07-01T13:00:07Z"), Missed::Few);
    }

    #[test]
    fn a_clock_before_the_last_time_waits_for_it() {
        check("0 * * * *", "2026-07-01T10:00:00Z", "2026-07-01T07:00:00Z", None, Missed::None);
        let next = times("0 * * * *").next(at("2026-07-01T10:00:00Z"), at("2026-07-01T07:00:00Z"));
        assert_eq!(next, at("2026-07-01T11:00:00.1Z"));
    }

    #[test]
    fn a_day_that_never_comes_is_an_error_and_not_a_loop() {
        let never = times("59 23 31 2 *");
        let (since, now) = (at("2026-07-01T10:00:00Z"), at("2026-07-02T10:00:00Z"));
        assert_eq!(never.last(since, now), Err(NEVER.into()));
        assert_eq!(never.next(since, now), Timestamp::MAX);
    }
}
