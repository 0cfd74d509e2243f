//! Kubernetes' libraries (strings, regular expressions, URLs, addresses, quantities, versions, formats) as kube-cel has
//! them. A function is reached through a small program that calls it, made once per function.

use super::{
    EvalError,
    functions::message,
    value::{Entries, Opaque, Value},
};
use kube_cel::{
    KubeCelExt,
    cel::{self, Context, ExecutionError, Program, objects::Key},
};
use std::{cell::RefCell, collections::HashMap, sync::Arc};

thread_local! {
    static LIBRARY: Library = Library { context: Context::default().with_all(), programs: RefCell::default() };
}

struct Library {
    context: Context<'static>,
    programs: RefCell<HashMap<String, Arc<Program>>>,
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Calls a function of a library. The target of a method is its first argument.
pub(super) fn call<'a>(function: &str, method: bool, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let Some(names) = NAMES.get(..args.len()) else { return Err(EvalError::no_overload()) };
    let text = match (method, names.split_first()) {
        (true, Some((target, rest))) => format!("{target}.{function}({})", rest.join(", ")),
        _ => format!("{function}({})", names.join(", ")),
    };
    LIBRARY.with(|library| {
        let program = library.program(&text)?;
        let mut context = library.context.new_inner_scope();
        for (name, value) in names.iter().zip(args) {
            context.add_variable_from_value(*name, into(value).ok_or_else(EvalError::no_overload)?);
        }
        program.execute(&context).map_err(|error| failed(&error)).map(from)
    })
}

/// Whether the text matches a regular expression somewhere.
pub(super) fn matches(text: &str, pattern: &str) -> Result<bool, EvalError> {
    match crate::pattern::compile(pattern) {
        Ok(regex) => Ok(regex.is_match(text)),
        Err(why) => Err(message(format!("error parsing regexp: {why}"))),
    }
}

impl Library {
    fn program(&self, text: &str) -> Result<Arc<Program>, EvalError> {
        if let Some(known) = self.programs.borrow().get(text) {
            return Ok(known.clone());
        }
        let program = Arc::new(Program::compile(text).map_err(|e| message(e.to_string()))?);
        self.programs.borrow_mut().insert(text.to_owned(), program.clone());
        Ok(program)
    }
}

fn failed(error: &ExecutionError) -> EvalError {
    match error {
        ExecutionError::FunctionError { message: words, .. } => message(words.clone()),
        ExecutionError::NoSuchKey(key) => message(format!("no such key: {key}")),
        ExecutionError::UnexpectedType { .. } | ExecutionError::UnsupportedTargetType { .. } => {
            EvalError::no_overload()
        }
        other => message(other.to_string()),
    }
}

fn into(value: &Value<'_>) -> Option<cel::Value> {
    Some(match value {
        Value::Null | Value::Optional(None) => cel::Value::Null,
        Value::Bool(truth) => cel::Value::Bool(*truth),
        Value::Int(n) => cel::Value::Int(*n),
        Value::Uint(n) => cel::Value::UInt(*n),
        Value::Double(n) => cel::Value::Float(*n),
        Value::String(text) => cel::Value::String(Arc::new(text.to_string())),
        Value::Bytes(bytes) => cel::Value::Bytes(Arc::new(bytes.to_vec())),
        Value::List(list) => cel::Value::List(Arc::new(list.iter().map(|item| into(&item)).collect::<Option<_>>()?)),
        Value::Map(map) => {
            let entries: Option<HashMap<Key, cel::Value>> =
                map.iter().map(|(key, value)| Some((Key::String(Arc::new(key.shown())), into(&value)?))).collect();
            cel::Value::Map(entries?.into())
        }
        Value::Opaque(opaque) => opaque.0.clone(),
        Value::Timestamp(_) | Value::Duration(_) | Value::Type(_) => {
            cel::Value::String(Arc::new(value.to_json().as_str().unwrap_or_default().to_owned()))
        }
        Value::Optional(Some(inner)) => into(inner)?,
        Value::Check(_) | Value::Lazy(_) | Value::Pending(_) => return None,
    })
}

fn from<'a>(value: cel::Value) -> Value<'a> {
    match value {
        cel::Value::Null => Value::Null,
        cel::Value::Bool(truth) => Value::Bool(truth),
        cel::Value::Int(n) => Value::Int(n),
        cel::Value::UInt(n) => Value::Uint(n),
        cel::Value::Float(n) => Value::Double(n),
        cel::Value::String(text) => Value::text(text.as_str()),
        cel::Value::Bytes(bytes) => Value::Bytes(bytes.as_slice().into()),
        cel::Value::List(items) => Value::list(items.iter().cloned().map(from).collect()),
        cel::Value::Map(map) => {
            let key = |key: &Key| match key {
                Key::String(text) => Value::text(text.as_str()),
                Key::Int(n) => Value::Int(*n),
                Key::Uint(n) => Value::Uint(*n),
                Key::Bool(truth) => Value::Bool(*truth),
            };
            let entries = map.map.iter().map(|(k, v)| (key(k), from(v.clone()))).collect();
            Value::Map(Entries::Made(Arc::new(entries)))
        }
        other => optional(other),
    }
}

/// kube-cel answers with an optional of its cel crate where ours has its own.
fn optional<'a>(value: cel::Value) -> Value<'a> {
    if let cel::Value::Opaque(opaque) = &value
        && let Some(inner) = opaque.downcast_ref::<cel::objects::OptionalValue>()
    {
        return Value::Optional(inner.value().cloned().map(|inner| Box::new(from(inner))));
    }
    Value::Opaque(Opaque(value))
}
