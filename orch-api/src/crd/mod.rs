//! Custom kinds: what a CustomResourceDefinition says, as rows of the kinds table with a schema behind them
//! (`apiextensions-apiserver/pkg`).
//!
//! ```text
//! CustomResourceDefinition ─► check (is it one?)            names ─► accepted or in conflict
//!                         └─► rows: Kind + Version ─► object: prune → coerce → default → validate → rules (CEL)
//! ```
//!
//! The steps of a request find [`Version`] in the row and otherwise do the same as for built-in kinds.

mod bundle;
mod check;
mod decl;
mod default;
mod embedded;
mod field_path;
mod formats;
mod lists;
mod merge;
pub mod names;
mod node;
mod old;
mod prune;
mod row;
mod rules;
#[cfg(test)]
mod tests;
mod value;

pub use bundle::fault as bundle_fault;
pub use check::{created, structure, updated};
pub use node::{Additional, Node, Type, Validation};
pub use row::{Row, rows};

use crate::{
    FieldError, FieldErrors, Path,
    access::{get, text, texts},
    cel::RUNTIME_BUDGET,
    jsonpath::JsonPath,
    key::Name,
    schema::Schema,
};
pub(crate) use decl::escape;
use rules::Rules;
use serde_json::Value;
use std::sync::Arc;

/// What a row of a custom kind has beside that of a built-in one.
#[derive(Debug)]
pub struct Version {
    /// The kind of lists.
    pub list_kind: String,
    /// The paths of the scale subresource.
    pub scale: Option<Scale>,
    /// The version in which objects are stored.
    pub storage: Name,
    /// The schema.
    pub node: Arc<Node>,
    /// The schema as apply and merge see it.
    pub schema: Arc<Schema>,
    /// The schema as the definition has it, for publication.
    pub published: Arc<Value>,
    /// Whether unknown fields are kept everywhere.
    pub preserve_unknown: bool,
    /// What clients of a deprecated version hear.
    pub deprecation: Option<String>,
    /// How objects of other versions become ones of this.
    pub conversion: Arc<Conversion>,
    /// Whether the definition is being deleted: there are no new objects then.
    pub terminating: bool,
    /// Whether stored objects are already as this version serves them.
    pub as_stored: bool,
    rules: Option<Rules>,
}

/// Where the scale of an object is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scale {
    /// The wanted number, such as `.spec.replicas`.
    pub spec: String,
    /// The found number.
    pub status: String,
    /// The selector, as text; may be empty.
    pub selector: String,
}

/// How objects change their version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversion {
    /// The webhook that does it; `None` changes the `apiVersion` alone.
    pub webhook: Option<Value>,
    /// Versions of ConversionReview that the webhook understands.
    pub review_versions: Vec<String>,
}

impl Scale {
    fn read(json: &Value) -> Self {
        let path = |field| text(json, field).to_owned();
        Self { spec: path("specReplicasPath"), status: path("statusReplicasPath"), selector: path("labelSelectorPath") }
    }
}

impl Conversion {
    fn read(definition: &Value) -> Self {
        let webhook = get(definition, "spec.conversion").filter(|c| text(c, "strategy") == "Webhook");
        Self {
            webhook: webhook.and_then(|c| get(c, "webhook.clientConfig")).cloned(),
            review_versions: webhook
                .map(|c| texts(c, "webhook.conversionReviewVersions").map(str::to_owned).collect())
                .unwrap_or_default(),
        }
    }
}

/// What became of an object on its way in.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// Paths of unknown fields, which are gone.
    pub unknown: Vec<String>,
}

impl Version {
    /// Brings an object of a request into the form of its schema: unknown fields go, metadata takes the form of its type.
    pub fn decode(&self, object: &mut Value) -> Result<Decoded, FieldError> {
        let mut unknown = embedded::coerce(object, &self.node, true)?;
        if !self.preserve_unknown {
            unknown.extend(prune::prune(object, &self.node));
        }
        unknown.sort();
        Ok(Decoded { unknown })
    }

    /// Fills in defaults, of requests as of what is stored.
    pub fn default(&self, object: &mut Value) {
        default::apply(object, &self.node);
    }

