//! Rules for names and other short texts, with the words of `apimachinery/pkg/util/validation` and
//! `apimachinery/pkg/api/validate/content`. Each returns its complaints; none means valid.

const DNS_LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";

/// What is wrong with a text; empty when nothing is.
pub(crate) type Complaints = Vec<String>;

/// `my-name`: at most 63 lower-case letters, digits and inner dashes.
pub(crate) fn dns_label(value: &str) -> Complaints {
    let mut out = longer_than(value, 63);
    if !is_dns_label(value) {
        out.push(if is_dns_subdomain(value) {
            "must not contain dots".into()
        } else {
            let words = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
            pattern(words, DNS_LABEL, &["my-name", "123-abc"])
        });
    }
    out
}

/// `example.com`: labels joined by dots, at most 253 characters.
pub(crate) fn dns_subdomain(value: &str) -> Complaints {
    let mut out = longer_than(value, 253);
    if !is_dns_subdomain(value) {
        let words = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
        out.push(pattern(words, &format!(r"{DNS_LABEL}(\.{DNS_LABEL})*"), &["example.com"]));
    }
    out
}

/// `*.example.com`
pub(crate) fn wildcard_dns_subdomain(value: &str) -> Complaints {
    let mut out = longer_than(value, 253);
    if !value.strip_prefix("*.").is_some_and(is_dns_subdomain) {
        let words = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character";
        out.push(pattern(words, &format!(r"\*\.{DNS_LABEL}(\.{DNS_LABEL})*"), &["*.example.com"]));
    }
    out
}

/// A DNS label that starts with a letter, as names of Services used to.
pub(crate) fn dns_1035_label(value: &str) -> Complaints {
    let mut out = longer_than(value, 63);
    if !is_dns_label(value) || !value.starts_with(|c: char| c.is_ascii_lowercase()) {
        let words = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character";
        out.push(pattern(words, "[a-z]([-a-z0-9]*[a-z0-9])?", &["my-name", "abc-123"]));
    }
    out
}

/// What a path segment must not be: names of RBAC objects and the like.
pub(crate) fn path_segment(value: &str) -> Complaints {
    match value {
        "." | ".." => vec![format!("may not be '{value}'")],
        _ => path_segment_prefix(value),
    }
}

/// Like [`path_segment`] for the beginning of a name.
pub(crate) fn path_segment_prefix(value: &str) -> Complaints {
    ['/', '%'].iter().filter(|c| value.contains(**c)).map(|c| format!("may not contain '{c}'")).collect()
}

/// `app.kubernetes.io/name`: keys of labels, annotations, finalizers, extended resources.
pub(crate) fn qualified(value: &str) -> Complaints {
    let mut out = Vec::new();
    let words = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
    let regex = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
    let examples = ["MyName", "my.name", "123-abc"];
    let name = match value.split('/').collect::<Vec<_>>()[..] {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                out.push("prefix part must be non-empty".into());
            } else {
                out.extend(dns_subdomain(prefix).into_iter().map(|message| format!("prefix part {message}")));
            }
            name
        }
        _ => {
            let message = pattern(&format!("a valid label key {words}"), regex, &examples);
            out.push(format!("{message} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"));
            return out;
        }
    };
    if name.is_empty() {
        out.push("name part must be non-empty".into());
    } else if name.len() > 63 {
        out.push("name part must be no more than 63 bytes".into());
    }
    if !is_label_text(name) {
        out.push(format!("name part {}", pattern(words, regex, &examples)));
    }
    out
}

/// Values of labels: empty, or at most 63 characters.
pub(crate) fn label_value(value: &str) -> Complaints {
    let mut out = Vec::new();
    if value.len() > 63 {
        out.push("must be no more than 63 bytes".into());
    }
    if !value.is_empty() && !is_label_text(value) {
        let words = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
        let regex = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
        out.push(pattern(words, regex, &["MyValue", "my_value", "12345"]));
    }
    out
}

