//! The macros: `has`, `all`, `exists`, `exists_one`, `map`, `filter`, those of two variables, `optMap`, `sortBy`
//! and `cel.bind`-like forms become folds (`cel-go/parser/macro.go`, `ext/comprehensions.go`).

use super::{
    ast::{ACCU, Call, Expr, Fold, Literal, Node},
    lex::{Fault, fault},
    parse::Parser,
};
use std::sync::Arc;

/// A call without a target.
pub(super) fn global(parser: &mut Parser, at: usize, function: Arc<str>, mut args: Vec<Expr>) -> Result<Expr, Fault> {
    if &*function != "has" || args.len() != 1 {
        return Ok(parser.expr(at, Node::Call(Call { function, target: None, args })));
    }
    match args.pop().map(|arg| (arg.at, arg.node)) {
        Some((_, Node::Select { operand, field, .. })) => {
            Ok(parser.expr(at, Node::Select { operand, field, test: true }))
        }
        other => Err(fault(other.map_or(at, |(at, _)| at), "invalid argument to has() macro")),
    }
}

/// A call with a target.
pub(super) fn member(
    parser: &mut Parser,
    at: usize,
    target: Expr,
    function: Arc<str>,
    args: Vec<Expr>,
) -> Result<Expr, Fault> {
    let mut make = Maker { parser, at };
    match (&*function, args.len()) {
        ("all" | "exists" | "exists_one" | "existsOne" | "map" | "filter", 2) => {
            let [var, body] = array(args, at)?;
            let var = variable(&var)?;
            Ok(make.one(target, &function, var, body, None))
        }
        ("map", 3) => {
            let [var, test, body] = array(args, at)?;
            let var = variable(&var)?;
            Ok(make.one(target, "map", var, body, Some(test)))
        }
        ("all" | "exists" | "existsOne" | "exists_one" | "transformList" | "transformMap" | "transformMapEntry", 3) => {
            let [key, value, body] = array(args, at)?;
            let vars = (variable(&key)?, variable(&value)?);
            Ok(make.two(target, &function, vars, body, None))
        }
        ("transformList" | "transformMap" | "transformMapEntry", 4) => {
            let [key, value, test, body] = array(args, at)?;
            let vars = (variable(&key)?, variable(&value)?);
            Ok(make.two(target, &function, vars, body, Some(test)))
        }
        ("optMap" | "optFlatMap", 2) => {
            let [var, body] = array(args, at)?;
            let var = variable(&var)?;
            Ok(make.optional(target, var, body, &*function == "optMap"))
        }
        ("sortBy", 2) => {
            let [var, body] = array(args, at)?;
            let var = variable(&var)?;
            let keys = make.one(target.clone(), "map", var, body, None);
            Ok(make.parser.call(at, "@sortByAssociatedKeys", vec![target, keys]))
        }
        _ => {
            let call = Call { function, target: Some(Box::new(target)), args };
            Ok(make.parser.expr(at, Node::Call(call)))
        }
    }
}

fn array<const N: usize>(args: Vec<Expr>, at: usize) -> Result<[Expr; N], Fault> {
    args.try_into().map_err(|_| fault(at, "wrong number of arguments"))
}

fn variable(expr: &Expr) -> Result<Arc<str>, Fault> {
    match &expr.node {
        Node::Ident(name) => Ok(name.clone()),
        _ => Err(fault(expr.at, "argument must be a simple name")),
    }
}

struct Maker<'a> {
    parser: &'a mut Parser,
    at: usize,
}

