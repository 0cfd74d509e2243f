//! Durations as kubectl prints them (`apimachinery/pkg/util/duration`).

use jiff::Timestamp;
use std::time::Duration;

/// A duration in two or three significant figures: `45s`, `5m30s`, `3h12m`, `2d5h`, `3y40d`. A duration that is
/// negative by a second or more is a clock that runs behind, and prints as `<invalid>` beyond two seconds.
pub fn human(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let days = hours / 24;
    match () {
        () if seconds < -1 => "<invalid>".into(),
        () if seconds < 0 => "0s".into(),
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => pair(minutes, 'm', seconds % 60, 's'),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => pair(hours, 'h', minutes % 60, 'm'),
        () if hours < 48 => format!("{hours}h"),
        () if days < 8 => pair(days, 'd', hours % 24, 'h'),
        () if days < 730 => format!("{days}d"),
        () if days < 8 * 365 => pair(days / 365, 'y', days % 365, 'd'),
        () => format!("{}y", days / 365),
    }
}

/// The time since `then`, as [`human`] prints it; `<unknown>` where there is none.
pub fn since(then: Option<Timestamp>, now: Timestamp) -> String {
    then.map_or_else(|| "<unknown>".into(), |then| between(then, now))
}

/// The time from one moment to another, as [`human`] prints it.
pub fn between(from: Timestamp, to: Timestamp) -> String {
    human(to.duration_since(from).as_secs())
}

/// Reads a duration in Go's form, such as `1m30s` or `15.012s`; `None` for what is none, or is negative.
pub fn parse(text: &str) -> Option<Duration> {
    crate::cel::go::parse(text)?.try_into().ok()
}

/// Writes a duration in Go's form, as `metav1.Duration` is: `15s`, `1m30.5s`, `2h0m0s`, `0s`.
pub fn print(duration: Duration) -> String {
    let (hours, minutes, seconds) = (duration.as_secs() / 3600, duration.as_secs() / 60 % 60, duration.as_secs() % 60);
    let fraction = match duration.subsec_nanos() {
        0 => String::new(),
        nanos => format!(".{}", format!("{nanos:09}").trim_end_matches('0')),
    };
    match (hours, minutes) {
        (0, 0) if seconds == 0 && !fraction.is_empty() => short(duration.subsec_nanos()),
        (0, 0) => format!("{seconds}{fraction}s"),
        (0, _) => format!("{minutes}m{seconds}{fraction}s"),
        _ => format!("{hours}h{minutes}m{seconds}{fraction}s"),
    }
}

/// Less than a second, in the largest unit of which there is one.
fn short(nanos: u32) -> String {
    let (unit, name) = match nanos {
        0..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "µs"),
        _ => (1_000_000, "ms"),
    };
    let fraction = format!("{:0width$}", nanos % unit, width = unit.ilog10() as usize);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() || unit == 1 {
        format!("{}{name}", nanos / unit)
    } else {
        format!("{}.{fraction}{name}", nanos / unit)
    }
}

fn pair(large: i64, large_unit: char, small: i64, small_unit: char) -> String {
    if small == 0 { format!("{large}{large_unit}") } else { format!("{large}{large_unit}{small}{small_unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_kubectl_prints_them() {
        const HOUR: i64 = 3600;
        const DAY: i64 = 24 * HOUR;
        for (seconds, text) in [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (330, "5m30s"),
            (600, "10m"),
            (179 * 60, "179m"),
            (3 * HOUR, "3h"),
            (3 * HOUR + 720, "3h12m"),
            (8 * HOUR + 60, "8h"),
            (47 * HOUR, "47h"),
            (48 * HOUR, "2d"),
            (53 * HOUR, "2d5h"),
            (8 * DAY + HOUR, "8d"),
            (729 * DAY, "729d"),
            (730 * DAY, "2y"),
            (770 * DAY, "2y40d"),
            (8 * 365 * DAY + DAY, "8y"),
        ] {
            assert_eq!(human(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn durations_are_written_and_read_as_go_does() {
        for (millis, text) in
            [(0, "0s"), (15_000, "15s"), (90_500, "1m30.5s"), (7_200_000, "2h0m0s"), (250, "250ms"), (1, "1ms")]
        {
            let duration = Duration::from_millis(millis);
            assert_eq!(print(duration), text);
            assert_eq!(parse(text), Some(duration));
        }
        assert_eq!(print(Duration::from_nanos(1_500)), "1.5µs");
        assert_eq!(print(Duration::from_nanos(7)), "7ns");
        assert_eq!((parse("-1s"), parse("soon")), (None, None));
    }
}
