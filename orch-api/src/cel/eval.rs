//! Evaluation, with the costs that cel-go counts (`interpreter/runtimecost.go`).

use super::{
    EvalError, Program,
    ast::{Call, Expr, Fold, Literal, Node},
    check::{is_dotted, is_type_name, qualified, type_path},
    cost::runtime,
    functions,
    value::{Entries, Value},
};
use std::{borrow::Cow, collections::HashMap, sync::Arc};

/// What an expression computed.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// The value.
    pub value: Value<'a>,
    /// What it cost.
    pub cost: u64,
}

/// An evaluation that failed, with what it had cost until then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Failed {
    /// Why.
    pub error: EvalError,
    /// What it cost.
    pub cost: u64,
}

/// The values of an expression's variables.
pub type Bindings<'a> = HashMap<&'static str, Value<'a>>;

pub(super) fn evaluate<'a>(program: &Program, bindings: &'a Bindings<'a>, limit: u64) -> Result<Outcome<'a>, Failed> {
    let mut run = Run { bindings, scopes: Vec::new(), cost: 0, limit };
    match run.expr(&program.expr) {
        Ok(value) => Ok(Outcome { value, cost: run.cost }),
        Err(error) => Err(Failed { error, cost: run.cost }),
    }
}

type Result<T, E = EvalError> = std::result::Result<T, E>;

struct Run<'a> {
    bindings: &'a Bindings<'a>,
    scopes: Vec<(Arc<str>, Value<'a>)>,
    cost: u64,
    limit: u64,
}