/// Names of container ports.
pub(crate) fn port_name(value: &str) -> Complaints {
    let mut out = longer_than(value, 15);
    if value.is_empty() || !value.bytes().all(|b| b == b'-' || b.is_ascii_lowercase() || b.is_ascii_digit()) {
        out.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !value.bytes().any(|b| b.is_ascii_lowercase()) {
        out.push("must contain at least one letter (a-z)".into());
    }
    if value.contains("--") {
        out.push("must not contain consecutive hyphens".into());
    }
    if value.starts_with('-') || value.ends_with('-') {
        out.push("must not begin or end with a hyphen".into());
    }
    out
}

/// `25%`
pub(crate) fn percent(value: &str) -> Complaints {
    match value.strip_suffix('%') {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => Vec::new(),
        _ => {
            let words = "a valid percent string must be a numeric string followed by an ending '%'";
            vec![pattern(words, "[0-9]+%", &["1%", "93%"])]
        }
    }
}

/// Names of HTTP headers.
pub(crate) fn http_header(value: &str) -> Complaints {
    if !value.is_empty() && value.bytes().all(|b| b == b'-' || b.is_ascii_alphanumeric()) {
        return Vec::new();
    }
    let words = "a valid HTTP header must consist of alphanumeric characters or '-'";
    vec![pattern(words, "[-A-Za-z0-9]+", &["X-Header-Name"])]
}

/// Names of environment variables: printable ASCII without `=`.
pub(crate) fn env_name(value: &str) -> Complaints {
    if value.is_empty() {
        return vec!["environment variable name must be non-empty".into()];
    }
    if value.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=') {
        return Vec::new();
    }
    vec!["a valid environment variable name must consist only of printable ASCII characters other than '='".into()]
}

/// Keys of ConfigMaps and Secrets.
pub(crate) fn config_key(value: &str) -> Complaints {
    let mut out = longer_than(value, 253);
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        let words = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        out.push(pattern(words, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"]));
    }
    match value {
        "." | ".." => out.push(format!("must not be '{value}'")),
        _ if value.starts_with("..") => out.push("must not start with '..'".into()),
        _ => {}
    }
    out
}

/// IPv4 or IPv6, without leading zeros or a zone.
pub(crate) fn ip(value: &str) -> Complaints {
    match value.parse::<std::net::IpAddr>() {
        Ok(_) => Vec::new(),
        Err(_) => vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".into()],
    }
}

/// An IP address and the length of its prefix.
pub(crate) fn cidr(value: &str) -> Complaints {
    let parsed = value.split_once('/').and_then(|(ip, bits)| {
        let ip: std::net::IpAddr = ip.parse().ok()?;
        let bits = bits.parse::<u8>().ok().filter(|n| *n <= if ip.is_ipv4() { 32 } else { 128 })?;
        Some((ip, bits))
    });
    match parsed {
        Some(_) => Vec::new(),
        None => vec!["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)".into()],
    }
}

/// The beginning of a generated name, judged by the rule for whole names.
pub(crate) fn mask_trailing_dash(name: &str) -> String {
    match name.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => {
            let mut chars = rest.chars();
            chars.next_back();
            format!("{}a", chars.as_str())
        }
        _ => name.to_owned(),
    }
}

/// Go's `strings.Join(msg, ";")` of several complaints.
pub(crate) fn joined(complaints: &[String]) -> String {
    complaints.join(";")
}

/// Whether the text is a DNS label, whatever its length.
fn is_dns_label(value: &str) -> bool {
    let alnum = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = value.as_bytes();
    bytes.first().is_some_and(alnum) && bytes.last().is_some_and(alnum) && bytes.iter().all(|b| alnum(b) || *b == b'-')
}

fn is_dns_subdomain(value: &str) -> bool {
    value.split('.').all(is_dns_label)
}

fn is_label_text(value: &str) -> bool {
    let bytes = value.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn longer_than(value: &str, max: usize) -> Complaints {
    if value.len() > max { vec![format!("must be no more than {max} characters")] } else { Vec::new() }
}

fn pattern(words: &str, regex: &str, examples: &[&str]) -> String {
    let examples: Vec<String> = examples.iter().map(|e| format!("'{e}', ")).collect();
    format!("{words} (e.g. {}regex used for validation is '{regex}')", examples.join(" or "))
}
