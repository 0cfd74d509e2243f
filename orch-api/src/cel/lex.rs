//! From text to tokens (the CEL language definition, "Syntax").

use super::ast::Literal;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Ident(Arc<str>),
    Literal(Literal),
    /// An operator or bracket.
    Sign(&'static str),
    End,
}

/// A fault of the text, at an offset in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) message: String,
}

pub(super) fn fault(at: usize, message: impl Into<String>) -> Fault {
    Fault { at, message: message.into() }
}

const SIGNS: [&str; 26] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",", "(", ")", "[", "]",
    "{", "}", "=", "|",
];

/// The tokens of a text with their offsets; the last one is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, Fault> {
    let chars: Vec<char> = text.chars().collect();
    let mut lexer = Lexer { chars: &chars, at: 0 };
    let mut all = Vec::new();
    loop {
        lexer.skip_blank();
        let at = lexer.at;
        let token = lexer.token()?;
        let end = token == Token::End;
        all.push((at, token));
        if end {
            return Ok(all);
        }
    }
}

struct Lexer<'a> {
    chars: &'a [char],
    at: usize,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn skip_blank(&mut self) {
        while let Some(c) = self.peek(0) {
            if c.is_whitespace() {
                self.at += 1;
            } else if c == '/' && self.peek(1) == Some('/') {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.at += 1;
                }
            } else {
                return;
            }
        }
    }

    fn token(&mut self) -> Result<Token, Fault> {
        let Some(c) = self.peek(0) else { return Ok(Token::End) };
        if c.is_ascii_digit() || (c == '.' && self.peek(1).is_some_and(|c| c.is_ascii_digit())) {
            return self.number();
        }
        if let Some((prefix, raw, bytes)) = self.quoted() {
            self.at += prefix;
            return self.string(raw, bytes);
        }
        if c.is_ascii_alphabetic() || c == '_' {
            return Ok(self.word());
        }
        if c == '`' {
            return self.backquoted();
        }
        for sign in SIGNS {
            if sign.chars().enumerate().all(|(i, s)| self.peek(i) == Some(s)) && !matches!(sign, "=" | "|") {
                self.at += sign.len();
                return Ok(Token::Sign(sign));
            }
        }
        Err(fault(self.at, format!("Syntax error: token recognition error at: '{c}'")))
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(c) = self.peek(0).filter(|c| fits(*c)) {
            text.push(c);
            self.at += 1;
        }
        text
    }

    fn word(&mut self) -> Token {
        let word = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        match word.as_str() {
            "true" => Token::Literal(Literal::Bool(true)),
            "false" => Token::Literal(Literal::Bool(false)),
            "null" => Token::Literal(Literal::Null),
            "in" => Token::Sign("in"),
            _ => Token::Ident(word.into()),
        }
    }

    /// A field name that is no identifier: `` self.`foo-bar` ``.
    fn backquoted(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        self.at += 1;
        let name = self.take_while(|c| c != '`');
        if self.peek(0).is_none() {
            return Err(fault(start, "Syntax error: token recognition error at: '`'"));
        }
        self.at += 1;
        Ok(Token::Ident(name.into()))
    }

    fn number(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        if self.peek(0) == Some('0') && matches!(self.peek(1), Some('x' | 'X')) {
            self.at += 2;
            let digits = self.take_while(|c| c.is_ascii_hexdigit());
            return self.whole(start, &digits, 16);
        }
        let mut digits = self.take_while(|c| c.is_ascii_digit());
        let fraction = self.peek(0) == Some('.') && self.peek(1).is_some_and(|c| c.is_ascii_digit());
        if fraction {
            self.at += 1;
            digits.push('.');
            digits.push_str(&self.take_while(|c| c.is_ascii_digit()));
        }
        let exponent = matches!(self.peek(0), Some('e' | 'E'))
            && match self.peek(1) {
                Some('+' | '-') => self.peek(2).is_some_and(|c| c.is_ascii_digit()),
                other => other.is_some_and(|c| c.is_ascii_digit()),
            };
        if exponent {
            digits.push('e');
            self.at += 1;
            digits.extend(self.peek(0).filter(|c| matches!(c, '+' | '-')).inspect(|_| self.at += 1));
            digits.push_str(&self.take_while(|c| c.is_ascii_digit()));
        }
        if !fraction && !exponent {
            return self.whole(start, &digits, 10);
        }
        digits.parse().map(|n| Token::Literal(Literal::Double(n))).map_err(|_| fault(start, "invalid double literal"))
    }

    fn whole(&mut self, start: usize, digits: &str, radix: u32) -> Result<Token, Fault> {
        if matches!(self.peek(0), Some('u' | 'U')) {
            self.at += 1;
            let parsed = u64::from_str_radix(digits, radix);
            return parsed.map(|n| Token::Literal(Literal::Uint(n))).map_err(|_| fault(start, "invalid uint literal"));
        }
        match i64::from_str_radix(digits, radix) {
            Ok(n) => Ok(Token::Literal(Literal::Int(n))),
            // Only as the operand of a minus; the parser makes it the least integer.
            Err(_) if digits == "9223372036854775808" => Ok(Token::Literal(Literal::Uint(1 << 63))),
            Err(_) => Err(fault(start, "invalid int literal")),
        }
    }

    /// Whether a string begins here: the length of its prefix, whether it is raw, whether it is bytes.
    fn quoted(&self) -> Option<(usize, bool, bool)> {
        let quote = |at: usize| matches!(self.peek(at), Some('"' | '\''));
        let prefix = |at: usize| self.peek(at).map(|c| c.to_ascii_lowercase());
        match (prefix(0), prefix(1)) {
            _ if quote(0) => Some((0, false, false)),
            (Some('r'), _) if quote(1) => Some((1, true, false)),
            (Some('b'), _) if quote(1) => Some((1, false, true)),
            (Some('r'), Some('b')) | (Some('b'), Some('r')) if quote(2) => Some((2, true, true)),
            _ => None,
        }
    }

    fn string(&mut self, raw: bool, bytes: bool) -> Result<Token, Fault> {
        let start = self.at;
        let Some(quote) = self.peek(0) else { return Ok(Token::End) };
        let triple = self.peek(1) == Some(quote) && self.peek(2) == Some(quote);
        let length = if triple { 3 } else { 1 };
        self.at += length;
        let mut out: Vec<u8> = Vec::new();
        loop {
            let Some(c) = self.peek(0).filter(|c| triple || *c != '\n') else {
                return Err(fault(start, format!("Syntax error: token recognition error at: '{quote}'")));
            };
            if c == quote && (!triple || (self.peek(1) == Some(quote) && self.peek(2) == Some(quote))) {
                self.at += length;
                break;
            }
            self.at += 1;
            if c == '\\' && !raw {
                self.escape(start, bytes, &mut out)?;
            } else {
                push(&mut out, c);
            }
        }
        Ok(Token::Literal(match bytes {
            true => Literal::Bytes(out.into()),
            false => Literal::String(String::from_utf8_lossy(&out).into()),
        }))
    }

    fn escape(&mut self, start: usize, bytes: bool, out: &mut Vec<u8>) -> Result<(), Fault> {
        let bad = || fault(start, "invalid string literal: unable to unescape string");
        let c = self.peek(0).ok_or_else(bad)?;
        self.at += 1;
        let simple = match c {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            '\\' | '\'' | '"' | '`' | '?' => c,
            'x' | 'X' => return self.code(2, 16, bytes, out).ok_or_else(bad),
            'u' if !bytes => return self.code(4, 16, false, out).ok_or_else(bad),
            'U' if !bytes => return self.code(8, 16, false, out).ok_or_else(bad),
            '0'..='3' => {
                self.at -= 1;
                return self.code(3, 8, bytes, out).ok_or_else(bad);
            }
            _ => return Err(bad()),
        };
        push(out, simple);
        Ok(())
    }

    fn code(&mut self, length: usize, radix: u32, byte: bool, out: &mut Vec<u8>) -> Option<()> {
        let digits: String = self.chars.get(self.at..self.at + length)?.iter().collect();
        let code = u32::from_str_radix(&digits, radix).ok()?;
        self.at += length;
        match byte {
            true => out.push(u8::try_from(code).ok()?),
            false => push(out, char::from_u32(code)?),
        }
        Some(())
    }
}

fn push(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}
