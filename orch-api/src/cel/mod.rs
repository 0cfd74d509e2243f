//! The Common Expression Language as Kubernetes speaks it: validation rules of custom kinds, match conditions of
//! webhooks, admission policies.
//!
//! ```text
//! text ─► parse (macros) ─► check (types) ─► estimate (greatest cost) ─► Program
//!                                        values of the variables, limit ─► evaluate ─► Outcome (value, cost)
//! ```
//!
//! Parser, checker, costs and the standard library are here, since the `cel` crate has no types and no costs; the functions
//! of Kubernetes' libraries are kube-cel's. Error texts are those of cel-go.
//!
//! ```
//! use orch_api::cel::{Bindings, Environment, Decl, Value, PER_CALL_LIMIT};
//! let environment = Environment::new().variable("object", Decl::dynamic());
//! let program = environment.compile("object.spec.replicas <= 5").unwrap();
//! let object = serde_json::json!({"spec": {"replicas": 3}});
//! let bindings = Bindings::from([("object", Value::from_json(&object, None))]);
//! let outcome = program.evaluate(&bindings, PER_CALL_LIMIT).unwrap();
//! assert_eq!(outcome.value.as_bool(), Some(true));
//! ```

mod ast;
mod authorizer;
mod check;
mod cost;
mod estimate;
mod eval;
mod functions;
pub(crate) mod go;
mod lex;
mod library;
mod lists;
mod macros;
mod parse;
mod signature;
#[cfg(test)]
mod tests;
mod types;
mod value;

pub use authorizer::{Authorize, Check, Decision, Question};
pub use estimate::Range;
pub use eval::{Bindings, Failed, Outcome};
pub(crate) use parse::is_reserved;
pub use types::{Decl, Field, Object, Type};
pub use value::{Entries, Fields, Lazy, List, Opaque, Value};

use ast::{Expr, Node};
use lex::Fault;
use std::{collections::HashMap, fmt, sync::Arc};

/// What one evaluation may cost.
pub const PER_CALL_LIMIT: u64 = 1_000_000;
/// What all rules of one object, or all policies of one binding, may cost together.
pub const RUNTIME_BUDGET: u64 = 10_000_000;
/// What the match conditions of one webhook may cost together.
pub const MATCH_CONDITIONS_BUDGET: u64 = 2_500_000;

/// The variables that an expression may use.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: HashMap<Arc<str>, Arc<Decl>>,
    structs: bool,
}

impl Environment {
    /// Kubernetes' functions and no variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares a variable.
    #[must_use]
    pub fn variable(mut self, name: &str, decl: impl Into<Arc<Decl>>) -> Self {
        self.variables.insert(name.into(), decl.into());
        self
    }

    /// Allows `Object{…}`, `Object.spec{…}` and `JSONPatch{…}`, as mutating admission policies write them.
    #[must_use]
    pub fn with_structs(mut self) -> Self {
        self.structs = true;
        self
    }

    /// Parses and checks an expression.
    pub fn compile(&self, text: &str) -> Result<Program, CompileError> {
        let refuse = |faults: Vec<Fault>| CompileError { text: text.to_owned(), faults };
        let expr = parse::parse(text).map_err(|fault| refuse(vec![fault]))?;
        let checked = check::check(&expr, &self.variables, self.structs).map_err(refuse)?;
        check_literals(&expr).map_err(|fault| refuse(vec![fault]))?;
        let output = checked.types.get(expr.id).cloned().unwrap_or(Type::Dyn);
        let cost = estimate::estimate(&expr, &checked.types, &self.variables);
        Ok(Program { expr, output, cost })
    }
}

/// A checked expression.
#[derive(Clone, Debug)]
pub struct Program {
    expr: Expr,
    output: Type,
    cost: Range,
}

impl Program {
    /// The type of the result.
    pub fn output(&self) -> &Type {
        &self.output
    }

    /// What an evaluation costs by the bounds of the variables' declarations.
    pub fn cost(&self) -> Range {
        self.cost
    }

    /// Whether the expression mentions a variable.
    pub fn uses(&self, variable: &str) -> bool {
        let mut found = false;
        self.expr.walk(&mut |expr| found |= matches!(&expr.node, Node::Ident(name) if &**name == variable));
        found
    }

    /// Evaluates the expression. It fails when the cost exceeds `limit`.
    pub fn evaluate<'a>(&self, bindings: &'a Bindings<'a>, limit: u64) -> Result<Outcome<'a>, Failed> {
        eval::evaluate(self, bindings, limit)
    }
}

/// Why an evaluation has no result, in cel-go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The limit was exceeded.
    #[error("operation cancelled: actual cost limit exceeded")]
    OverBudget,
    /// Anything else: `no such key: x`, `division by zero`, …
    #[error("{0}")]
    Message(String),
}

impl EvalError {
    pub(super) fn no_overload() -> Self {
        Self::Message("no such overload".into())
    }
}

/// Why a text is no expression over the declared variables, as cel-go prints it: the place and a caret below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    text: String,
    faults: Vec<Fault>,
}

impl std::error::Error for CompileError {}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.faults.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            let before: String = self.text.chars().take(fault.at).collect();
            let line = before.matches('\n').count();
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
            let source = self.text.split('\n').nth(line).unwrap_or_default();
            let dots = ".".repeat(column);
            write!(f, "ERROR: <input>:{}:{}: {}\n | {source}\n | {dots}^", line + 1, column + 1, fault.message)?;
        }
        Ok(())
    }
}

/// Durations, timestamps and regular expressions that are literals must be well formed (`cel.ASTValidators`).
fn check_literals(expr: &Expr) -> Result<(), Fault> {
    let mut found = None;
    expr.walk(&mut |expr| {
        let Node::Call(call) = &expr.node else { return };
        let literal = call.args.last().and_then(|arg| match &arg.node {
            Node::Literal(ast::Literal::String(text)) => Some((arg.at, text.clone())),
            _ => None,
        });
        let Some((at, text)) = literal else { return };
        let bad = match &*call.function {
            "duration" if go::parse(&text).is_none() => "invalid duration argument".to_owned(),
            "timestamp" if value::read_time(&text).is_none() => "invalid timestamp argument".to_owned(),
            "matches" if crate::pattern::compile(&text).is_err() => "invalid matches argument".to_owned(),
            _ => return,
        };
        found.get_or_insert(lex::fault(at, bad));
    });
    found.map_or(Ok(()), Err)
}
