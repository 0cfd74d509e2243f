//! The type checker (`cel-go/checker`): every node gets a type, every call one of its function's signatures.

use super::{
    ast::{Call, Expr, Fold, Literal, Node},
    lex::{Fault, fault},
    signature::{self, Signature},
    types::{Decl, Type},
};
use std::{collections::HashMap, sync::Arc};

/// What the checker found out.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// The type of each node, by number.
    pub(super) types: Vec<Type>,
}

/// Checks an expression over these variables.
pub(super) fn check(
    expr: &Expr,
    variables: &HashMap<Arc<str>, Arc<Decl>>,
    structs: bool,
) -> Result<Checked, Vec<Fault>> {
    let mut checker = Checker {
        variables,
        structs,
        scopes: Vec::new(),
        types: HashMap::new(),
        bound: Vec::new(),
        faults: Vec::new(),
    };
    checker.expr(expr);
    if !checker.faults.is_empty() {
        return Err(checker.faults);
    }
    let mut types = Vec::new();
    for (id, ty) in &checker.types {
        if types.len() <= *id {
            types.resize(*id + 1, Type::Dyn);
        }
        if let Some(slot) = types.get_mut(*id) {
            *slot = checker.resolved(ty);
        }
    }
    Ok(Checked { types })
}

struct Checker<'a> {
    variables: &'a HashMap<Arc<str>, Arc<Decl>>,
    /// Whether struct literals are allowed.
    structs: bool,
    scopes: Vec<(Arc<str>, Type)>,
    types: HashMap<usize, Type>,
    /// What free type parameters turned out to be; the index is their number less [`FREE`].
    bound: Vec<Option<Type>>,
    faults: Vec<Fault>,
}

/// Numbers of free parameters begin here; smaller ones are those of signatures.
const FREE: u32 = 16;

