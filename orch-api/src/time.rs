//! Times as the API writes them: RFC 3339 in UTC, with seconds (`Time`) or microseconds (`MicroTime`).

use jiff::Timestamp;
use serde_json::Value;

/// The time as a `Time` field holds it: `2026-07-01T12:00:00Z`.
pub fn format(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The time as a `MicroTime` field holds it: `2026-07-01T12:00:00.000000Z`.
pub fn format_micro(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// The time that a `Time` or `MicroTime` field holds.
pub fn read(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// Rewrites a text to the form of a `Time` field. The error is in the words of Go's `time.Parse`.
pub(crate) fn canonical(text: &mut String) -> Result<(), String> {
    if is_canonical(text) {
        return Ok(());
    }
    let time = parse(text).ok_or_else(|| refusal(text, "2006-01-02T15:04:05Z07:00"))?;
    *text = format(time);
    Ok(())
}

/// Rewrites a text to the form of a `MicroTime` field, which has exactly six digits behind the second.
pub(crate) fn canonical_micro(text: &mut String) -> Result<(), String> {
    let fraction = text.get(19..).unwrap_or_default();
    let digits = fraction.strip_prefix('.').map(|f| f.bytes().take_while(u8::is_ascii_digit).count());
    match parse(text).filter(|_| digits == Some(6)) {
        Some(time) => *text = format_micro(time),
        None => return Err(refusal(text, "2006-01-02T15:04:05.000000Z07:00")),
    }
    Ok(())
}

/// `dddd-dd-ddTdd:dd:ddZ`, where the time exists.
fn is_canonical(text: &str) -> bool {
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1, b'Z'] = text.as_bytes()
    else {
        return false;
    };
    let pair = |tens: &u8, ones: &u8| match (tens, ones) {
        (b'0'..=b'9', b'0'..=b'9') => (tens - b'0') * 10 + (ones - b'0'),
        _ => u8::MAX,
    };
    let (month, day) = (pair(m0, m1), pair(d0, d1));
    // The last days of a month, and centuries out of range, are left to the parser.
    let usual = pair(y0, y1) <= 99 && pair(y2, y3) <= 99 && (1..=12).contains(&month) && (1..=28).contains(&day);
    let clock = pair(h0, h1) < 24 && pair(n0, n1) < 60 && pair(s0, s1) < 60;
    clock && (usual || parse(text).is_some())
}

/// RFC 3339 as Go understands it: no space for the `T`, no omitted seconds.
fn parse(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let shape = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    let fits = shape.iter().all(|(at, c)| bytes.get(*at) == Some(c));
    fits.then(|| text.parse().ok()).flatten()
}

/// Go names the first part of the layout that the text does not match.
fn refusal(text: &str, layout: &str) -> String {
    let (rest, part) = mismatch(text, layout);
    format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {part:?}")
}

fn mismatch<'t>(text: &'t str, layout: &str) -> (&'t str, String) {
    let mut rest = text;
    let fraction = layout.contains(".000000");
    let parts = ["2006", "-", "01", "-", "02", "T", "15", ":", "04", ":", "05"];
    for part in parts {
        let digits = part.bytes().all(|c| c.is_ascii_digit());
        let head = rest.get(..part.len());
        let fits = head.is_some_and(|h| if digits { h.bytes().all(|c| c.is_ascii_digit()) } else { h == part });
        match rest.get(part.len()..).filter(|_| fits) {
            Some(tail) => rest = tail,
            None => return (rest, part.into()),
        }
    }
    if fraction { (rest, ".000000".into()) } else { (rest, "Z07:00".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let mut form = text.to_owned();
        let result = canonical(&mut form).map(|()| form);
        assert_eq!(result.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn times_are_written_in_utc_with_seconds() {
        check("2026-07-01T12:00:00Z", Ok("2026-07-01T12:00:00Z"));
        check("2026-07-01T12:00:00.123Z", Ok("2026-07-01T12:00:00Z"));
        check("2026-07-01T14:00:00+02:00", Ok("2026-07-01T12:00:00Z"));
    }

    #[test]
    fn a_malformed_time_is_refused_in_gos_words() {
        check("soon", Err(r#"parsing time "soon" as "2006-01-02T15:04:05Z07:00": cannot parse "soon" as "2006""#));
        check(
            "2026-07-01 12:00:00Z",
            Err(
                r#"parsing time "2026-07-01 12:00:00Z" as "2006-01-02T15:04:05Z07:00": cannot parse " 12:00:00Z" as "T""#,
            ),
        );
    }

    #[test]
    fn micro_times_keep_six_digits() {
        let mut text = "2026-07-01T12:00:00.000001+00:00".to_owned();
        canonical_micro(&mut text).unwrap();
        assert_eq!(text, "2026-07-01T12:00:00.000001Z");
        assert!(canonical_micro(&mut "2026-07-01T12:00:00Z".to_owned()).is_err());
    }
}
