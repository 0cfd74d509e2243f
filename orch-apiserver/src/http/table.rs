//! Tables, as `kubectl get` asks for them.

use super::respond::Shape;
use orch_api::{
    StatusError,
    table::{IncludeObject, Printer},
};
use serde_json::Value;

/// Reads `?includeObject=`.
pub fn include(text: &str) -> Result<IncludeObject, StatusError> {
    IncludeObject::parse(text)
        .ok_or_else(|| StatusError::bad_request(format!("unrecognized includeObject value: {text:?}")))
}

/// A table of these objects.
pub fn render(shape: &Shape, objects: &[Value], metadata: Value, with_columns: bool) -> Value {
    let mut table = Printer::new(&shape.kind, shape.include).table(objects, metadata, shape.now);
    if let (Value::Object(table), false) = (&mut table, with_columns) {
        table.insert("columnDefinitions".into(), Value::Null);
    }
    table
}
