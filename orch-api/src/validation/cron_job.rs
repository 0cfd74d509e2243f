//! CronJob (`pkg/apis/batch/validation`).

use super::{at::At, batch::template_spec};
use crate::cron::{Schedule, zone};

/// A new CronJob.
pub(super) fn created(object: At<'_>) {
    cron_spec(object.at("spec"), None);
    let name = object.at("metadata").at("name");
    if name.str().len() > 52 {
        name.invalid("must be no more than 52 characters");
    }
}

/// An update of a CronJob.
pub(super) fn updated<'a>(new: At<'a>, old: At<'a>) {
    cron_spec(new.at("spec"), Some(old.at("spec")));
}

fn cron_spec<'a>(spec: At<'a>, old: Option<At<'a>>) {
    let schedule = spec.at("schedule");
    if schedule.require("") {
        if let Err(message) = Schedule::parse(schedule.str()) {
            schedule.invalid(message);
        }
        let had_zone = old.is_some_and(|old| old.at("schedule").str().contains("TZ"));
        match (had_zone, schedule.str().contains("TZ")) {
            (true, true) if spec.at("timeZone").is_set() => {
                schedule.invalid("cannot use both timeZone field and TZ or CRON_TZ in schedule");
            }
            (false, true) => schedule.invalid("cannot use TZ or CRON_TZ in schedule, use timeZone field instead"),
            _ => {}
        }
    }
    spec.at("startingDeadlineSeconds").non_negative();
    if old.is_none_or(|old| !old.at("timeZone").same(spec.at("timeZone"))) {
        time_zone(spec.at("timeZone"));
    }
    spec.at("concurrencyPolicy").required_one_of(&["Allow", "Forbid", "Replace"]);
    let job = spec.at("jobTemplate").at("spec");
    if job.at("selector").is_set() {
        job.at("selector").invalid("`selector` will be auto-generated");
    }
    if job.at("manualSelector").flag() {
        job.at("manualSelector").not_supported(&["nil", "false"]);
    }
    template_spec(job);
    spec.at("successfulJobsHistoryLimit").non_negative();
    spec.at("failedJobsHistoryLimit").non_negative();
}

fn time_zone(at: At<'_>) {
    if !at.is_set() {
        return;
    }
    if at.is_empty() {
        return at.invalid("timeZone must be nil or non-empty string");
    }
    let is_part = |part: &str| {
        let chars = part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+'));
        (1..=14).contains(&part.len()) && chars && !matches!(part, "." | "..") && !part.starts_with('-')
    };
    if !at.str().split('/').all(is_part) {
        return at.invalid(format!("unknown time zone {}", at.str()));
    }
    if at.str().eq_ignore_ascii_case("local") {
        at.invalid("timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
    }
    if at.str() != "Local"
        && let Err(why) = zone(at.str())
    {
        at.invalid(why);
    }
}