impl Checker<'_> {
    fn expr(&mut self, expr: &Expr) -> Type {
        let ty = match &expr.node {
            Node::Literal(literal) => of_literal(literal),
            Node::Ident(name) => self.ident(expr.at, name),
            Node::Select { operand, field, test } => self.select(expr, operand, field, *test),
            Node::Call(call) => self.call(expr.at, call),
            Node::List(items) => self.list(items),
            Node::Map(entries) => self.map(entries),
            Node::Struct(name, fields) => self.structure(expr.at, name, fields),
            Node::Fold(fold) => self.fold(fold),
        };
        self.types.insert(expr.id, ty.clone());
        ty
    }

    fn report(&mut self, at: usize, message: String) -> Type {
        self.faults.push(fault(at, message));
        Type::Dyn
    }

    fn lookup(&self, name: &str) -> Option<Type> {
        let local = self.scopes.iter().rev().find(|(known, _)| &**known == name).map(|(_, ty)| ty.clone());
        local.or_else(|| self.variables.get(name).map(|decl| decl.ty.clone()))
    }

    fn ident(&mut self, at: usize, name: &str) -> Type {
        match self.lookup(name) {
            Some(ty) => ty,
            None if is_type_name(name) => Type::Type,
            None => self.report(at, format!("undeclared reference to '{name}' (in container '')")),
        }
    }

    fn select(&mut self, expr: &Expr, operand: &Expr, field: &str, test: bool) -> Type {
        if let Some(name) = type_path(expr)
            && self.lookup(name.split('.').next().unwrap_or_default()).is_none()
        {
            return Type::Type;
        }
        if let Some(ty) = self.dotted_variable(operand, field).filter(|_| !test) {
            return ty;
        }
        let target = self.expr(operand);
        let target = self.resolved(&target);
        let found = self.field(expr.at, &target, field);
        if test { Type::Bool } else { found }
    }

    /// The type of a variable whose declared name has a dot, such as `authorizer.requestResource`.
    fn dotted_variable(&self, operand: &Expr, field: &str) -> Option<Type> {
        let Node::Ident(name) = &operand.node else { return None };
        let is_local = self.scopes.iter().any(|(known, _)| known == name);
        let mut declared = self.variables.iter().filter(|(variable, _)| is_dotted(variable, name, field));
        declared.next().filter(|_| !is_local).map(|(_, decl)| decl.ty.clone())
    }

    fn field(&mut self, at: usize, target: &Type, field: &str) -> Type {
        match target {
            Type::Dyn | Type::Param(_) => Type::Dyn,
            Type::Map(key, value) if matches!(**key, Type::String | Type::Dyn) => Type::clone(value),
            Type::Optional(inner) => {
                let inner = self.field(at, inner, field);
                Type::Optional(Arc::new(inner))
            }
            Type::Object(object) => match object.fields.get(field) {
                Some(field) => field.decl.ty.clone(),
                None => self.report(at, format!("undefined field '{field}'")),
            },
            other => self.report(at, format!("type '{other}' does not support field selection")),
        }
    }

    fn call(&mut self, at: usize, call: &Call) -> Type {
        if &*call.function == "_?._" {
            return self.optional_select(at, call);
        }
        let qualified = qualified(call, |name| self.lookup(name).is_some());
        let function = qualified.as_deref().unwrap_or(&call.function);
        let method = call.target.is_some() && qualified.is_none();
        let mut args: Vec<(usize, Type)> = Vec::new();
        if let (true, Some(target)) = (method, &call.target) {
            args.push((target.at, self.expr(target)));
        }
        for arg in &call.args {
            args.push((arg.at, self.expr(arg)));
        }
        let signatures = signature::of(function);
        if signatures.is_empty() {
            return self.report(at, format!("undeclared reference to '{function}' (in container '')"));
        }
        let types: Vec<Type> = args.into_iter().map(|(_, ty)| ty).collect();
        self.resolve(at, function, method, &types, signatures)
    }

    /// The result of the first signature that fits; `dyn` where several fit with different results.
    fn resolve(&mut self, at: usize, function: &str, method: bool, args: &[Type], signatures: &[Signature]) -> Type {
        let mut result: Option<Type> = None;
        for signature in signatures.iter().filter(|s| s.method == method && s.args.len() == args.len()) {
            let before = self.bound.clone();
            let fresh = self.instantiate(signature);
            let fits = fresh.args.iter().zip(args).all(|(formal, actual)| self.assign(formal, actual));
            if !fits {
                self.bound = before;
                continue;
            }
            let found = self.resolved(&fresh.result);
            result = match result {
                None => Some(found),
                Some(same) if same == found => Some(same),
                Some(_) => Some(Type::Dyn),
            };
        }
        result.unwrap_or_else(|| {
            let shown: Vec<String> = args.iter().map(|ty| self.resolved(ty).to_string()).collect();
            let shown = match (method, shown.split_first()) {
                (true, Some((target, rest))) => format!("{target}.({})", rest.join(", ")),
                _ => format!("({})", shown.join(", ")),
            };
            self.report(at, format!("found no matching overload for '{function}' applied to '{shown}'"))
        })
    }

    fn optional_select(&mut self, at: usize, call: &Call) -> Type {
        let [operand, name] = &call.args[..] else { return Type::Dyn };
        self.expr(name);
        let Node::Literal(Literal::String(field)) = &name.node else { return Type::Dyn };
        let target = self.expr(operand);
        let target = match self.resolved(&target) {
            Type::Optional(inner) => Type::clone(&inner),
            other => other,
        };
        let found = self.field(at, &target, field);
        Type::Optional(Arc::new(found))
    }

    fn list(&mut self, items: &[(Expr, bool)]) -> Type {
        let mut item: Option<Type> = None;
        for (expr, optional) in items {
            let found = self.expr(expr);
            let found = self.unwrapped(found, *optional);
            item = Some(self.join(expr.at, item, found));
        }
        let item = item.unwrap_or_else(|| self.free());
        Type::List(Arc::new(item))
    }

    fn map(&mut self, entries: &[(Expr, Expr, bool)]) -> Type {
        let (mut key, mut value): (Option<Type>, Option<Type>) = (None, None);
        for (k, v, optional) in entries {
            let found = self.expr(k);
            key = Some(self.join(k.at, key, found));
            let found = self.expr(v);
            let found = self.unwrapped(found, *optional);
            value = Some(self.join(v.at, value, found));
        }
        let key = key.unwrap_or_else(|| self.free());
        let value = value.unwrap_or_else(|| self.free());
        Type::Map(Arc::new(key), Arc::new(value))
    }

    fn unwrapped(&mut self, ty: Type, optional: bool) -> Type {
        match (optional, self.resolved(&ty)) {
            (true, Type::Optional(inner)) => Type::clone(&inner),
            (_, ty) => ty,
        }
    }

    /// The items of a literal must be of one type (`cel.HomogeneousAggregateLiterals`).
    fn join(&mut self, at: usize, known: Option<Type>, found: Type) -> Type {
        match known {
            None => found,
            Some(known) if self.assign(&known, &found) => known,
            Some(known) if self.assign(&found, &known) => found,
            Some(known) => {
                let (known, found) = (self.resolved(&known), self.resolved(&found));
                self.report(at, format!("expected type '{known}' but found '{found}'"))
            }
        }
    }

    fn structure(&mut self, at: usize, name: &str, fields: &[(Arc<str>, Expr, bool)]) -> Type {
        for (_, value, _) in fields {
            self.expr(value);
        }
        let known = self.structs && (name == "JSONPatch" || name == "Object" || name.starts_with("Object."));
        if known { Type::Dyn } else { self.report(at, format!("undeclared reference to '{name}' (in container '')")) }
    }

    fn fold(&mut self, fold: &Fold) -> Type {
        let range = self.expr(&fold.range);
        let (first, second) = match (self.resolved(&range), fold.var2.is_some()) {
            (Type::List(item), false) => (Type::clone(&item), Type::Dyn),
            (Type::List(item), true) => (Type::Int, Type::clone(&item)),
            (Type::Map(key, value), _) => (Type::clone(&key), Type::clone(&value)),
            (Type::Dyn | Type::Param(_), _) => (Type::Dyn, Type::Dyn),
            (other, _) => {
                let message = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                (self.report(fold.range.at, message), Type::Dyn)
            }
        };
        let init = self.expr(&fold.init);
        let depth = self.scopes.len();
        self.scopes.push((fold.accu.clone(), init.clone()));
        self.scopes.push((fold.var.clone(), first));
        if let Some(var2) = &fold.var2 {
            self.scopes.push((var2.clone(), second));
        }
        let condition = self.expr(&fold.condition);
        if !self.assign(&Type::Bool, &condition) {
            let found = self.resolved(&condition);
            self.report(fold.condition.at, format!("expected type 'bool' but found '{found}'"));
        }
        let step = self.expr(&fold.step);
        if !self.assign(&init, &step) {
            let (expected, found) = (self.resolved(&init), self.resolved(&step));
            self.report(fold.step.at, format!("expected type '{expected}' but found '{found}'"));
        }
        self.scopes.truncate(depth + 1);
        let result = self.expr(&fold.result);
        self.scopes.truncate(depth);
        self.resolved(&result)
    }

    fn free(&mut self) -> Type {
        self.bound.push(None);
        Type::Param(FREE + u32::try_from(self.bound.len() - 1).unwrap_or_default())
    }

    fn instantiate(&mut self, signature: &Signature) -> Signature {
        let mut names: HashMap<u32, Type> = HashMap::new();
        let mut fresh = |checker: &mut Self, ty: &Type| checker.renamed(ty, &mut names);
        Signature {
            method: signature.method,
            args: signature.args.iter().map(|ty| fresh(self, ty)).collect(),
            result: fresh(self, &signature.result),
        }
    }

    fn renamed(&mut self, ty: &Type, names: &mut HashMap<u32, Type>) -> Type {
        match ty {
            Type::Param(n) => {
                if let Some(known) = names.get(n) {
                    return known.clone();
                }
                let fresh = self.free();
                names.insert(*n, fresh.clone());
                fresh
            }
            Type::List(item) => Type::List(Arc::new(self.renamed(item, names))),
            Type::Optional(inner) => Type::Optional(Arc::new(self.renamed(inner, names))),
            Type::Map(k, v) => {
                let key = self.renamed(k, names);
                Type::Map(Arc::new(key), Arc::new(self.renamed(v, names)))
            }
            other => other.clone(),
        }
    }

    fn binding(&self, n: u32) -> Option<&Type> {
        self.bound.get(n.checked_sub(FREE)? as usize)?.as_ref()
    }

    /// Whether a value of type `actual` may stand where `formal` is wanted; binds free parameters.
    fn assign(&mut self, formal: &Type, actual: &Type) -> bool {
        match (formal, actual) {
            (Type::Param(a), Type::Param(b)) if a == b => true,
            (Type::Param(n), other) => match self.binding(*n).cloned() {
                Some(known) => {
                    let fits = self.assign(&known, other);
                    // `dyn` takes everything from then on; what was more precise before stays valid.
                    if !fits && self.assign(other, &known) {
                        self.bind(*n, other.clone());
                        return true;
                    }
                    fits
                }
                None => {
                    self.bind(*n, other.clone());
                    true
                }
            },
            (other, Type::Param(n)) => match self.binding(*n).cloned() {
                Some(known) => self.assign(other, &known),
                None => {
                    self.bind(*n, other.clone());
                    true
                }
            },
            (Type::Dyn, _) | (_, Type::Dyn) => true,
            (Type::Null, other) | (other, Type::Null) if other.is_nullable() => true,
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => self.assign(a, b),
            (Type::Map(a, b), Type::Map(c, d)) => self.assign(a, c) && self.assign(b, d),
            (a, b) => a == b,
        }
    }

    fn bind(&mut self, n: u32, ty: Type) {
        if let Some(slot) = n.checked_sub(FREE).and_then(|n| self.bound.get_mut(n as usize)) {
            *slot = Some(ty);
        }
    }

    /// The type with what is known of its free parameters; what nothing is known of is `dyn`.
    fn resolved(&self, ty: &Type) -> Type {
        match ty {
            Type::Param(n) => self.binding(*n).map_or_else(|| ty.clone(), |known| self.resolved(known)),
            Type::List(item) => Type::List(Arc::new(self.resolved(item))),
            Type::Optional(inner) => Type::Optional(Arc::new(self.resolved(inner))),
            Type::Map(k, v) => Type::Map(Arc::new(self.resolved(k)), Arc::new(self.resolved(v))),
            other => other.clone(),
        }
    }
}

