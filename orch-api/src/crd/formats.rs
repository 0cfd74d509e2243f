//! The formats of text that schemas may ask for (`apiserver/validation/formats.go`, `kube-openapi/pkg/validation/strfmt`).
//! Formats that are not known are not checked.

use crate::{cel, names, pattern};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether texts are checked for a format.
pub(super) fn is_known(format: &str) -> bool {
    const KNOWN: [&str; 27] = [
        "bsonobjectid",
        "byte",
        "cidr",
        "creditcard",
        "date",
        "date-time",
        "datetime",
        "duration",
        "email",
        "hexcolor",
        "hostname",
        "ipv4",
        "ipv6",
        "isbn",
        "isbn10",
        "isbn13",
        "k8s-long-name",
        "k8s-short-name",
        "mac",
        "password",
        "rgbcolor",
        "ssn",
        "uri",
        "uuid",
        "uuid3",
        "uuid4",
        "uuid5",
    ];
    KNOWN.contains(&format)
}

/// Whether a text has a format.
pub(super) fn fits(format: &str, text: &str) -> bool {
    let matches = |regex: &str| pattern::compile(regex).is_ok_and(|regex| regex.is_match(text));
    match format {
        "date" => text.len() == 10 && format!("{text}T00:00:00Z").parse::<jiff::Timestamp>().is_ok(),
        "datetime" | "date-time" => text.parse::<jiff::Timestamp>().is_ok() && text.contains(['T', 't']),
        "duration" => is_duration(text),
        "byte" => matches("^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"),
        "email" => matches(r"^[^\s@<>]+@[^\s@<>]+$"),
        "hostname" => {
            matches("^([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)(\\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$")
                && text.len() <= 255
        }
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => {
            matches("^([0-9A-Fa-f]{2}[:-]){5,7}[0-9A-Fa-f]{2}$") || matches("^([0-9A-Fa-f]{4}\\.){2,3}[0-9A-Fa-f]{4}$")
        }
        "uri" => matches("^([A-Za-z][A-Za-z0-9+.-]*:|/)\\S*$"),
        "uuid" => matches("(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$"),
        "uuid3" => matches("(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$"),
        "uuid4" => matches("(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$"),
        "uuid5" => matches("(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$"),
        "bsonobjectid" => matches("^[0-9a-fA-F]{24}$"),
        "creditcard" => is_card(text),
        "isbn" => is_isbn10(text) || is_isbn13(text),
        "isbn10" => is_isbn10(text),
        "isbn13" => is_isbn13(text),
        "ssn" => matches("^\\d{3}[- ]?\\d{2}[- ]?\\d{4}$"),
        "hexcolor" => matches("^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"),
        "rgbcolor" => matches(
            "^rgb\\(\\s*(0|[1-9]\\d?|1\\d\\d?|2[0-4]\\d|25[0-5])\\s*,\\s*(0|[1-9]\\d?|1\\d\\d?|2[0-4]\\d|25[0-5])\\s*,\\s*(0|[1-9]\\d?|1\\d\\d?|2[0-4]\\d|25[0-5])\\s*\\)$",
        ),
        "k8s-short-name" => names::dns1123_label(text).is_empty(),
        "k8s-long-name" => names::dns1123_subdomain(text).is_empty(),
        _ => true,
    }
}

/// Go's form, or a number with the word of a unit.
fn is_duration(text: &str) -> bool {
    const WORDS: &str = "^\\s*\\d+(\\.\\d+)?\\s*(nanoseconds?|microseconds?|milliseconds?|seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|weeks?|ns|us|µs|ms|s|m|h|d|w)\\s*$";
    cel::go::parse(text).is_some() || pattern::compile(WORDS).is_ok_and(|regex| regex.is_match(text))
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    match (address.parse::<IpAddr>(), bits.parse::<u8>()) {
        (Ok(IpAddr::V4(_)), Ok(bits)) => bits <= 32,
        (Ok(IpAddr::V6(_)), Ok(bits)) => bits <= 128,
        _ => false,
    }
}

fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|c| c.to_digit(10)).collect()
}

fn is_card(text: &str) -> bool {
    let digits = digits(text);
    if !(13..=19).contains(&digits.len()) || !text.chars().all(|c| c.is_ascii_digit() || c == ' ' || c == '-') {
        return false;
    }
    let double = |d: u32| if d > 4 { d * 2 - 9 } else { d * 2 };
    let sum: u32 = digits.iter().rev().enumerate().map(|(i, d)| if i % 2 == 1 { double(*d) } else { *d }).sum();
    sum.is_multiple_of(10)
}

fn is_isbn10(text: &str) -> bool {
    let bare: Vec<char> = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    let value = |(i, c): (usize, &char)| match c {
        'X' | 'x' if i == 9 => Some(10),
        c => c.to_digit(10),
    };
    let values: Option<Vec<u32>> = bare.iter().enumerate().map(value).collect();
    values.is_some_and(|v| v.len() == 10 && v.iter().zip((1..=10).rev()).map(|(v, w)| v * w).sum::<u32>() % 11 == 0)
}

fn is_isbn13(text: &str) -> bool {
    let digits = digits(text);
    let plain = text.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | ' '));
    let sum: u32 = digits.iter().enumerate().map(|(i, d)| if i % 2 == 1 { d * 3 } else { *d }).sum();
    plain && digits.len() == 13 && sum.is_multiple_of(10)
}
