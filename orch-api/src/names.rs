//! What names, labels and ports may look like, with upstream's words for what is wrong
//! (`apimachinery/pkg/util/validation`, `apimachinery/pkg/api/validate/content`).
//!
//! Every function returns the faults it found: none means valid.

/// The longest DNS label, label value, and name part of a qualified name.
pub const LABEL_MAX: usize = 63;
/// The longest DNS subdomain.
pub const SUBDOMAIN_MAX: usize = 253;

const LABEL_FMT: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN_FMT: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL_WORDS: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
     and must start and end with an alphanumeric character";
const SUBDOMAIN_WORDS: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
     '-' or '.', and must start and end with an alphanumeric character";

/// A label of RFC 1123, such as the name of a container or a namespace.
pub fn dns1123_label(value: &str) -> Vec<String> {
    let mut faults = too_long(value, LABEL_MAX);
    if !is_label(value) {
        faults.push(if is_subdomain(value) {
            "must not contain dots".into()
        } else {
            pattern(LABEL_WORDS, LABEL_FMT, &["my-name", "123-abc"])
        });
    }
    faults
}

/// A subdomain of RFC 1123: the name of most objects.
pub fn dns1123_subdomain(value: &str) -> Vec<String> {
    let mut faults = too_long(value, SUBDOMAIN_MAX);
    if !is_subdomain(value) {
        faults.push(pattern(SUBDOMAIN_WORDS, SUBDOMAIN_FMT, &["example.com"]));
    }
    faults
}

/// A subdomain whose first label is `*`.
pub fn wildcard_dns1123_subdomain(value: &str) -> Vec<String> {
    let mut faults = too_long(value, SUBDOMAIN_MAX);
    if !value.strip_prefix("*.").is_some_and(is_subdomain) {
        let words = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must \
             consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character";
        faults.push(pattern(words, &format!(r"\*\.{SUBDOMAIN_FMT}"), &["*.example.com"]));
    }
    faults
}

/// A label of RFC 1035: it starts with a letter. The name of a Service.
pub fn dns1035_label(value: &str) -> Vec<String> {
    let mut faults = too_long(value, LABEL_MAX);
    if !is_label(value) || !value.starts_with(|c: char| c.is_ascii_lowercase()) {
        let words = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
             alphabetic character, and end with an alphanumeric character";
        faults.push(pattern(words, "[a-z]([-a-z0-9]*[a-z0-9])?", &["my-name", "abc-123"]));
    }
    faults
}

/// A label key, annotation key or resource name: a name with an optional DNS prefix and `/`.
pub fn qualified_name(value: &str) -> Vec<String> {
    let words = || pattern(QUALIFIED_WORDS, QUALIFIED_FMT, &["MyName", "my.name", "123-abc"]);
    let mut faults = Vec::new();
    let name = match value.split_once('/') {
        None => value,
        Some((_, rest)) if rest.contains('/') => {
            let tail = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a valid label key {} {tail}", words())];
        }
        Some(("", name)) => {
            faults.push("prefix part must be non-empty".into());
            name
        }
        Some((prefix, name)) => {
            faults.extend(dns1123_subdomain(prefix).into_iter().map(|fault| format!("prefix part {fault}")));
            name
        }
    };
    match name.len() {
        0 => faults.push("name part must be non-empty".into()),
        1..=LABEL_MAX => {}
        _ => faults.push(format!("name part must be no more than {LABEL_MAX} bytes")),
    }
    if !is_name_part(name) {
        faults.push(format!("name part {}", words()));
    }
    faults
}

const QUALIFIED_FMT: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const QUALIFIED_WORDS: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
     an alphanumeric character";

/// The value of a label; may be empty.
pub fn label_value(value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if value.len() > LABEL_MAX {
        faults.push(format!("must be no more than {LABEL_MAX} bytes"));
    }
    if !value.is_empty() && !is_name_part(value) {
        let words =
            format!("a valid label must be an empty string or consist of alphanumeric characters, {LABEL_TAIL}");
        faults.push(pattern(&words, &format!("({QUALIFIED_FMT})?"), &["MyValue", "my_value", "12345"]));
    }
    faults
}

const LABEL_TAIL: &str = "'-', '_' or '.', and must start and end with an alphanumeric character";

/// The name of a container port, as an endpoint or a probe refers to it.
pub fn port_name(value: &str) -> Vec<String> {
    let mut faults = too_long(value, 15);
    if value.is_empty() || !value.bytes().all(|c| matches!(c, b'-' | b'a'..=b'z' | b'0'..=b'9')) {
        faults.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !value.bytes().any(|c| c.is_ascii_lowercase()) {
        faults.push("must contain at least one letter (a-z)".into());
    }
    if value.contains("--") {
        faults.push("must not contain consecutive hyphens".into());
    }
    if value.starts_with('-') || value.ends_with('-') {
        faults.push("must not begin or end with a hyphen".into());
    }
    faults
}

/// The number of a port.
pub fn port_number(value: i64) -> Vec<String> {
    in_range(value, 1, 65_535)
}

/// A number between two bounds, both included.
pub fn in_range(value: i64, low: i64, high: i64) -> Vec<String> {
    if (low..=high).contains(&value) {
        Vec::new()
    } else {
        vec![format!("must be between {low} and {high}, inclusive")]
    }
}

/// A user or group id.
pub fn unix_id(value: i64) -> Vec<String> {
    in_range(value, 0, i64::from(i32::MAX))
}

/// A percentage such as `25%`.
pub fn percent(value: &str) -> Vec<String> {
    let digits = value.strip_suffix('%').unwrap_or_default();
    if !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit()) {
        return Vec::new();
    }
    let words = "a valid percent string must be a numeric string followed by an ending '%'";
    vec![pattern(words, "[0-9]+%", &["1%", "93%"])]
}

