//! A JSON parser with Go's error words that notes duplicate fields.

use super::DecodeError;
use serde_json::{Map, Number, Value};
use std::fmt::Write;

/// The deepest nesting that is accepted. Go stops at 10,000; everything that reads our stored bytes is
/// recursive, serde_json stops at 128, and a list or a watch event adds a few levels.
pub const MAX_DEPTH: usize = 100;

/// A JSON document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    /// The document; of duplicate fields the last stands.
    pub value: Value,
    /// Paths of fields that stand twice in their object, such as `spec.containers[0].image`.
    pub duplicates: Vec<String>,
    /// What else a strict reader has against it, in sentences: it was YAML once.
    pub faults: Vec<String>,
}

/// Reads one JSON document.
pub fn parse(bytes: &[u8]) -> Result<Parsed, DecodeError> {
    let mut parser = Parser { bytes, at: 0, path: Vec::new(), duplicates: Vec::new() };
    let value = parser.value()?;
    parser.skip_space();
    match parser.peek() {
        None => Ok(Parsed { value, duplicates: parser.duplicates, faults: Vec::new() }),
        Some(c) => Err(unexpected(c, "after top-level value")),
    }
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    path: Vec<Step<'a>>,
    duplicates: Vec<String>,
}

enum Step<'a> {
    Field(&'a [u8]),
    Index(usize),
}

impl<'a> Parser<'a> {
    fn value(&mut self) -> Result<Value, DecodeError> {
        self.skip_space();
        match self.peek() {
            None => Err(unexpected_end()),
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b't') => self.literal("true", Value::Bool(true)),
            Some(b'f') => self.literal("false", Value::Bool(false)),
            Some(b'n') => self.literal("null", Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(c) => Err(unexpected(c, "looking for beginning of value")),
        }
    }

