//! What the root of a schema may say.

use crate::{
    FieldError, FieldErrors, Path,
    crd::check::tree::{has, text},
};
use serde_json::Value;

/// With a status subresource the root says little beside its properties, so that the status can be judged alone.
pub(super) fn fields(path: &Path, schema: &Value, out: &mut FieldErrors) {
    const ALLOWED: [(&str, &str); 22] = [
        ("description", "Description"),
        ("type", "Type"),
        ("format", "Format"),
        ("title", "Title"),
        ("maximum", "Maximum"),
        ("exclusiveMaximum", "ExclusiveMaximum"),
        ("minimum", "Minimum"),
        ("exclusiveMinimum", "ExclusiveMinimum"),
        ("maxLength", "MaxLength"),
        ("minLength", "MinLength"),
        ("pattern", "Pattern"),
        ("maxItems", "MaxItems"),
        ("minItems", "MinItems"),
        ("uniqueItems", "UniqueItems"),
        ("multipleOf", "MultipleOf"),
        ("required", "Required"),
        ("items", "Items"),
        ("properties", "Properties"),
        ("externalDocs", "ExternalDocs"),
        ("example", "Example"),
        ("x-kubernetes-preserve-unknown-fields", "XPreserveUnknownFields"),
        ("x-kubernetes-validations", "XValidations"),
    ];
    let ty = text(schema, "type");
    if !ty.is_empty() && ty != "object" {
        let words =
            "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        out.push(FieldError::invalid(&path.child("type"), ty, words));
        return;
    }
    let fields = schema.as_object().into_iter().flatten().map(|(field, _)| field.as_str());
    let strange = |field: &&str| has(schema, field) && ALLOWED.iter().all(|(allowed, _)| allowed != field);
    if fields.into_iter().any(|field| strange(&field)) {
        let words: Vec<&str> = ALLOWED.iter().map(|(_, word)| *word).collect();
        let words = format!(
            "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
            words.join(" ")
        );
        out.push(FieldError::invalid(path, schema.clone(), words));
    }
}
