//! From text to [`Schedule`].

use super::{Fields, Schedule, Times, zone};
use jiff::SignedDuration;

/// Names and bounds of a field.
struct Field {
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { low: 0, high: 59, names: &[] },
    Field { low: 0, high: 23, names: &[] },
    Field { low: 1, high: 31, names: &[] },
    Field {
        low: 1,
        high: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    Field { low: 0, high: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

pub(super) fn schedule(text: &str) -> Result<Schedule, String> {
    let zoned = ["TZ=", "CRON_TZ="].iter().find_map(|prefix| text.strip_prefix(prefix));
    let (name, spec) = match zoned.map(|rest| rest.split_once(' ')) {
        None => (None, text),
        Some(Some((name, spec))) => (Some(name), spec.trim()),
        // robfig/cron panics here; kube-apiserver says so.
        Some(None) => return Err("invalid schedule format: runtime error: slice bounds out of range [:-1]".into()),
    };
    let zone = name.map(|name| zone(name).map_err(|why| format!("provided bad location {name}: {why}"))).transpose()?;
    let times = match spec {
        "" => return Err("empty spec string".into()),
        _ if spec.starts_with('@') => descriptor(spec)?,
        _ => Times::Clock(fields(spec)?),
    };
    Ok(Schedule { times, zone })
}

fn fields(spec: &str) -> Result<Fields, String> {
    let texts: Vec<&str> = spec.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = texts[..] else {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", texts.len(), texts.join(" ")));
    };
    let [of_minute, of_hour, of_day, of_month, of_weekday] = &FIELDS;
    let minutes = bits(minute, of_minute)?.0;
    let hours = bits(hour, of_hour)?.0;
    let (days, any_day) = bits(day, of_day)?;
    let months = bits(month, of_month)?.0;
    let (weekdays, any_weekday) = bits(weekday, of_weekday)?;
    Ok(Fields { minutes, hours, days, months, weekdays, needs_both: any_day || any_weekday })
}

fn descriptor(word: &str) -> Result<Times, String> {
    let spec = match word {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => {
            let text = word.strip_prefix("@every ").ok_or_else(|| format!("unrecognized descriptor: {word}"))?;
            let every = duration(text).ok_or_else(|| {
                let why = if text.is_empty() { "invalid duration" } else { unit_missing(text) };
                format!("failed to parse duration {word}: time: {why} {text:?}")
            })?;
            let whole = SignedDuration::from_secs(every.as_secs());
            return Ok(Times::Every(whole.max(SignedDuration::from_secs(1))));
        }
    };
    fields(spec).map(Times::Clock)
}

/// What Go complains of in a duration.
fn unit_missing(text: &str) -> &'static str {
    let digits = text.trim_start_matches(['-', '+']);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if is_number && digits != "." { "missing unit in duration" } else { "invalid duration" }
}

/// `1h30m`, as Go writes durations.
fn duration(text: &str) -> Option<SignedDuration> {
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let unit_on = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number: f64 = rest.get(..rest.len() - unit_on.len())?.parse().ok()?;
        let (unit, after) = UNITS.iter().find_map(|(name, unit)| Some((unit, unit_on.strip_prefix(name)?)))?;
        seconds += number * unit;
        rest = after;
    }
    let parsed = (!text.is_empty()).then(|| SignedDuration::try_from_secs_f64(seconds).ok()).flatten()?;
    Some(if is_negative { -parsed } else { parsed })
}

/// Longer names first where one is the beginning of another.
const UNITS: [(&str, f64); 8] =
    [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("μs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// The set of a field, and whether it begins with a star.
fn bits(text: &str, field: &Field) -> Result<(u64, bool), String> {
    let (mut bits, mut any) = (0, false);
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (more, star) = range(part, field)?;
        bits |= more;
        any |= star;
    }
    Ok((bits, any))
}

fn range(part: &str, field: &Field) -> Result<(u64, bool), String> {
    let (bounds, step) = match part.split_once('/') {
        Some((_, step)) if step.contains('/') => return Err(format!("too many slashes: {part}")),
        Some((bounds, step)) => (bounds, Some(step)),
        None => (part, None),
    };
    let is_star = bounds.split('-').next().is_some_and(|low| matches!(low, "*" | "?"));
    let (start, mut end, is_single) = match bounds.split_once('-') {
        _ if is_star => (field.low, field.high, false),
        Some((_, end)) if end.contains('-') => return Err(format!("too many hyphens: {part}")),
        Some((start, end)) => (value(start, field)?, value(end, field)?, false),
        None => (value(bounds, field)?, value(bounds, field)?, true),
    };
    let step = match step {
        None => 1,
        Some(step) => {
            if is_single {
                end = field.high;
            }
            number(step)?
        }
    };
    if start < field.low {
        return Err(format!("beginning of range ({start}) below minimum ({}): {part}", field.low));
    }
    if end > field.high {
        return Err(format!("end of range ({end}) above maximum ({}): {part}", field.high));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {part}"));
    }
    let every = usize::try_from(step).ok().filter(|step| *step > 0);
    let every = every.ok_or_else(|| format!("step of range should be a positive number: {part}"))?;
    Ok(((start..=end).step_by(every).fold(0, |bits, at| bits | 1 << at), is_star && step == 1))
}

fn value(text: &str, field: &Field) -> Result<u32, String> {
    let place = field.names.iter().position(|name| name.eq_ignore_ascii_case(text));
    match place.and_then(|i| u32::try_from(i).ok()) {
        Some(i) => Ok(field.low + i),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    match digits.parse::<u32>() {
        Ok(number) if is_number && text.starts_with('-') && number > 0 => {
            Err(format!("negative number (-{number}) not allowed: {text}"))
        }
        Ok(number) if is_number => Ok(number),
        _ => {
            let why = if is_number { "value out of range" } else { "invalid syntax" };
            Err(format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: {why}"))
        }
    }
}