    fn object(&mut self) -> Result<Value, DecodeError> {
        self.enter(Step::Field(b""))?;
        let mut map = Map::new();
        self.skip_space();
        if self.eat(b'}') {
            self.path.pop();
            return Ok(Value::Object(map));
        }
        loop {
            self.skip_space();
            match self.peek() {
                Some(b'"') => {}
                other => return Err(wrong(other, "looking for beginning of object key string")),
            }
            let start = self.at + 1;
            let key = self.string()?;
            if let Some(step) = self.path.last_mut() {
                *step = Step::Field(self.bytes.get(start..self.at - 1).unwrap_or_default());
            }
            self.skip_space();
            if !self.eat(b':') {
                return Err(wrong(self.peek(), "after object key"));
            }
            let value = self.value()?;
            if map.insert(key, value).is_some() {
                self.note_duplicate();
            }
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                other => return Err(wrong(other, "after object key:value pair")),
            }
        }
        self.at += 1;
        self.path.pop();
        Ok(Value::Object(map))
    }

    fn array(&mut self) -> Result<Value, DecodeError> {
        self.enter(Step::Index(0))?;
        let mut items = Vec::new();
        self.skip_space();
        if self.eat(b']') {
            self.path.pop();
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value()?);
            if let Some(Step::Index(i)) = self.path.last_mut() {
                *i = items.len();
            }
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                other => return Err(wrong(other, "after array element")),
            }
        }
        self.at += 1;
        self.path.pop();
        Ok(Value::Array(items))
    }

    fn enter(&mut self, step: Step<'a>) -> Result<(), DecodeError> {
        if self.path.len() >= MAX_DEPTH {
            return Err(DecodeError::Syntax("exceeded max depth".into()));
        }
        self.at += 1;
        self.path.push(step);
        Ok(())
    }

    fn note_duplicate(&mut self) {
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Index(i) => {
                    let _ = write!(path, "[{i}]");
                }
                Step::Field(name) => {
                    let dot = if path.is_empty() { "" } else { "." };
                    let _ = write!(path, "{dot}{}", String::from_utf8_lossy(name));
                }
            }
        }
        if !self.duplicates.contains(&path) {
            self.duplicates.push(path);
        }
    }

    /// Reads a string; the opening quote is the current byte.
    fn string(&mut self) -> Result<String, DecodeError> {
        self.at += 1;
        let mut text: Vec<u8> = Vec::new();
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(plain) = rest.iter().position(|c| matches!(c, b'"' | b'\\' | 0..=0x1f)) else {
                return Err(unexpected_end());
            };
            text.extend_from_slice(rest.get(..plain).unwrap_or_default());
            self.at += plain + 1;
            match rest.get(plain).copied() {
                Some(b'"') => break,
                Some(b'\\') => self.escape(&mut text)?,
                other => return Err(wrong(other, "in string literal")),
            }
        }
        Ok(String::from_utf8(text).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()))
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), DecodeError> {
        let code = self.peek();
        self.at += 1;
        text.push(match code {
            Some(c @ (b'"' | b'\\' | b'/')) => c,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let c = self.unicode()?;
                text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            other => return Err(wrong(other, "in string escape code")),
        });
        Ok(())
    }

    /// `\uXXXX`, a surrogate pair included; a lone surrogate is U+FFFD as in Go.
    fn unicode(&mut self) -> Result<char, DecodeError> {
        let high = self.hex()?;
        if !(0xd800..0xdc00).contains(&high) || self.bytes.get(self.at..self.at + 2) != Some(b"\\u") {
            return Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let back = self.at;
        self.at += 2;
        let low = self.hex()?;
        if (0xdc00..0xe000).contains(&low) {
            let joined = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            return Ok(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        self.at = back;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Result<u32, DecodeError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|c| char::from(c).to_digit(16));
            let Some(digit) = digit else {
                return Err(wrong(self.peek(), "in \\u hexadecimal character escape"));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    fn literal(&mut self, word: &'static str, value: Value) -> Result<Value, DecodeError> {
        for expected in word.bytes() {
            if !self.eat(expected) {
                let context = format!("in literal {word} (expecting {})", quote(expected));
                return Err(wrong(self.peek(), &context));
            }
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, DecodeError> {
        let start = self.at;
        let mut whole = true;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits("in numeric literal")?;
        }
        if self.eat(b'.') {
            whole = false;
            self.digits("after decimal point in numeric literal")?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            whole = false;
            let _signed = self.eat(b'+') || self.eat(b'-');
            self.digits("in exponent of numeric literal")?;
        }
        let text = self.bytes.get(start..self.at).and_then(|t| std::str::from_utf8(t).ok()).unwrap_or_default();
        if let (true, Ok(integer)) = (whole, text.parse::<i64>()) {
            return Ok(Value::from(integer));
        }
        let float = text.parse::<f64>().ok().and_then(Number::from_f64);
        float.map(Value::Number).ok_or_else(|| DecodeError::Type {
            found: format!("number {text}"),
            place: "Go value".into(),
            expected: "float64".into(),
        })
    }

    fn digits(&mut self, context: &str) -> Result<(), DecodeError> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(wrong(self.peek(), context)) } else { Ok(()) }
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
}

fn wrong(found: Option<u8>, context: &str) -> DecodeError {
    found.map_or_else(unexpected_end, |c| unexpected(c, context))
}

fn unexpected(c: u8, context: &str) -> DecodeError {
    DecodeError::Syntax(format!("invalid character {} {context}", quote(c)))
}

fn unexpected_end() -> DecodeError {
    DecodeError::Syntax("unexpected end of JSON input".into())
}

/// A byte as Go's scanner quotes it.
fn quote(c: u8) -> String {
    match c {
        b'\'' => r"'\''".into(),
        b'"' => "'\"'".into(),
        b'\\' => r"'\\'".into(),
        b'\n' => r"'\n'".into(),
        b'\r' => r"'\r'".into(),
        b'\t' => r"'\t'".into(),
        0x07 => r"'\a'".into(),
        0x08 => r"'\b'".into(),
        0x0b => r"'\v'".into(),
        0x0c => r"'\f'".into(),
        0..=0x1f | 0x7f => format!("'\\x{c:02x}'"),
        0x80..=0x9f | 0xad => format!("'\\u{:04x}'", u32::from(c)),
        _ => format!("'{}'", char::from(c)),
    }
}