fn of_literal(literal: &Literal) -> Type {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
        Literal::Bytes(_) => Type::Bytes,
    }
}

/// Whether the word names a type.
pub(super) fn is_type_name(name: &str) -> bool {
    matches!(
        name,
        "bool"
            | "int"
            | "uint"
            | "double"
            | "string"
            | "bytes"
            | "list"
            | "map"
            | "null_type"
            | "type"
            | "optional_type"
    )
}

/// `google.protobuf.Timestamp` and the like, written as a selection.
pub(super) fn type_path(expr: &Expr) -> Option<String> {
    let path = dotted(expr)?;
    matches!(&*path, "google.protobuf.Timestamp" | "google.protobuf.Duration").then_some(path)
}

/// Whether a variable is called `NAME.FIELD`.
pub(super) fn is_dotted(variable: &str, name: &str, field: &str) -> bool {
    variable.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')).is_some_and(|rest| rest == field)
}

fn dotted(expr: &Expr) -> Option<String> {
    match &expr.node {
        Node::Ident(name) => Some(name.to_string()),
        Node::Select { operand, field, test: false } => Some(format!("{}.{field}", dotted(operand)?)),
        _ => None,
    }
}

/// The name of a library's function that is written like a method: `sets.contains(a, b)`.
pub(super) fn qualified(call: &Call, is_variable: impl Fn(&str) -> bool) -> Option<String> {
    let prefix = dotted(call.target.as_deref()?)?;
    let name = format!("{prefix}.{}", call.function);
    let known = signature::of(&name).iter().any(|s| !s.method);
    (known && !is_variable(prefix.split('.').next().unwrap_or_default())).then_some(name)
}
