//! Whether a bundle of certificate authorities can be read (`apiserver/pkg/util/webhook/validation.go`, with the words of
//! `client-go/transport`). As in Go, one certificate that can be read is enough.

const UNREADABLE: &str = "unable to load root certificates: ";

/// Why a `caBundle`, in base64, names no authority; `None` where it does, or is empty.
pub fn fault(encoded: &str) -> Option<String> {
    let bytes = decoded(encoded).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    if bytes.is_empty() {
        return None;
    }
    let mut blocks = Blocks(&text).peekable();
    if blocks.peek().is_none() {
        return Some(format!("{UNREADABLE}unable to parse bytes as PEM block"));
    }
    let certificates: Vec<bool> =
        blocks.filter(|(kind, _)| *kind == "CERTIFICATE").map(|(_, der)| is_certificate(&der)).collect();
    match (certificates.contains(&true), certificates.is_empty()) {
        (true, _) => None,
        (false, true) => Some(format!("{UNREADABLE}no valid certificate authority data seen")),
        (false, false) => Some(format!("{UNREADABLE}failed to parse certificate: x509: malformed certificate")),
    }
}

/// The PEM blocks of a text: kind and content.
struct Blocks<'a>(&'a str);

impl<'a> Iterator for Blocks<'a> {
    type Item = (&'a str, Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        const BEGIN: &str = "-----BEGIN ";
        loop {
            let rest = self.0.get(self.0.find(BEGIN)? + BEGIN.len()..)?;
            let (kind, rest) = rest.split_once("-----")?;
            self.0 = rest;
            let Some((body, after)) = rest.split_once(&format!("-----END {kind}-----")) else { continue };
            self.0 = after;
            if let Some(content) = decoded(body) {
                return Some((kind, content));
            }
        }
    }
}

/// Standard base64; white space counts nothing.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let (mut out, mut held, mut bits) = (Vec::with_capacity(text.len() / 4 * 3), 0u32, 0);
    for c in text.bytes().filter(|c| !c.is_ascii_whitespace()) {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => continue,
            _ => return None,
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits & 0xff) as u8);
        }
    }
    Some(out)
}

/// Whether bytes have the shape of a certificate: what is signed, the algorithm, and the signature, and nothing else.
fn is_certificate(der: &[u8]) -> bool {
    const SEQUENCE: u8 = 0x30;
    const BIT_STRING: u8 = 0x03;
    let Some((SEQUENCE, inner, [])) = element(der) else { return false };
    let Some((SEQUENCE, signed, rest)) = element(inner) else { return false };
    let Some((SEQUENCE, _, rest)) = element(rest) else { return false };
    matches!(element(rest), Some((BIT_STRING, _, []))) && element(signed).is_some()
}

/// Tag and content of the first element, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let count = usize::from(first & 0x7f);
        let digits = rest.get(..count).filter(|digits| (1..=4).contains(&digits.len()))?;
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        rest = rest.get(count..)?;
    }
    Some((tag, rest.get(..length)?, rest.get(length..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SEQUENCE { SEQUENCE { INTEGER 1 }, SEQUENCE {}, BIT STRING }` in PEM, and that in base64, as in JSON.
    const SHAPED: &str =
        "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1Bc3dBd0lCQVRBQUF3SUFBUT09Ci0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K";
    /// A block that is no certificate, and one that says it is.
    const KEY: &str = "LS0tLS1CRUdJTiBLRVktLS0tLQpBQUFBCi0tLS0tRU5EIEtFWS0tLS0t";
    const BROKEN: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBQUEKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=";

    #[test]
    fn a_bundle_needs_one_certificate_that_can_be_read() {
        let check = |bundle: &str, expected: Option<&str>| {
            assert_eq!(fault(bundle), expected.map(|why| format!("{UNREADABLE}{why}")), "{bundle}");
        };
        check("", None);
        check(SHAPED, None);
        check("bm9uc2Vuc2U=", Some("unable to parse bytes as PEM block"));
        check(KEY, Some("no valid certificate authority data seen"));
        check(BROKEN, Some("failed to parse certificate: x509: malformed certificate"));
    }
}