impl Maker<'_> {
    fn literal(&mut self, literal: Literal) -> Expr {
        self.parser.expr(self.at, Node::Literal(literal))
    }

    fn truth(&mut self, truth: bool) -> Expr {
        self.literal(Literal::Bool(truth))
    }

    fn accu(&mut self) -> Expr {
        self.parser.expr(self.at, Node::Ident(ACCU.into()))
    }

    fn call(&mut self, function: &str, args: Vec<Expr>) -> Expr {
        self.parser.call(self.at, function, args)
    }

    fn list(&mut self, items: Vec<Expr>) -> Expr {
        self.parser.expr(self.at, Node::List(items.into_iter().map(|item| (item, false)).collect()))
    }

    /// `init`, `condition`, `step` and `result` of a macro whose body is evaluated per item.
    fn parts(&mut self, function: &str, body: Expr, test: Option<Expr>) -> [Expr; 4] {
        let accu = self.accu();
        let (init, condition, step, result) = match function {
            "all" => {
                let condition = self.call("@not_strictly_false", vec![accu]);
                let accu = self.accu();
                (self.truth(true), condition, self.call("_&&_", vec![accu, body]), self.accu())
            }
            "exists" => {
                let not = self.call("!_", vec![accu]);
                let condition = self.call("@not_strictly_false", vec![not]);
                let accu = self.accu();
                (self.truth(false), condition, self.call("_||_", vec![accu, body]), self.accu())
            }
            "exists_one" | "existsOne" => {
                let one = self.literal(Literal::Int(1));
                let more = self.call("_+_", vec![accu, one]);
                let same = self.accu();
                let step = self.call("_?_:_", vec![body, more, same]);
                let (accu, one) = (self.accu(), self.literal(Literal::Int(1)));
                let result = self.call("_==_", vec![accu, one]);
                (self.literal(Literal::Int(0)), self.truth(true), step, result)
            }
            _ => {
                let item = self.list(vec![body]);
                let more = self.call("_+_", vec![accu, item]);
                let step = match test {
                    None => more,
                    Some(test) => {
                        let same = self.accu();
                        self.call("_?_:_", vec![test, more, same])
                    }
                };
                (self.list(Vec::new()), self.truth(true), step, self.accu())
            }
        };
        [init, condition, step, result]
    }

    fn one(&mut self, range: Expr, function: &str, var: Arc<str>, body: Expr, test: Option<Expr>) -> Expr {
        let [init, condition, step, result] = match function {
            "filter" => {
                let item = self.parser.expr(self.at, Node::Ident(var.clone()));
                self.parts("map", item, Some(body))
            }
            function => self.parts(function, body, test),
        };
        let fold = Fold { range, var, var2: None, accu: ACCU.into(), init, condition, step, result };
        self.parser.expr(self.at, Node::Fold(Box::new(fold)))
    }

    fn two(
        &mut self,
        range: Expr,
        function: &str,
        (key, value): (Arc<str>, Arc<str>),
        body: Expr,
        test: Option<Expr>,
    ) -> Expr {
        let [init, condition, step, result] = match function {
            "transformMap" | "transformMapEntry" => {
                let accu = self.accu();
                let name = self.parser.expr(self.at, Node::Ident(key.clone()));
                let more = match function {
                    "transformMap" => self.call("cel.@mapInsert", vec![accu, name, body]),
                    _ => self.call("cel.@mapInsert", vec![accu, body]),
                };
                let step = match test {
                    None => more,
                    Some(test) => {
                        let same = self.accu();
                        self.call("_?_:_", vec![test, more, same])
                    }
                };
                [self.parser.expr(self.at, Node::Map(Vec::new())), self.truth(true), step, self.accu()]
            }
            function => self.parts(function, body, test),
        };
        let fold = Fold { range, var: key, var2: Some(value), accu: ACCU.into(), init, condition, step, result };
        self.parser.expr(self.at, Node::Fold(Box::new(fold)))
    }

    /// `target.hasValue() ? optional.of(body with var = target.value()) : optional.none()`
    fn optional(&mut self, target: Expr, var: Arc<str>, body: Expr, wrap: bool) -> Expr {
        let method = |maker: &mut Self, name: &str| {
            let target = Some(Box::new(target.clone()));
            maker.parser.expr(maker.at, Node::Call(Call { function: name.into(), target, args: Vec::new() }))
        };
        let (has, value) = (method(self, "hasValue"), method(self, "value"));
        let unused: Arc<str> = "#unused".into();
        let fold = Fold {
            range: self.list(Vec::new()),
            var: unused,
            var2: None,
            accu: var.clone(),
            init: value,
            condition: self.truth(false),
            step: self.parser.expr(self.at, Node::Ident(var)),
            result: body,
        };
        let bound = self.parser.expr(self.at, Node::Fold(Box::new(fold)));
        let yes = if wrap { self.optional_call("of", vec![bound]) } else { bound };
        let no = self.optional_call("none", Vec::new());
        self.call("_?_:_", vec![has, yes, no])
    }

    fn optional_call(&mut self, name: &str, args: Vec<Expr>) -> Expr {
        let target = Some(Box::new(self.parser.expr(self.at, Node::Ident("optional".into()))));
        self.parser.expr(self.at, Node::Call(Call { function: name.into(), target, args }))
    }
}
