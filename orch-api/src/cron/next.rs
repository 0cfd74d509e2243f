//! The next time of a [`Schedule`].

use super::{Fields, Schedule, Times};
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned, civil::Weekday, tz::TimeZone};

/// A schedule that matches nothing for so many years matches nothing.
const YEARS: i16 = 5;

impl Schedule {
    /// The first time after another one, to the second; `None` when there is none within five years.
    ///
    /// Where the clock is set forward, times that it skips do not happen; where it is set back, times that it shows twice
    /// happen twice. That is what robfig/cron does.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let whole = Timestamp::from_second(after.as_second()).ok()?;
        match &self.times {
            Times::Every(every) => whole.checked_add(*every).ok(),
            Times::Clock(fields) => {
                let zone = self.zone.as_ref().unwrap_or(zone);
                // The zone's database is built in, so the offset of a zone is known at any time.
                fields.next(whole.checked_add(SignedDuration::from_secs(1)).ok()?.to_zoned(zone.clone()))
            }
        }
    }
}

impl Fields {
    /// The first time at or after this one that all fields match: the largest unit that does not match is moved on to its
    /// next value, the smaller ones begin anew.
    fn next(&self, from: Zoned) -> Option<Timestamp> {
        let last_year = from.year().checked_add(YEARS)?;
        let mut at = from;
        while at.year() <= last_year {
            at = if self.months & bit(at.month()) == 0 {
                at.first_of_month().ok()?.checked_add(1.month()).ok()?.start_of_day().ok()?
            } else if !self.has_day(&at) {
                at.checked_add(1.day()).ok()?.start_of_day().ok()?
            } else if self.hours & bit(at.hour()) == 0 {
                later(&at, 3600)?
            } else if self.minutes & bit(at.minute()) == 0 || at.second() != 0 {
                later(&at, 60)?
            } else {
                return Some(at.timestamp());
            };
        }
        None
    }

    fn has_day(&self, at: &Zoned) -> bool {
        let by_date = self.days & bit(at.day()) != 0;
        let by_weekday = self.weekdays & bit(weekday(at.weekday())) != 0;
        if self.needs_both { by_date && by_weekday } else { by_date || by_weekday }
    }
}

/// The next moment at which the clock shows a multiple of so many seconds, a minute or an hour.
fn later(at: &Zoned, unit: i64) -> Option<Zoned> {
    let since_hour = i64::from(at.minute()) * 60 + i64::from(at.second());
    at.checked_add(SignedDuration::from_secs(unit - since_hour % unit)).ok()
}

fn bit(value: i8) -> u64 {
    u32::try_from(value).map_or(0, |value| 1 << value)
}

fn weekday(day: Weekday) -> i8 {
    day.to_sunday_zero_offset()
}
