//! One line of a log in CRI format: `2026-01-02T03:04:05.678901234Z stdout F text`.

use jiff::Timestamp;

/// One line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// When it was written.
    pub at: Timestamp,
    /// Its time as it stands in the file.
    pub stamp: &'a str,
    /// Whether it came from standard error.
    pub stderr: bool,
    /// Whether more of the same line follows.
    pub partial: bool,
    /// The text.
    pub text: &'a [u8],
}

/// Reads a line; `None` when it is not in CRI format.
pub fn parse(line: &[u8]) -> Option<Line<'_>> {
    let (stamp, rest) = word(line)?;
    let (stream, rest) = word(rest)?;
    let (tags, text) = word(rest)?;
    let stamp = std::str::from_utf8(stamp).ok()?;
    let stderr = match stream {
        b"stdout" => false,
        b"stderr" => true,
        _ => return None,
    };
    let partial = tags.split(|b| *b == b':').next() == Some(b"P");
    Some(Line { at: stamp.parse().ok()?, stamp, stderr, partial, text })
}

/// Writes a line with its end.
pub fn render(at: Timestamp, stderr: bool, partial: bool, text: &[u8]) -> Vec<u8> {
    let (stream, tag) = (if stderr { "stderr" } else { "stdout" }, if partial { 'P' } else { 'F' });
    let mut out = format!("{at:.9} {stream} {tag} ").into_bytes();
    out.extend_from_slice(text);
    out.push(b'\n');
    out
}

fn word(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = line.iter().position(|b| *b == b' ')?;
    Some((line.get(..end)?, line.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rendered_line_reads_back() {
        let at = "2026-01-02T03:04:05.678901234Z".parse().unwrap();
        let bytes = render(at, true, true, b"a b");
        assert_eq!(bytes, b"2026-01-02T03:04:05.678901234Z stderr P a b\n");
        let line = parse(&bytes[..bytes.len() - 1]).unwrap();
        assert_eq!((line.at, line.stderr, line.partial, line.text), (at, true, true, &b"a b"[..]));
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for text in ["", "x", "2026-01-02T03:04:05Z nowhere F x", "yesterday stdout F x"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
