//! Durations in Go's form (`time.ParseDuration`): `1h30m`, `250ms`, `-1.5s`.

use jiff::SignedDuration;

const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a duration.
pub(crate) fn parse(text: &str) -> Option<SignedDuration> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (digits, after) = rest.split_at_checked(number)?;
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit_end)?;
        let (_, nanos) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total = total.checked_add(whole.checked_mul(nanos)?)?;
        let mut scale = nanos;
        for digit in fraction.chars() {
            scale /= 10;
            total += i128::from(digit.to_digit(10)?) * scale;
        }
        rest = after;
    }
    let nanos = i64::try_from(sign * total).ok().filter(|_| !text.is_empty() && text != "-" && text != "+")?;
    Some(SignedDuration::from_nanos(nanos))
}

/// Writes a duration in seconds, as CEL's `string(duration)` does: `90s`, `1.5s`.
pub(crate) fn print(span: SignedDuration) -> String {
    let (seconds, nanos) = (span.as_secs(), span.subsec_nanos().unsigned_abs());
    let sign = if span.is_negative() && seconds == 0 { "-" } else { "" };
    match nanos {
        0 => format!("{seconds}s"),
        nanos => format!("{sign}{seconds}.{}s", format!("{nanos:09}").trim_end_matches('0')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, printed) in [
            ("1h30m", "5400s"),
            ("250ms", "0.25s"),
            ("-1.5s", "-1.5s"),
            ("0", "0s"),
            ("-250ms", "-0.25s"),
            (".5m", "30s"),
        ] {
            assert_eq!(parse(text).map(print).as_deref(), Some(printed), "{text}");
        }
        for text in ["", "-", "1", "1x", "h", "."] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