    /// Judges a new object, metadata aside.
    pub fn created(&self, object: &Value) -> FieldErrors {
        let mut out = value::check(&Path::default(), &self.node, object, None);
        self.scale_faults(object, true, &mut out);
        self.embedded(object, &mut out);
        lists::check(&Path::default(), &self.node, object, &mut out);
        self.evaluate(object, None, &mut out);
        out
    }

    /// Judges an update, metadata aside. What is let pass because it was so before is in the second list.
    pub fn updated(&self, new: &Value, old: &Value) -> (FieldErrors, Vec<String>) {
        let mut out = value::check(&Path::default(), &self.node, new, Some(old));
        self.scale_faults(new, true, &mut out);
        self.embedded(new, &mut out);
        self.lists(new, old, &mut out);
        let warnings = self.evaluate(new, Some(old), &mut out);
        (out, warnings)
    }

    /// Judges an update of the status, metadata aside.
    pub fn status_updated(&self, new: &Value, old: &Value) -> (FieldErrors, Vec<String>) {
        let mut out = Vec::new();
        let path = Path::new("status");
        let (status, before) = (new.get("status"), old.get("status"));
        let schema = self.node.properties.get("status");
        if let (Some(status), Some(schema)) = (status, schema) {
            out.extend(value::check(&path, schema, status, before));
        }
        self.scale_faults(new, false, &mut out);
        self.lists(new, old, &mut out);
        let warnings = self.evaluate(new, Some(old), &mut out);
        (out, warnings)
    }

    /// Judges lists that are sets or maps. Where the old object had such a fault already, no other is reported.
    fn lists(&self, new: &Value, old: &Value, out: &mut FieldErrors) {
        let (mut now, mut before) = (Vec::new(), Vec::new());
        lists::check(&Path::default(), &self.node, new, &mut now);
        if !now.is_empty() {
            lists::check(&Path::default(), &self.node, old, &mut before);
        }
        if before.is_empty() {
            out.append(&mut now);
        }
    }

    fn embedded(&self, object: &Value, out: &mut FieldErrors) {
        let root = Path::default();
        if let Value::Object(map) = object {
            for (name, value) in map {
                if let Some(inner) = self.node.properties.get(name).filter(|_| !prune::META.contains(&&**name)) {
                    embedded::check(&root.child(name), value, inner, inner.embedded, out);
                }
            }
        }
    }

    fn evaluate(&self, new: &Value, old: Option<&Value>, out: &mut FieldErrors) -> Vec<String> {
        let mut warnings = Vec::new();
        // Rules may rely on the schema: they are not asked about what does not fulfil it.
        let blocked = out.iter().any(|fault| fault.stops_rules());
        match &self.rules {
            Some(rules) if !blocked => {
                let mut budget = i64::try_from(RUNTIME_BUDGET).unwrap_or(i64::MAX);
                rules.check(&Path::default(), new, old, &mut budget, out, &mut warnings);
            }
            Some(_) => {
                let words = "some validation rules were not checked because the object was invalid; correct the existing \
                     errors to complete validation";
                out.push(FieldError::invalid_null(&Path::default(), words));
            }
            None => {}
        }
        warnings
    }

    fn scale_faults(&self, object: &Value, with_spec: bool, out: &mut FieldErrors) {
        let Some(scale) = &self.scale else { return };
        let paths = if with_spec { vec![&scale.spec, &scale.status] } else { vec![&scale.status] };
        for path in paths {
            let found = JsonPath::parse(path).ok().and_then(|p| p.first(object).cloned());
            let (shown, words) = match found.as_ref().map(|v| (v, v.as_i64())) {
                None => continue,
                Some((_, Some(n))) if n < 0 => (n, "should be a non-negative integer".to_owned()),
                Some((_, Some(n))) if n > i64::from(i32::MAX) => {
                    (n, format!("should be less than or equal to {}", i32::MAX))
                }
                Some((_, Some(_))) => continue,
                Some((other, None)) => {
                    let what =
                        format!("{path} accessor error: {other} is of the type {}, expected int64", go_type(other));
                    (0, what)
                }
            };
            out.push(FieldError::invalid(&Path::new(path), shown, words));
        }
    }
}

/// What expressions see of the objects of a schema; `None` where they see nothing.
pub(crate) fn declaration(node: &Node) -> Option<crate::cel::Decl> {
    decl::of(node, true)
}

/// Go's name of the type of a decoded JSON value.
pub fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
