//! What an expression may cost at most, before it has seen a value: from the bounds of its variables' declarations
//! (`cel-go/checker/cost.go`, `apiserver/pkg/cel/library/cost.go`).

use super::{
    ast::{Call, Expr, Fold, Literal, Node},
    check::{qualified, type_path},
    cost::{AUTHORIZATION, REGEX, TRAVERSAL, scaled},
    types::{Decl, Type},
};
use std::{collections::HashMap, sync::Arc};

/// The least and the greatest of something: a cost or a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The least.
    pub min: u64,
    /// The greatest.
    pub max: u64,
}

impl Range {
    const ZERO: Self = Self::exact(0);
    const ONE: Self = Self::exact(1);
    const UNKNOWN: Self = Self { min: 0, max: u64::MAX };

    const fn exact(n: u64) -> Self {
        Self { min: n, max: n }
    }

    fn plus(self, other: Self) -> Self {
        Self { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    fn times(self, other: Self) -> Self {
        Self { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }

    fn by(self, factor: f64) -> Self {
        Self { min: scaled(self.min, factor), max: scaled(self.max, factor) }
    }

    fn union(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

/// Estimates the cost of a checked expression over these variables.
pub(super) fn estimate(expr: &Expr, types: &[Type], variables: &HashMap<Arc<str>, Arc<Decl>>) -> Range {
    Estimator { types, variables, scopes: Vec::new(), sizes: HashMap::new() }.cost(expr)
}

struct Estimator<'a> {
    types: &'a [Type],
    variables: &'a HashMap<Arc<str>, Arc<Decl>>,
    scopes: Vec<(Arc<str>, Local)>,
    /// Sizes that calls and folds computed, by node.
    sizes: HashMap<usize, Range>,
}

/// What is known of a loop's variable.
#[derive(Clone, Default)]
struct Local {
    decl: Option<Arc<Decl>>,
    size: Option<Range>,
}

impl Estimator<'_> {
    fn cost(&mut self, expr: &Expr) -> Range {
        match &expr.node {
            Node::Literal(_) => Range::ZERO,
            Node::Ident(_) => Range::ONE,
            Node::Select { .. } if type_path(expr).is_some() => Range::ZERO,
            Node::Select { operand, test: true, .. } => self.cost(operand),
            Node::Select { operand, .. } => {
                let selects = matches!(self.ty(operand), Type::Map(..) | Type::Object(_) | Type::Param(_));
                let cost = self.cost(operand);
                if selects { cost.plus(Range::ONE) } else { cost }
            }
            Node::Call(call) => self.call(expr, call),
            Node::List(items) => items.iter().fold(Range::exact(10), |sum, (item, _)| sum.plus(self.cost(item))),
            Node::Map(entries) => entries
                .iter()
                .fold(Range::exact(30), |sum, (key, value, _)| sum.plus(self.cost(key)).plus(self.cost(value))),
            Node::Struct(_, fields) => {
                fields.iter().fold(Range::exact(40), |sum, (_, value, _)| sum.plus(self.cost(value)))
            }
            Node::Fold(fold) => self.fold(expr, fold),
        }
    }

    fn ty(&self, expr: &Expr) -> &Type {
        self.types.get(expr.id).unwrap_or(&Type::Dyn)
    }

    fn local(&self, name: &str) -> Option<&Local> {
        self.scopes.iter().rev().find(|(known, _)| &**known == name).map(|(_, local)| local)
    }

    /// The declaration that a path from a variable leads to.
    fn decl(&self, expr: &Expr) -> Option<Arc<Decl>> {
        match &expr.node {
            Node::Ident(name) => match self.local(name) {
                Some(local) => local.decl.clone(),
                None => self.variables.get(name).cloned(),
            },
            Node::Select { operand, field, test: false } => self.field(operand, field),
            Node::Call(call) => match (&*call.function, &call.args[..]) {
                ("_[_]" | "_[?_]", [target, _]) => self.decl(target)?.elem.clone(),
                ("_?._", [target, name]) => match &name.node {
                    Node::Literal(Literal::String(field)) => self.field(target, field),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    fn field(&self, operand: &Expr, field: &str) -> Option<Arc<Decl>> {
        // An entry of a map is found by `map[key]` alone: a selected one has no declaration, as upstream has it.
        self.decl(operand)?.field(field).map(|field| field.decl.clone())
    }

    fn size(&self, expr: &Expr) -> Range {
        if let Some(size) = self.sizes.get(&expr.id) {
            return *size;
        }
        let length = match &expr.node {
            Node::Literal(Literal::String(text)) => Some(text.chars().count()),
            Node::Literal(Literal::Bytes(bytes)) => Some(bytes.len()),
            Node::Literal(_) => Some(1),
            Node::List(items) => Some(items.len()),
            Node::Map(entries) => Some(entries.len()),
            _ => None,
        };
        if let Some(length) = length {
            return Range::exact(length as u64);
        }
        if let Some(decl) = self.decl(expr) {
            return Range { min: 0, max: decl.max };
        }
        let local = match &expr.node {
            Node::Ident(name) => self.local(name).and_then(|local| local.size),
            _ => None,
        };
        local.unwrap_or_else(|| match self.ty(expr) {
            Type::Bool
            | Type::Int
            | Type::Uint
            | Type::Double
            | Type::Null
            | Type::Timestamp
            | Type::Duration
            | Type::Type => Range::ONE,
            _ => Range::UNKNOWN,
        })
    }

    fn call(&mut self, expr: &Expr, call: &Call) -> Range {
        let library = qualified(call, |name| self.local(name).is_some() || self.variables.contains_key(name));
        let function = library.clone().unwrap_or_else(|| call.function.to_string());
        if function == "dyn" {
            return call.args.iter().fold(Range::ONE, |sum, arg| sum.plus(self.cost(arg)));
        }
        let target = call.target.as_deref().filter(|_| library.is_none());
        let costs: Vec<Range> = call.args.iter().map(|arg| self.cost(arg)).collect();
        let of_target = target.map_or(Range::ZERO, |target| self.cost(target));
        let sum = costs.iter().fold(Range::ZERO, |sum, cost| sum.plus(*cost));
        let own = match (&*function, &costs[..]) {
            ("_&&_" | "_||_", [a, b]) => return Range { min: a.min, max: a.plus(*b).max },
            ("_?_:_", [condition, yes, no]) => {
                if let [_, a, b] = &call.args[..] {
                    let size = self.size(a).union(self.size(b));
                    self.sizes.insert(expr.id, size);
                }
                return condition.plus(yes.union(*no));
            }
            _ => self.own(expr, &function, target, &call.args),
        };
        of_target.plus(own).plus(sum)
    }

    /// The cost of a call beside that of its arguments; notes the size of its result.
    fn own(&mut self, expr: &Expr, function: &str, target: Option<&Expr>, args: &[Expr]) -> Range {
        let size = |this: &Self, i: usize| args.get(i).map_or(Range::UNKNOWN, |arg| this.size(arg));
        let of_target = target.map_or(Range::UNKNOWN, |target| self.size(target));
        let subject = if target.is_some() { of_target } else { size(self, 0) };
        let mut result = None;
        let cost = match function {
            "check" => Range::exact(AUTHORIZATION),
            "fieldSelector" | "labelSelector" => {
                let length = size(self, 0);
                Range::exact(10).plus(length.by(TRAVERSAL)).plus(length.by(0.5).by(50.0))
            }
            "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" if target.is_some() => {
                self.over_list(target, of_target)
            }
            "url" | "jsonpatch.escapeKey" | "lowerAscii" | "upperAscii" | "substring" | "trim" => {
                result = Some(subject);
                subject.by(TRAVERSAL)
            }
            "replace" => {
                result = Some(replaced(of_target, size(self, 0), size(self, 1)));
                of_target.by(2.0 * TRAVERSAL)
            }
            "split" => {
                let limit = args.get(1).and_then(|arg| match arg.node {
                    Node::Literal(Literal::Int(n)) => u64::try_from(n).ok(),
                    _ => None,
                });
                result = Some(Range { min: 0, max: limit.unwrap_or(of_target.max) });
                of_target.by(2.0 * TRAVERSAL)
            }
            "join" => {
                let item = target.and_then(|t| self.decl(t)).and_then(|d| d.elem.clone());
                let item = item.map_or(Range::UNKNOWN, |decl| Range { min: 0, max: decl.max });
                let mut length = of_target.times(item);
                if !args.is_empty() {
                    let gaps = Range { min: of_target.min.saturating_sub(1), max: of_target.max.saturating_sub(1) };
                    length = length.plus(size(self, 0).times(gaps));
                }
                result = Some(length);
                length.by(TRAVERSAL)
            }
            "find" | "findAll" | "matches" => {
                let (text, regex) =
                    if target.is_some() { (of_target, size(self, 0)) } else { (size(self, 0), size(self, 1)) };
                if function != "matches" {
                    result = Some(Range { min: 0, max: text.max });
                }
                text.plus(Range::ONE).by(TRAVERSAL).times(regex.by(REGEX))
            }
            "cidr" | "isIP" | "isCIDR" | "quantity" | "isQuantity" | "semver" | "isSemver" => subject.by(TRAVERSAL),
            "ip" if target.is_none() => subject.by(TRAVERSAL),
            "ip.isCanonical" => subject.by(2.0 * TRAVERSAL),
            "containsIP" | "containsCIDR" => {
                let bytes = Range { min: 4, max: 16 };
                let mut cost = bytes.plus(bytes).by(TRAVERSAL);
                if function == "containsCIDR" {
                    cost = cost.plus(bytes.by(TRAVERSAL)).plus(Range::ONE);
                }
                let is_text = args.first().is_some_and(|arg| matches!(self.ty(arg), Type::String));
                if is_text { cost.plus(size(self, 0).by(TRAVERSAL)) } else { cost }
            }
            "validate" => size(self, 0).by(TRAVERSAL).by(128.0 * REGEX),
            "startsWith" | "endsWith" => size(self, 0).by(TRAVERSAL),
            "format" => of_target.by(TRAVERSAL),
            "contains" => of_target.by(TRAVERSAL).times(size(self, 0).by(TRAVERSAL)),
            "bytes" | "string" if args.first().is_some_and(|a| matches!(self.ty(a), Type::String | Type::Bytes)) => {
                let to_text = function == "string" && args.first().is_some_and(|a| matches!(self.ty(a), Type::Bytes));
                result = match (function, to_text) {
                    ("bytes", _) => Some(Range { min: subject.min, max: subject.max.saturating_mul(4) }),
                    (_, true) => Some(Range { min: subject.min / 4, max: subject.max }),
                    _ => None,
                };
                subject.by(TRAVERSAL)
            }
            "strings.quote" => {
                result = Some(Range { min: subject.min + 2, max: subject.max.saturating_mul(2).saturating_add(2) });
                subject.by(TRAVERSAL)
            }
            "@in" if args.get(1).is_some_and(|list| matches!(self.ty(list), Type::List(_))) => size(self, 1),
            "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_" => {
                let max = size(self, 0).max.min(size(self, 1).max);
                Range { min: u64::from(max > 0), max }.by(TRAVERSAL)
            }
            "_+_" => {
                let total = size(self, 0).plus(size(self, 1));
                match self.ty(expr) {
                    Type::String | Type::Bytes => {
                        result = Some(total);
                        total.by(TRAVERSAL)
                    }
                    Type::List(_) => {
                        result = Some(total);
                        Range::ONE
                    }
                    _ => Range::ONE,
                }
            }
            _ => Range::ONE,
        };
        if let Some(size) = result {
            self.sizes.insert(expr.id, size);
        }
        cost
    }

    /// One unit per item, and the traversal of texts.
    fn over_list(&self, target: Option<&Expr>, size: Range) -> Range {
        let item = target.map(|target| self.ty(target));
        match item {
            Some(Type::List(item)) => {
                let texts = matches!(**item, Type::String | Type::Bytes);
                let decl = target.and_then(|t| self.decl(t)).and_then(|d| d.elem.clone());
                let length = decl.map_or(Range::UNKNOWN, |decl| Range { min: 0, max: decl.max });
                let each = if texts { Range::ONE.plus(length.by(TRAVERSAL)) } else { Range::ONE };
                size.times(each)
            }
            _ => size.by(TRAVERSAL),
        }
    }

    fn fold(&mut self, expr: &Expr, fold: &Fold) -> Range {
        let mut sum = self.cost(&fold.range).plus(self.cost(&fold.init));
        let count = self.size(&fold.range);
        let elem = self.decl(&fold.range).and_then(|decl| decl.elem.clone());
        let of_list = matches!(self.ty(&fold.range), Type::List(_));
        let depth = self.scopes.len();
        let accu = Local { decl: self.decl(&fold.init), size: Some(self.size(&fold.init)) };
        self.scopes.push((fold.accu.clone(), accu));
        let first = match (of_list, fold.var2.is_some(), &elem) {
            (true, false, _) => Local { decl: elem.clone(), size: None },
            // Keys of declared maps count as empty.
            (false, _, Some(_)) => Local { decl: None, size: Some(Range::ZERO) },
            _ => Local::default(),
        };
        self.scopes.push((fold.var.clone(), first));
        if let Some(var2) = &fold.var2 {
            self.scopes.push((var2.clone(), Local { decl: elem, size: None }));
        }
        let each = self.cost(&fold.condition).plus(self.cost(&fold.step));
        self.scopes.truncate(depth + 1);
        sum = sum.plus(self.cost(&fold.result));
        self.scopes.truncate(depth);
        match &fold.init.node {
            Node::Literal(_) => drop(self.sizes.insert(expr.id, Range::ONE)),
            Node::List(_) | Node::Map(_) => drop(self.sizes.insert(expr.id, count)),
            _ => {}
        }
        sum.plus(count.times(each))
    }
}

/// The size of a text after replacements.
fn replaced(text: Range, old: Range, new: Range) -> Range {
    let count = |length: u64, part: u64| if part == 0 { length.saturating_add(1) } else { length.div_ceil(part) };
    let (mut replacements, mut kept) = (Range::ZERO, Range::ZERO);
    if old.min == 0 {
        (replacements.max, kept.max) = (text.max.saturating_add(1), text.max);
    } else if new.max <= old.min {
        kept.max = text.max;
    } else {
        replacements.max = count(text.max, old.min);
    }
    if old.max == 0 {
        (replacements.min, kept.min) = (text.min.saturating_add(1), text.min);
    } else if old.max <= new.min {
        kept.min = text.min;
    } else {
        replacements.min = count(text.min, old.max);
    }
    replacements.times(new).plus(kept)
}
