//! Tables, as `kubectl get` asks for them.

use super::respond::Shape;
use orch_api::{StatusError, table};
use serde_json::{Value, json};

/// How much of the object a row carries (`?includeObject=`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Include {
    /// The whole object.
    Object,
    /// Its metadata.
    #[default]
    Metadata,
    /// Nothing.
    None,
}

impl Include {
    /// Reads the parameter.
    pub fn parse(text: &str) -> Result<Self, StatusError> {
        match text {
            "" | "Metadata" => Ok(Self::Metadata),
            "Object" => Ok(Self::Object),
            "None" => Ok(Self::None),
            other => Err(StatusError::bad_request(format!("unrecognized includeObject value: {other:?}"))),
        }
    }
}

/// A table of these objects.
pub fn render(shape: &Shape, objects: &[Value], metadata: Value, with_columns: bool) -> Value {
    let columns = if with_columns { table::columns(&shape.kind) } else { Value::Null };
    let rows: Vec<Value> = objects.iter().map(|object| row(shape, object)).collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": rows,
    })
}

fn row(shape: &Shape, object: &Value) -> Value {
    let carried = match shape.include {
        Include::None => Value::Null,
        Include::Object => object.clone(),
        Include::Metadata => {
            let metadata = object.get("metadata").cloned().unwrap_or_default();
            json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
        }
    };
    let mut row = json!({"cells": table::cells(&shape.kind, object, shape.now)});
    if let (Value::Object(row), false) = (&mut row, carried.is_null()) {
        row.insert("object".into(), carried);
    }
    row
}
