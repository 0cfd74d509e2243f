use super::*;
use jiff::Timestamp;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The next times of a schedule.
#[track_caller]
fn check(schedule: &str, zone_name: &str, after: &str, expect: &[&str]) {
    let (schedule, zone) = (Schedule::parse(schedule).unwrap(), zone(zone_name).unwrap());
    let mut after = at(after);
    for expect in expect {
        after = schedule.next(after, &zone).unwrap();
        assert_eq!(after, at(expect));
    }
}

#[test]
fn fields_have_steps_ranges_lists_and_names() {
    check("*/15 * * * *", "", "2026-07-01T10:01:02.5Z", &["2026-07-01T10:15:00Z", "2026-07-01T10:30:00Z"]);
    check("5/20 * * * *", "", "2026-07-01T10:00:00Z", &["2026-07-01T10:05:00Z", "2026-07-01T10:25:00Z"]);
    check("0 9-17/4 * * *", "", "2026-07-01T10:00:00Z", &["2026-07-01T13:00:00Z", "2026-07-01T17:00:00Z"]);
    check("0 0 1,15 JAN-mar *", "", "2026-02-10T00:00:00Z", &["2026-02-15T00:00:00Z", "2026-03-01T00:00:00Z"]);
    check("59 23 31 12 *", "", "2026-07-01T00:00:00Z", &["2026-12-31T23:59:00Z", "2027-12-31T23:59:00Z"]);
}

#[test]
fn a_time_is_never_its_own_next() {
    check("30 10 * * *", "", "2026-07-01T10:30:00Z", &["2026-07-02T10:30:00Z"]);
    check("30 10 * * *", "", "2026-07-01T10:29:59.999Z", &["2026-07-01T10:30:00Z"]);
}

#[test]
fn a_day_meets_either_field_unless_one_is_a_star() {
    // 3 July 2026 is a Friday.
    check(
        "0 0 13 * fri",
        "",
        "2026-07-01T00:00:00Z",
        &["2026-07-03T00:00:00Z", "2026-07-10T00:00:00Z", "2026-07-13T00:00:00Z"],
    );
    check("0 0 * * fri", "", "2026-07-01T00:00:00Z", &["2026-07-03T00:00:00Z", "2026-07-10T00:00:00Z"]);
    check("0 0 13 * *", "", "2026-07-01T00:00:00Z", &["2026-07-13T00:00:00Z", "2026-08-13T00:00:00Z"]);
    check("0 0 */2 * fri", "", "2026-07-01T00:00:00Z", &["2026-07-03T00:00:00Z", "2026-07-05T00:00:00Z"]);
}

#[test]
fn words_stand_for_schedules() {
    let after = "2026-07-01T10:10:10Z"; // A Wednesday.
    check("@hourly", "", after, &["2026-07-01T11:00:00Z"]);
    check("@daily", "", after, &["2026-07-02T00:00:00Z"]);
    check("@midnight", "", after, &["2026-07-02T00:00:00Z"]);
    check("@weekly", "", after, &["2026-07-05T00:00:00Z"]);
    check("@monthly", "", after, &["2026-08-01T00:00:00Z"]);
    check("@yearly", "", after, &["2027-01-01T00:00:00Z"]);
    check("@every 1h30m", "", after, &["2026-07-01T11:40:10Z", "2026-07-01T13:10:10Z"]);
    check("@every 10ms", "", after, &["2026-07-01T10:10:11Z"]);
}

#[test]
fn zones_have_their_own_midnight() {
    check("0 0 * * *", "Asia/Tokyo", "2026-07-01T10:00:00Z", &["2026-07-01T15:00:00Z"]);
    check("0 0 * * *", "America/New_York", "2026-07-01T10:00:00Z", &["2026-07-02T04:00:00Z"]);
    check("TZ=Asia/Tokyo 0 0 * * *", "", "2026-07-01T10:00:00Z", &["2026-07-01T15:00:00Z"]);
}

#[test]
fn a_time_that_the_clock_skips_does_not_happen() {
    // On 29 March 2026 two o'clock is followed by three.
    check("30 2 * * *", "Europe/Zurich", "2026-03-28T12:00:00Z", &["2026-03-30T00:30:00Z"]);
    check("0 * * * *", "Europe/Zurich", "2026-03-29T00:00:00Z", &["2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"]);
}

#[test]
fn a_time_that_the_clock_shows_twice_happens_twice() {
    // On 25 October 2026 three o'clock is followed by two.
    check("30 2 * * *", "Europe/Zurich", "2026-10-24T12:00:00Z", &["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]);
}

#[test]
fn a_day_without_a_midnight_begins_when_it_begins() {
    // In Santiago the clock goes from midnight to one on 6 September 2026.
    check("0 1 * * *", "America/Santiago", "2026-09-05T12:00:00Z", &["2026-09-06T04:00:00Z"]);
    check("0 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z", &["2026-09-07T03:00:00Z"]);
}

#[test]
fn what_never_happens_has_no_next_time() {
    let schedule = Schedule::parse("59 23 31 2 *").unwrap();
    assert_eq!(schedule.next(at("2026-07-01T00:00:00Z"), &TimeZone::UTC), None);
    check("0 0 29 2 *", "", "2026-07-01T00:00:00Z", &["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]);
}

#[test]
fn zones_are_known_by_their_exact_names() {
    for known in ["", "UTC", "Etc/UTC", "Europe/Zurich", "America/Argentina/Buenos_Aires", "US/Eastern", "GMT"] {
        assert!(zone(known).is_ok(), "{known}");
    }
    for unknown in ["utc", "europe/zurich", "Nowhere/Land", "Europe/"] {
        assert_eq!(zone(unknown), Err(format!("unknown time zone {unknown}")));
    }
}

#[test]
fn schedules_are_refused_in_the_words_of_robfig() {
    for fine in
        ["* * * * *", "*/5 0-6 1,15 jan-mar sun", "@daily", "@every 1h30m", "0 0 * * 0", "? ? ? ? ?", "1,,2 * * * *"]
    {
        assert!(Schedule::parse(fine).is_ok(), "{fine}");
    }
    for (schedule, complaint) in [
        ("", "empty spec string"),
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("a * * * *", "failed to parse int from a: strconv.Atoi: parsing \"a\": invalid syntax"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("@never", "unrecognized descriptor: @never"),
        ("@every x", "failed to parse duration @every x: time: invalid duration \"x\""),
        ("@every 5", "failed to parse duration @every 5: time: missing unit in duration \"5\""),
        ("TZ=Nowhere/Land * * * * *", "provided bad location Nowhere/Land: unknown time zone Nowhere/Land"),
    ] {
        assert_eq!(Schedule::parse(schedule), Err(complaint.to_owned()), "{schedule}");
    }
}
