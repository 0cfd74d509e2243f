//! The `Table` form of objects, which `kubectl get` asks for (`meta.k8s.io/v1`).

use crate::{
    access, duration,
    jsonpath::JsonPath,
    kind::{Cell, Column, Kind},
    kinds, time,
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// What a row carries of its object: `includeObject`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// Its metadata, as a `PartialObjectMetadata`.
    #[default]
    Metadata,
    /// All of it.
    Object,
}

impl IncludeObject {
    /// The query parameter's value; empty is the default.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "None" => Some(Self::None),
            "Metadata" | "" => Some(Self::Metadata),
            "Object" => Some(Self::Object),
            _ => None,
        }
    }
}

/// Makes the rows of one kind. The paths of the columns are parsed once.
pub struct Printer<'a> {
    kind: &'a Kind,
    cells: Vec<(&'a Column, Compute)>,
    include: IncludeObject,
}

enum Compute {
    Function(fn(&Value, Timestamp) -> Value),
    Path(Option<JsonPath>),
}

impl<'a> Printer<'a> {
    /// A printer of the kind's columns.
    pub fn new(kind: &'a Kind, include: IncludeObject) -> Self {
        let compute = |column: &'a Column| match &column.cell {
            Cell::Computed(function) => (column, Compute::Function(*function)),
            Cell::Path(path) => (column, Compute::Path(JsonPath::parse(path).ok())),
        };
        Self { kind, cells: kind.columns.iter().map(compute).collect(), include }
    }

    /// The whole table. `metadata` is that of the list: resourceVersion, continue, remainingItemCount.
    pub fn table(&self, objects: &[Value], metadata: Value, now: Timestamp) -> Value {
        let rows: Vec<Value> = objects.iter().map(|object| self.row(object, now)).collect();
        json!({
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "columnDefinitions": self.columns(),
            "rows": rows,
        })
    }

    /// The column definitions.
    pub fn columns(&self) -> Value {
        let columns = self.cells.iter().map(|(column, _)| {
            json!({
                "name": column.name,
                "type": column.kind,
                "format": column.format,
                "description": column.description,
                "priority": column.priority,
            })
        });
        columns.collect()
    }

    /// The row of one object.
    pub fn row(&self, object: &Value, now: Timestamp) -> Value {
        let cells: Vec<Value> = self.cells.iter().map(|(column, compute)| compute.cell(column, object, now)).collect();
        let mut row = Map::new();
        row.insert("cells".into(), cells.into());
        if self.kind.group.is_empty() && self.kind.kind == "Pod" {
            row.extend(kinds::row_conditions(object).map(|conditions| ("conditions".to_owned(), conditions)));
        }
        let carried = match self.include {
            IncludeObject::None => None,
            IncludeObject::Metadata => Some(partial_metadata(object)),
            IncludeObject::Object => Some(object.clone()),
        };
        row.insert("object".into(), carried.unwrap_or(Value::Null));
        Value::Object(row)
    }
}

impl Compute {
    fn cell(&self, column: &Column, object: &Value, now: Timestamp) -> Value {
        match self {
            Self::Function(function) => function(object, now),
            Self::Path(path) => {
                let found = path.as_ref().map(|path| path.all(object)).unwrap_or_default();
                typed(&column.kind, &found, now)
            }
        }
    }
}

/// The object reduced to its metadata.
pub fn partial_metadata(object: &Value) -> Value {
    let metadata = access::get(object, "metadata").cloned().unwrap_or_else(|| json!({}));
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
}

/// A found value as a cell of the column's type (`apiextensions-apiserver/pkg/registry/customresource/tableconvertor`).
fn typed(kind: &str, found: &[&Value], now: Timestamp) -> Value {
    let Some(first) = found.first() else { return Value::Null };
    match kind {
        "integer" => first.as_i64().or_else(|| first.as_f64().map(|f| f as i64)).map_or(Value::Null, Value::from),
        "number" => first.as_f64().map_or(Value::Null, Value::from),
        "boolean" => first.as_bool().map_or(Value::Null, Value::from),
        "date" => match time::read(first) {
            Some(then) => Value::from(duration::between(then, now)),
            None if first.is_string() => Value::from("<invalid>"),
            None => Value::Null,
        },
        _ => match found {
            [Value::Null] => Value::Null,
            [Value::String(text)] => Value::from(text.as_str()),
            many => Value::from(many.iter().map(|value| printed(value)).collect::<Vec<_>>().join(" ")),
        },
    }
}

fn printed(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
