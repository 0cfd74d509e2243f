//! [`Selection`]: the label and field selectors of one request.

use orch_api::{
    Kind, StatusError,
    field_selector::FieldSelector,
    label_selector::{Labels, Selector},
};
use orch_store::{Stored, cache::ResourceCache};
use std::borrow::Cow;

/// Label and field selectors of one request.
pub(crate) struct Selection {
    labels: Option<Selector>,
    fields: Option<FieldSelector>,
}

/// The labels of a stored object, as selectors read them.
pub(crate) struct LabelsOf<'a>(pub &'a Stored);

impl Labels for LabelsOf<'_> {
    fn label(&self, key: &str) -> Option<&str> {
        self.0.meta.labels.get(key)
    }
}

impl Selection {
    /// Reads selectors; `None` when they select everything.
    pub(crate) fn parse(kind: &Kind, labels: &str, fields: &str) -> Result<Option<Self>, StatusError> {
        let labels = match labels {
            "" => None,
            text => Some(Selector::parse(text).map_err(|e| StatusError::bad_request(e.to_string()))?),
        };
        let fields = match fields {
            "" => None,
            text => {
                let fields = FieldSelector::parse(text).map_err(|e| StatusError::bad_request(e.to_string()))?;
                fields.check(kind).map_err(|e| StatusError::bad_request(e.to_string()))?;
                Some(fields)
            }
        };
        Ok((labels.is_some() || fields.is_some()).then_some(Self { labels, fields }))
    }

    /// Whether the selectors ask for more of an object than its name, namespace and labels.
    pub(crate) fn looks_inside(&self) -> bool {
        let inside = |field: &str| !matches!(field, "metadata.name" | "metadata.namespace");
        self.fields.as_ref().is_some_and(|fields| fields.terms().iter().any(|term| inside(&term.field)))
    }

    /// Whether the selectors select a custom object as its version serves it.
    pub(crate) fn matches_served(&self, kind: &Kind, object: &Stored) -> bool {
        self.labels.as_ref().is_none_or(|s| s.matches(&LabelsOf(object)))
            && self.fields.as_ref().is_none_or(|fields| {
                object.parse::<serde_json::Value>().is_ok_and(|object| fields.matches(kind, &object))
            })
    }

    /// Whether the selectors select an object of the resource.
    pub(crate) fn matches(&self, resource: &ResourceCache, object: &Stored) -> bool {
        let field = |name: &str| -> Cow<'_, str> {
            match name {
                "metadata.name" => Cow::Borrowed(&*object.key.name),
                "metadata.namespace" => Cow::Borrowed(&*object.key.namespace),
                name => Cow::Borrowed(resource.fields(object).get(name).unwrap_or_default()),
            }
        };
        self.labels.as_ref().is_none_or(|s| s.matches(&LabelsOf(object)))
            && self.fields.as_ref().is_none_or(|s| s.matches_by(field))
    }
}