impl<'a> Run<'a> {
    fn charge(&mut self, cost: u64) -> Result<()> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > self.limit { Err(EvalError::OverBudget) } else { Ok(()) }
    }

    fn expr(&mut self, expr: &Expr) -> Result<Value<'a>> {
        match &expr.node {
            Node::Literal(literal) => Ok(of_literal(literal)),
            Node::Ident(name) => self.ident(name),
            Node::Select { operand, field, test } => self.select(expr, operand, field, *test),
            Node::Call(call) => self.call(call),
            Node::List(items) => self.list(items),
            Node::Map(entries) => self.map(entries),
            Node::Struct(name, fields) => self.structure(name, fields),
            Node::Fold(fold) => self.fold(fold),
        }
    }

    fn lookup(&self, name: &str) -> Option<Value<'a>> {
        let local = self.scopes.iter().rev().find(|(known, _)| &**known == name).map(|(_, value)| value.clone());
        local.or_else(|| self.bindings.get(name).cloned())
    }

    fn ident(&mut self, name: &Arc<str>) -> Result<Value<'a>> {
        self.charge(1)?;
        match self.lookup(name) {
            Some(Value::Pending(error)) => Err(*error),
            Some(value) => Ok(value),
            None if is_type_name(name) => Ok(Value::Type(name.clone())),
            None => Err(EvalError::Message(format!("no such attribute(s): {name}"))),
        }
    }

    fn select(&mut self, expr: &Expr, operand: &Expr, field: &str, test: bool) -> Result<Value<'a>> {
        if let Some(path) = type_path(expr) {
            return Ok(Value::Type(path.into()));
        }
        if let (Node::Ident(name), false) = (&operand.node, test)
            && let Some((_, value)) = self.bindings.iter().find(|(variable, _)| is_dotted(variable, name, field))
            && !self.scopes.iter().any(|(known, _)| known == name)
        {
            self.charge(1)?;
            return Ok(value.clone());
        }
        let target = self.expr(operand)?;
        if !test {
            self.charge(1)?;
        }
        if let Value::Optional(inner) = target {
            let found = match inner {
                None => None,
                Some(inner) => self.field(&inner, field)?,
            };
            return Ok(if test { Value::Bool(found.is_some()) } else { Value::Optional(found.map(Box::new)) });
        }
        let found = self.field(&target, field)?;
        match (test, found) {
            (true, found) => Ok(Value::Bool(found.is_some())),
            (false, Some(value)) => Ok(value),
            (false, None) => Err(EvalError::Message(format!("no such key: {field}"))),
        }
    }

    fn field(&mut self, target: &Value<'a>, field: &str) -> Result<Option<Value<'a>>> {
        match target {
            Value::Map(entries) => Ok(entries.field(field)),
            Value::Lazy(fields) => match fields.0.field(field) {
                None => Ok(None),
                Some(found) => {
                    let (value, cost) = found?;
                    self.charge(cost)?;
                    Ok(Some(Value::owned(value)))
                }
            },
            _ => Err(EvalError::no_overload()),
        }
    }

    fn call(&mut self, call: &Call) -> Result<Value<'a>> {
        match (&*call.function, &call.args[..]) {
            ("_&&_", [a, b]) => return self.logic(a, b, false),
            ("_||_", [a, b]) => return self.logic(a, b, true),
            ("_?_:_", [condition, yes, no]) => {
                return match self.expr(condition)? {
                    Value::Bool(true) => self.expr(yes),
                    Value::Bool(false) => self.expr(no),
                    _ => Err(EvalError::no_overload()),
                };
            }
            ("@not_strictly_false", [value]) => {
                let truth = match self.expr(value) {
                    Err(EvalError::OverBudget) => return Err(EvalError::OverBudget),
                    value => !matches!(value, Ok(Value::Bool(false))),
                };
                self.charge(1)?;
                return Ok(Value::Bool(truth));
            }
            ("_[_]" | "_[?_]" | "_?._", [target, index]) => return self.index(&call.function, target, index),
            ("or" | "orValue", [other]) => {
                if let Some(done) = self.optional_or(call, other)? {
                    return Ok(done);
                }
            }
            _ => {}
        }
        let library = qualified(call, |name| self.lookup(name).is_some());
        let mut args = Vec::with_capacity(call.args.len() + 1);
        if let (None, Some(target)) = (&library, &call.target) {
            args.push(self.expr(target)?);
        }
        for arg in &call.args {
            args.push(self.expr(arg)?);
        }
        let (function, method) = match &library {
            Some(name) => (&**name, false),
            None => (&*call.function, call.target.is_some()),
        };
        let result = functions::call(function, method, &args);
        let size = result.as_ref().map_or(0, Value::size);
        self.charge(runtime(function, method, &args, size))?;
        result
    }

    /// `&&` and `||`: an operand that decides wins over an error of the other.
    fn logic(&mut self, a: &Expr, b: &Expr, decides: bool) -> Result<Value<'a>> {
        let left = self.expr(a);
        match left {
            Ok(Value::Bool(truth)) if truth == decides => return Ok(Value::Bool(decides)),
            Err(EvalError::OverBudget) => return Err(EvalError::OverBudget),
            _ => {}
        }
        match (left, self.expr(b)) {
            (_, Ok(Value::Bool(truth))) if truth == decides => Ok(Value::Bool(decides)),
            (_, Err(EvalError::OverBudget)) => Err(EvalError::OverBudget),
            (Err(error), _) | (Ok(Value::Bool(_)), Err(error)) => Err(error),
            (Ok(Value::Bool(_)), Ok(Value::Bool(truth))) => Ok(Value::Bool(truth)),
            _ => Err(EvalError::no_overload()),
        }
    }

    fn index(&mut self, function: &str, target: &Expr, index: &Expr) -> Result<Value<'a>> {
        let mut target = self.expr(target)?;
        let index = self.expr(index)?;
        self.charge(1)?;
        let optional = function != "_[_]" || matches!(target, Value::Optional(_));
        if let Value::Optional(inner) = target {
            let Some(inner) = inner else { return Ok(Value::Optional(None)) };
            target = *inner;
        }
        let found = match (&target, &index) {
            (_, Value::String(field)) if function == "_?._" => self.field(&target, field)?,
            (Value::Map(entries), key) => entries.get(key),
            (Value::List(list), index) => match whole(index) {
                Some(i) => usize::try_from(i).ok().and_then(|i| list.get(i)),
                None => return Err(EvalError::no_overload()),
            },
            (Value::Lazy(_), Value::String(field)) => self.field(&target, field)?,
            _ => return Err(EvalError::no_overload()),
        };
        match (optional, found) {
            (true, found) => Ok(Value::Optional(found.map(Box::new))),
            (false, Some(value)) => Ok(value),
            (false, None) if matches!(target, Value::List(_)) => {
                Err(EvalError::Message(format!("index out of bounds: {}", index.shown())))
            }
            (false, None) => Err(EvalError::Message(format!("no such key: {}", index.shown()))),
        }
    }

    /// `optional.or(other)` and `optional.orValue(other)` evaluate the other only where it is needed.
    fn optional_or(&mut self, call: &Call, other: &Expr) -> Result<Option<Value<'a>>> {
        let Some(target) = &call.target else { return Ok(None) };
        match (self.expr(target)?, &*call.function) {
            (Value::Optional(Some(value)), "orValue") => Ok(Some(*value)),
            (some @ Value::Optional(Some(_)), _) => Ok(Some(some)),
            (Value::Optional(None), _) => self.expr(other).map(Some),
            _ => Err(EvalError::no_overload()),
        }
    }

    fn list(&mut self, items: &[(Expr, bool)]) -> Result<Value<'a>> {
        let mut all = Vec::with_capacity(items.len());
        for (item, optional) in items {
            all.extend(present(self.expr(item)?, *optional)?);
        }
        self.charge(10)?;
        Ok(Value::list(all))
    }

    fn map(&mut self, entries: &[(Expr, Expr, bool)]) -> Result<Value<'a>> {
        let mut all: Vec<(Value<'a>, Value<'a>)> = Vec::with_capacity(entries.len());
        for (key, value, optional) in entries {
            let key = self.expr(key)?;
            let Some(value) = present(self.expr(value)?, *optional)? else { continue };
            if all.iter().any(|(known, _)| known.equals(&key)) {
                return Err(EvalError::Message(format!("Failed with repeated key: {}", key.shown())));
            }
            all.push((key, value));
        }
        self.charge(30)?;
        Ok(Value::Map(Entries::Made(Arc::new(all))))
    }

    fn structure(&mut self, name: &str, fields: &[(Arc<str>, Expr, bool)]) -> Result<Value<'a>> {
        let _ = name;
        let mut all = Vec::with_capacity(fields.len());
        for (field, value, optional) in fields {
            if let Some(value) = present(self.expr(value)?, *optional)? {
                all.push((Value::text(&**field), value));
            }
        }
        self.charge(40)?;
        Ok(Value::Map(Entries::Made(Arc::new(all))))
    }

    fn fold(&mut self, fold: &Fold) -> Result<Value<'a>> {
        let range = self.expr(&fold.range)?;
        let pairs: Vec<(Value<'a>, Option<Value<'a>>)> = match (&range, fold.var2.is_some()) {
            (Value::List(list), false) => list.iter().map(|item| (item, None)).collect(),
            (Value::List(list), true) => {
                list.iter().enumerate().map(|(i, item)| (Value::Int(i as i64), Some(item))).collect()
            }
            (Value::Map(map), two) => map.iter().map(|(key, value)| (key, two.then_some(value))).collect(),
            _ => return Err(EvalError::no_overload()),
        };
        let init = self.expr(&fold.init)?;
        let depth = self.scopes.len();
        self.scopes.push((fold.accu.clone(), init));
        for (first, second) in pairs {
            self.scopes.truncate(depth + 1);
            self.scopes.push((fold.var.clone(), first));
            if let (Some(var2), Some(second)) = (&fold.var2, second) {
                self.scopes.push((var2.clone(), second));
            }
            if matches!(self.expr(&fold.condition)?, Value::Bool(false)) {
                break;
            }
            let step = self.absorbed(fold)?;
            if let Some(accu) = self.scopes.get_mut(depth) {
                accu.1 = step;
            }
        }
        self.scopes.truncate(depth + 1);
        let result = self.expr(&fold.result);
        self.scopes.truncate(depth);
        result
    }

    /// One step. In `all` and `exists` an error waits: a later item may decide.
    fn absorbed(&mut self, fold: &Fold) -> Result<Value<'a>> {
        let waits = matches!(&fold.step.node, Node::Call(call) if matches!(&*call.function, "_&&_" | "_||_"));
        match self.expr(&fold.step) {
            Err(error @ EvalError::Message(_)) if waits => Ok(Value::Pending(Box::new(error))),
            result => result,
        }
    }
}

fn of_literal<'a>(literal: &Literal) -> Value<'a> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(truth) => Value::Bool(*truth),
        Literal::Int(n) => Value::Int(*n),
        Literal::Uint(n) => Value::Uint(*n),
        Literal::Double(n) => Value::Double(*n),
        Literal::String(text) => Value::String(Cow::Owned(text.to_string())),
        Literal::Bytes(bytes) => Value::Bytes(bytes.clone()),
    }
}

/// The value of an item; with `?` nothing where it is none.
fn present(value: Value<'_>, optional: bool) -> Result<Option<Value<'_>>> {
    match (optional, value) {
        (false, value) => Ok(Some(value)),
        (true, Value::Optional(inner)) => Ok(inner.map(|inner| *inner)),
        (true, _) => Err(EvalError::no_overload()),
    }
}

fn whole(index: &Value<'_>) -> Option<i64> {
    match index {
        Value::Int(n) => Some(*n),
        Value::Uint(n) => i64::try_from(*n).ok(),
        Value::Double(n) if n.fract() == 0.0 => Some(*n as i64),
        _ => None,
    }
}
