//! From tokens to a syntax tree.

use super::{
    ast::{Call, Expr, Literal, Node},
    lex::{Fault, Token, fault, tokens},
    macros,
};
use std::sync::Arc;

/// Deeper nesting is refused: cel-go's default is 250.
const MAX_DEPTH: usize = 250;

/// Reads an expression.
pub(super) fn parse(text: &str) -> Result<Expr, Fault> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0, ids: 0, depth: 0 };
    let expression = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(expression),
        _ => Err(parser.unexpected("<EOF>")),
    }
}

pub(super) struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    ids: usize,
    depth: usize,
}

/// Binary operators from the loosest to the tightest, above the ternary one.
const LEVELS: [&[(&str, &str)]; 5] = [
    &[("||", "_||_")],
    &[("&&", "_&&_")],
    &[("<=", "_<=_"), ("<", "_<_"), (">=", "_>=_"), (">", "_>_"), ("==", "_==_"), ("!=", "_!=_"), ("in", "@in")],
    &[("+", "_+_"), ("-", "_-_")],
    &[("*", "_*_"), ("/", "_/_"), ("%", "_%_")],
];

/// Whether a word may be no identifier, because the language keeps it for later (`cel-go/parser`).
pub(crate) fn is_reserved(word: &str) -> bool {
    const WORDS: [&str; 17] = [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ];
    WORDS.contains(&word)
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(_, token)| token)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).or(self.tokens.last()).map_or(0, |(at, _)| *at)
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(s) if *s == sign)
    }

    /// Takes the sign and says where it stood.
    fn take(&mut self, sign: &str) -> Option<usize> {
        let at = self.at();
        self.is(sign).then(|| {
            self.next += 1;
            at
        })
    }

    fn expect(&mut self, sign: &str) -> Result<usize, Fault> {
        self.take(sign).ok_or_else(|| self.unexpected(&format!("'{sign}'")))
    }

    fn unexpected(&self, expected: &str) -> Fault {
        let found = match self.peek() {
            Token::End => "<EOF>".to_owned(),
            Token::Sign(sign) => (*sign).to_owned(),
            Token::Ident(name) => name.to_string(),
            Token::Literal(Literal::String(text)) => format!("\"{text}\""),
            Token::Literal(Literal::Int(n)) => n.to_string(),
            Token::Literal(literal) => format!("{literal:?}"),
        };
        fault(self.at(), format!("Syntax error: mismatched input '{found}' expecting {expected}"))
    }

    pub(super) fn expr(&mut self, at: usize, node: Node) -> Expr {
        self.ids += 1;
        Expr { id: self.ids - 1, at, node }
    }

    pub(super) fn call(&mut self, at: usize, function: &str, args: Vec<Expr>) -> Expr {
        self.expr(at, Node::Call(Call { function: function.into(), target: None, args }))
    }

    fn expression(&mut self) -> Result<Expr, Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(fault(self.at(), format!("expression recursion limit exceeded: {MAX_DEPTH}")));
        }
        let condition = self.binary(0)?;
        let expression = match self.take("?") {
            None => condition,
            Some(at) => {
                let yes = self.binary(0)?;
                self.expect(":")?;
                let no = self.expression()?;
                self.call(at, "_?_:_", vec![condition, yes, no])
            }
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn binary(&mut self, level: usize) -> Result<Expr, Fault> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        loop {
            let at = self.at();
            let Some((_, function)) = operators.iter().find(|(sign, _)| self.is(sign)) else { return Ok(left) };
            self.next += 1;
            let right = self.binary(level + 1)?;
            left = self.call(at, function, vec![left, right]);
        }
    }

    /// Signs before an operand; a pair of the same is none, as in cel-go.
    fn unary(&mut self) -> Result<Expr, Fault> {
        for (sign, function) in [("!", "!_"), ("-", "-_")] {
            let Some(at) = self.take(sign) else { continue };
            let mut odd = true;
            while self.take(sign).is_some() {
                odd = !odd;
            }
            if sign == "-"
                && odd
                && let Token::Literal(literal) = self.peek().clone()
            {
                let negated = match literal {
                    Literal::Int(n) => Some(Literal::Int(-n)),
                    Literal::Uint(n) if n == 1 << 63 => Some(Literal::Int(i64::MIN)),
                    Literal::Double(n) => Some(Literal::Double(-n)),
                    _ => None,
                };
                if let Some(negated) = negated {
                    self.next += 1;
                    let literal = self.expr(at, Node::Literal(negated));
                    return self.members(literal);
                }
            }
            let operand = self.member()?;
            return Ok(if odd { self.call(at, function, vec![operand]) } else { operand });
        }
        self.member()
    }

    fn member(&mut self) -> Result<Expr, Fault> {
        let primary = self.primary()?;
        self.members(primary)
    }

    fn members(&mut self, mut operand: Expr) -> Result<Expr, Fault> {
        loop {
            if let Some(at) = self.take(".") {
                let optional = self.take("?").is_some();
                let field = self.field()?;
                operand = match (optional, self.is("(")) {
                    (true, _) => {
                        let name = self.expr(at, Node::Literal(Literal::String(field)));
                        self.call(at, "_?._", vec![operand, name])
                    }
                    (false, true) => self.method(operand, field)?,
                    (false, false) => self.expr(at, Node::Select { operand: Box::new(operand), field, test: false }),
                };
            } else if let Some(at) = self.take("[") {
                let function = if self.take("?").is_some() { "_[?_]" } else { "_[_]" };
                let index = self.expression()?;
                self.expect("]")?;
                operand = self.call(at, function, vec![operand, index]);
            } else {
                return Ok(operand);
            }
        }
    }

    fn method(&mut self, target: Expr, function: Arc<str>) -> Result<Expr, Fault> {
        let at = self.expect("(")?;
        let args = self.arguments(")")?;
        macros::member(self, at, target, function, args)
    }

    fn field(&mut self) -> Result<Arc<str>, Fault> {
        let name = match self.peek() {
            Token::Ident(name) => name.clone(),
            Token::Sign("in") => "in".into(),
            _ => return Err(self.unexpected("IDENTIFIER")),
        };
        self.next += 1;
        Ok(name)
    }

    fn arguments(&mut self, close: &str) -> Result<Vec<Expr>, Fault> {
        let mut all = Vec::new();
        while self.take(close).is_none() {
            if !all.is_empty() {
                self.expect(",")?;
                if self.take(close).is_some() {
                    break;
                }
            }
            all.push(self.expression()?);
        }
        Ok(all)
    }

    fn primary(&mut self) -> Result<Expr, Fault> {
        let at = self.at();
        match self.peek().clone() {
            Token::Literal(Literal::Uint(n)) if n == 1 << 63 => Err(fault(at, "invalid int literal")),
            Token::Literal(literal) => {
                self.next += 1;
                Ok(self.expr(at, Node::Literal(literal)))
            }
            Token::Sign("(") => {
                self.next += 1;
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Sign("[") => self.list(),
            Token::Sign("{") => self.map(),
            Token::Sign(".") => {
                self.next += 1;
                self.name(at)
            }
            Token::Ident(_) => self.name(at),
            _ => Err(self.unexpected(
                "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, \
                 NUM_UINT, STRING, BYTES, IDENTIFIER}",
            )),
        }
    }

    /// A variable, a call or a struct.
    fn name(&mut self, at: usize) -> Result<Expr, Fault> {
        let name = self.field()?;
        if is_reserved(&name) {
            return Err(fault(at, format!("reserved identifier: {name}")));
        }
        if self.is("(") {
            let open = self.expect("(")?;
            let args = self.arguments(")")?;
            return macros::global(self, open, name, args);
        }
        if let Some(type_name) = self.struct_name(&name) {
            return self.fields(type_name);
        }
        Ok(self.expr(at, Node::Ident(name)))
    }

    /// `A.B.C` before a `{`, which makes it the name of a type.
    fn struct_name(&mut self, first: &str) -> Option<Arc<str>> {
        let (mut name, mut ahead) = (first.to_owned(), self.next);
        loop {
            match (self.tokens.get(ahead).map(|t| &t.1), self.tokens.get(ahead + 1).map(|t| &t.1)) {
                (Some(Token::Sign(".")), Some(Token::Ident(part))) => {
                    name.push('.');
                    name.push_str(part);
                    ahead += 2;
                }
                (Some(Token::Sign("{")), _) => {
                    self.next = ahead;
                    return Some(name.into());
                }
                _ => return None,
            }
        }
    }

    fn fields(&mut self, type_name: Arc<str>) -> Result<Expr, Fault> {
        let at = self.expect("{")?;
        let mut fields = Vec::new();
        while self.take("}").is_none() {
            let optional = self.take("?").is_some();
            let name = self.field()?;
            self.expect(":")?;
            fields.push((name, self.expression()?, optional));
            if self.take(",").is_none() && !self.is("}") {
                return Err(self.unexpected("'}'"));
            }
        }
        Ok(self.expr(at, Node::Struct(type_name, fields)))
    }

    fn list(&mut self) -> Result<Expr, Fault> {
        let at = self.expect("[")?;
        let mut items = Vec::new();
        while self.take("]").is_none() {
            let optional = self.take("?").is_some();
            items.push((self.expression()?, optional));
            if self.take(",").is_none() && !self.is("]") {
                return Err(self.unexpected("']'"));
            }
        }
        Ok(self.expr(at, Node::List(items)))
    }

    fn map(&mut self) -> Result<Expr, Fault> {
        let at = self.expect("{")?;
        let mut entries = Vec::new();
        while self.take("}").is_none() {
            let optional = self.take("?").is_some();
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?, optional));
            if self.take(",").is_none() && !self.is("}") {
                return Err(self.unexpected("'}'"));
            }
        }
        Ok(self.expr(at, Node::Map(entries)))
    }
}
