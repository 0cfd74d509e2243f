//! The syntax tree of an expression. Macros are expanded while parsing, as cel-go does it.

use std::sync::Arc;

/// A node with its number in the tree and the place in the text that errors about it point to.
#[derive(Clone, Debug)]
pub(super) struct Expr {
    pub(super) id: usize,
    /// Offset in characters.
    pub(super) at: usize,
    pub(super) node: Node,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Literal(Literal),
    Ident(Arc<str>),
    /// `operand.field`, or with `test` whether it is there: `has(operand.field)`.
    Select {
        operand: Box<Expr>,
        field: Arc<str>,
        test: bool,
    },
    Call(Call),
    /// Items; the flag marks `?item`, which is left out where it is no value.
    List(Vec<(Expr, bool)>),
    Map(Vec<(Expr, Expr, bool)>),
    /// `Type{field: value}`
    Struct(Arc<str>, Vec<(Arc<str>, Expr, bool)>),
    Fold(Box<Fold>),
}

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) function: Arc<str>,
    pub(super) target: Option<Box<Expr>>,
    pub(super) args: Vec<Expr>,
}

/// A loop over a list or a map: what the macros become.
#[derive(Clone, Debug)]
pub(super) struct Fold {
    pub(super) range: Expr,
    /// The item of a list or the key of a map; with a second variable the index or the key.
    pub(super) var: Arc<str>,
    pub(super) var2: Option<Arc<str>>,
    pub(super) accu: Arc<str>,
    pub(super) init: Expr,
    pub(super) condition: Expr,
    pub(super) step: Expr,
    pub(super) result: Expr,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
}

/// The accumulator of a fold; no name that a user can write.
pub(super) const ACCU: &str = "@result";

impl Expr {
    /// Calls `visit` for the node and everything below it.
    pub(super) fn walk(&self, visit: &mut dyn FnMut(&Expr)) {
        visit(self);
        match &self.node {
            Node::Literal(_) | Node::Ident(_) => {}
            Node::Select { operand, .. } => operand.walk(visit),
            Node::Call(call) => call.target.as_deref().into_iter().chain(&call.args).for_each(|e| e.walk(visit)),
            Node::List(items) => items.iter().for_each(|(item, _)| item.walk(visit)),
            Node::Map(entries) => entries.iter().for_each(|(key, value, _)| {
                key.walk(visit);
                value.walk(visit);
            }),
            Node::Struct(_, fields) => fields.iter().for_each(|(_, value, _)| value.walk(visit)),
            Node::Fold(fold) => {
                for part in [&fold.range, &fold.init, &fold.condition, &fold.step, &fold.result] {
                    part.walk(visit);
                }
            }
        }
    }
}