/// The name of an environment variable: printable ASCII without `=`.
pub fn env_var_name(value: &str) -> Vec<String> {
    if value.is_empty() {
        return vec!["environment variable name must be non-empty".into()];
    }
    if value.bytes().all(|c| matches!(c, b' '..=b'~') && c != b'=') {
        return Vec::new();
    }
    vec!["a valid environment variable name must consist only of printable ASCII characters other than '='".into()]
}

/// A key of a ConfigMap or Secret: a file name.
pub fn config_map_key(value: &str) -> Vec<String> {
    let mut faults = too_long(value, SUBDOMAIN_MAX);
    let fits = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    if value.is_empty() || !value.bytes().all(fits) {
        let words = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        faults.push(pattern(words, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"]));
    }
    match value {
        "." => faults.push("must not be '.'".into()),
        ".." => faults.push("must not be '..'".into()),
        _ if value.starts_with("..") => faults.push("must not start with '..'".into()),
        _ => {}
    }
    faults
}

/// The name of an HTTP header.
pub fn http_header_name(value: &str) -> Vec<String> {
    if !value.is_empty() && value.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-') {
        return Vec::new();
    }
    let words = "a valid HTTP header must consist of alphanumeric characters or '-'";
    vec![pattern(words, "[-A-Za-z0-9]+", &["X-Header-Name"])]
}

/// An identifier of C.
pub fn c_identifier(value: &str) -> Vec<String> {
    let starts_well = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if starts_well && value.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') {
        return Vec::new();
    }
    let words = "a valid C identifier must start with alphabetic character or '_', followed by a string of \
         alphanumeric characters or '_'";
    vec![pattern(words, "[A-Za-z_][A-Za-z0-9_]*", &["my_name", "MY_NAME", "MyName"])]
}

/// The name of an object that becomes a segment of a URL path.
pub fn path_segment(value: &str) -> Vec<String> {
    if matches!(value, "." | "..") {
        return vec![format!("may not be '{value}'")];
    }
    let bad = ['/', '%'].into_iter().filter(|c| value.contains(*c));
    bad.map(|c| format!("may not contain '{c}'")).collect()
}

/// `must be no more than 63 characters`
pub fn max_length(max: usize) -> String {
    format!("must be no more than {max} characters")
}

pub(crate) fn too_long(value: &str, max: usize) -> Vec<String> {
    if value.len() > max { vec![max_length(max)] } else { Vec::new() }
}

/// The fault of a text that does not match a pattern, with examples of what does.
pub(crate) fn pattern(words: &str, regex: &str, examples: &[&str]) -> String {
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{words} (e.g. {}regex used for validation is '{regex}')", examples.join(" or "))
}

pub(crate) fn is_label(value: &str) -> bool {
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    value.bytes().all(|c| fits(c) || c == b'-')
        && value.bytes().next().is_some_and(fits)
        && value.bytes().next_back().is_some_and(fits)
}

fn is_subdomain(value: &str) -> bool {
    value.split('.').all(is_label)
}

fn is_name_part(value: &str) -> bool {
    value.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
        && value.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric())
        && value.bytes().next_back().is_some_and(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(validate: fn(&str) -> Vec<String>, good: &[&str], bad: &[&str]) {
        for value in good {
            assert_eq!(validate(value), Vec::<String>::new(), "{value}");
        }
        for value in bad {
            assert_ne!(validate(value), Vec::<String>::new(), "{value}");
        }
    }

    #[test]
    fn each_validator_knows_good_from_bad() {
        let long = "a".repeat(64);
        check(dns1123_label, &["a", "web-1", "0"], &["", "A", "-a", "a-", "a.b", "a_b", &long]);
        check(dns1123_subdomain, &["a.b-c.d", &long], &["", "a..b", ".a", "a.", "A.b", &"a".repeat(254)]);
        check(dns1035_label, &["a1"], &["1a", "", "a.b"]);
        check(wildcard_dns1123_subdomain, &["*.a.b"], &["a.b", "*", "*.*.a"]);
        check(qualified_name, &["a", "A.b_c-9", "example.com/x"], &["", "/x", "x/", "a/b/c", "-a", "Ex.com/x", &long]);
        check(label_value, &["", "a", "A_b.c-9"], &["-", "a b", "a/b", &long]);
        check(port_name, &["http", "p-1"], &["", "80", "a--b", "-a", "a-", "HTTP", "sixteen-letters-"]);
        check(percent, &["0%", "150%"], &["", "%", "1", "a%", "-1%"]);
        check(env_var_name, &["A", "a.b-c", "1 x"], &["", "a=b", "é", "\n"]);
        check(config_map_key, &["a.b", ".a"], &["", ".", "..", "..a", "a/b"]);
        check(http_header_name, &["X-A"], &["", "a b"]);
        check(c_identifier, &["_a1"], &["", "1a", "a-b"]);
        check(path_segment, &["a:b"], &[".", "..", "a/b", "50%"]);
    }

    #[test]
    fn the_words_are_upstreams() {
        assert_eq!(
            dns1123_label("A"),
            [
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
              end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
              '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ]
        );
        assert_eq!(dns1123_label("a.b"), ["must not contain dots"]);
        assert_eq!(port_number(0), ["must be between 1 and 65535, inclusive"]);
    }
}
