//! The text form of label selectors.

use super::{Operator, Requirement, SelectorError, key_fault};

/// Reads `a=b,c in (d,e),!f`.
pub(super) fn selector(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    let mut parser = Parser { tokens: tokens(text), at: 0 };
    let mut requirements = Vec::new();
    loop {
        match parser.peek() {
            Token::End => return Ok(requirements),
            Token::Word(_) | Token::Symbol("!") => {}
            other => return refuse(&other, "!, identifier, or 'end of string'"),
        }
        let requirement = parser.requirement();
        requirements.push(requirement.map_err(|e| SelectorError(format!("unable to parse requirement: {e}")))?);
        match parser.next() {
            Token::End => return Ok(requirements),
            Token::Symbol(",") => match parser.peek() {
                Token::Word(_) | Token::Symbol("!") => {}
                other => return refuse(&other, "identifier after ','"),
            },
            other => return refuse(&other, "',' or 'end of string'"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    Symbol(&'a str),
    End,
}

/// The special characters, and how they make symbols.
const SPECIAL: &str = "=!(),><";
const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];
const SPACE: &[char] = &[' ', '\t', '\r', '\n'];

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(SPACE);
    while !rest.is_empty() {
        let (token, length) = match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            Some(symbol) => (Token::Symbol(symbol), symbol.len()),
            None => {
                let length = rest.find(|c: char| SPACE.contains(&c) || SPECIAL.contains(c)).unwrap_or(rest.len());
                (Token::Word(rest.get(..length).unwrap_or_default()), length)
            }
        };
        tokens.push(token);
        rest = rest.get(length..).unwrap_or_default().trim_start_matches(SPACE);
    }
    tokens
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let negated = self.peek() == Token::Symbol("!");
        self.at += usize::from(negated);
        let key = match self.next() {
            Token::Word(key) => key,
            other => return refuse(&other, "identifier"),
        };
        if let Some(fault) = key_fault("", key) {
            return Err(SelectorError(fault));
        }
        if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            let operator = if negated { Operator::DoesNotExist } else { Operator::Exists };
            return Requirement::new(key, operator, Vec::new());
        }
        let operator = self.operator()?;
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => vec![self.exact_value()?],
        };
        Requirement::new(key, operator, values)
    }

    fn operator(&mut self) -> Result<Operator, SelectorError> {
        Ok(match self.next() {
            Token::Word("in") => Operator::In,
            Token::Word("notin") => Operator::NotIn,
            Token::Symbol("=") => Operator::Equals,
            Token::Symbol("==") => Operator::DoubleEquals,
            Token::Symbol("!=") => Operator::NotEquals,
            Token::Symbol(">") => Operator::GreaterThan,
            Token::Symbol("<") => Operator::LessThan,
            other => return refuse(&other, "in, notin, =, ==, !=, gt, lt"),
        })
    }

    /// `(a,b)`; an empty place between commas is the empty value.
    fn values(&mut self) -> Result<Vec<String>, SelectorError> {
        match self.next() {
            Token::Symbol("(") => {}
            other => return Err(SelectorError(format!("found '{}' expected: '('", other.text()))),
        }
        let mut values: Vec<String> = Vec::new();
        let mut place = String::new();
        loop {
            match self.next() {
                Token::Word(word) if place.is_empty() => place = word.to_owned(),
                Token::Symbol(",") => values.push(std::mem::take(&mut place)),
                Token::Symbol(")") => break,
                other if place.is_empty() => return refuse(&other, "',', or identifier"),
                other => return refuse(&other, "',' or ')'"),
            }
        }
        values.push(place);
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    fn exact_value(&mut self) -> Result<String, SelectorError> {
        match self.peek() {
            Token::End | Token::Symbol(",") => Ok(String::new()),
            Token::Word(word) => {
                self.at += 1;
                Ok(word.to_owned())
            }
            other => refuse(&other, "identifier"),
        }
    }

    fn peek(&self) -> Token<'a> {
        self.tokens.get(self.at).copied().unwrap_or(Token::End)
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.at += 1;
        token
    }
}

impl Token<'_> {
    fn text(&self) -> &str {
        match self {
            Token::Word(text) | Token::Symbol(text) => text,
            Token::End => "",
        }
    }
}

fn refuse<T>(found: &Token<'_>, expected: &str) -> Result<T, SelectorError> {
    Err(SelectorError(format!("found '{}', expected: {expected}", found.text())))
}
