//! [`Criteria`]: rules with the selectors beside them.

use super::rule::{Asked, Rule};
use crate::{
    admission::{NAMESPACES, Operation, Review, View},
    core::{json, selection::LabelsOf},
};
use orch_api::{
    Key, Kind, StatusError,
    k8s_openapi::{
        api::admissionregistration::v1::{MatchResources, RuleWithOperations},
        apimachinery::pkg::apis::meta::v1::LabelSelector,
    },
    label_selector::{Labels, Selector},
};
use serde_json::Value;
use std::sync::Arc;

/// Which writes somebody is asked about.
pub(crate) struct Criteria {
    rules: Vec<Rule>,
    excluded: Vec<Rule>,
    /// Whether no rules mean every request.
    unbounded: bool,
    /// Whether a rule also stands for other versions of its resources.
    equivalent: bool,
    namespaces: Result<Selector, String>,
    objects: Result<Selector, String>,
}

impl Criteria {
    /// Those of a webhook.
    pub(crate) fn of_webhook(
        rules: &[RuleWithOperations],
        match_policy: Option<&str>,
        namespaces: Option<&LabelSelector>,
        objects: Option<&LabelSelector>,
    ) -> Self {
        Self {
            rules: rules.iter().map(Rule::from).collect(),
            excluded: Vec::new(),
            unbounded: false,
            equivalent: match_policy.is_none_or(|p| p == "Equivalent"),
            namespaces: selector(namespaces),
            objects: selector(objects),
        }
    }

    /// Those of a policy or of its binding. A binding without rules narrows nothing.
    pub(crate) fn of_policy(resources: Option<&MatchResources>) -> Self {
        let none = MatchResources::default();
        let resources = resources.unwrap_or(&none);
        let rules = |list: &Option<Vec<_>>| list.iter().flatten().map(Rule::from).collect();
        Self {
            rules: rules(&resources.resource_rules),
            excluded: rules(&resources.exclude_resource_rules),
            unbounded: true,
            equivalent: resources.match_policy.as_deref() == Some("Equivalent"),
            namespaces: selector(resources.namespace_selector.as_ref()),
            objects: selector(resources.object_selector.as_ref()),
        }
    }

    /// The kind as which a matching write is shown: the request's own, or the equivalent one that a rule names.
    pub(crate) async fn matched(
        &self,
        view: &View<'_>,
        review: &Review<'_>,
        object: &Value,
    ) -> Result<Option<Arc<Kind>>, StatusError> {
        let name = match &*review.key.name {
            "" => json::meta(object, "name"),
            name => name,
        };
        if self.find(&self.excluded, view, review, name).is_some() {
            return Ok(None);
        }
        let kind = if self.unbounded && self.rules.is_empty() {
            Some(review.call.kind.clone())
        } else {
            self.find(&self.rules, view, review, name)
        };
        let Some(kind) = kind else { return Ok(None) };
        if !self.selects_object(review, object)? {
            return Ok(None);
        }
        Ok(self.selects_namespace(view, review, object).await?.then_some(kind))
    }

    fn find(&self, rules: &[Rule], view: &View<'_>, review: &Review<'_>, name: &str) -> Option<Arc<Kind>> {
        let own = Asked::of(review, name);
        if rules.iter().any(|rule| rule.matches(&own)) {
            return Some(review.call.kind.clone());
        }
        if !self.equivalent || rules.is_empty() {
            return None;
        }
        let others = view.core.registry.equivalents(&review.call.kind);
        let fits = |rule: &Rule| others.iter().find(|kind| rule.matches(&Asked::through(review, kind, name))).cloned();
        rules.iter().find_map(fits)
    }

    fn selects_object(&self, review: &Review<'_>, object: &Value) -> Result<bool, StatusError> {
        let selector = self.objects.as_ref().map_err(StatusError::internal)?;
        let fits = |object: &Value| !object.is_null() && selector.matches(&LabelsOfTree(object));
        Ok(selector.is_everything() || fits(object) || review.old.is_some_and(fits))
    }

    /// What is in no namespace is never left out.
    async fn selects_namespace(
        &self,
        view: &View<'_>,
        review: &Review<'_>,
        object: &Value,
    ) -> Result<bool, StatusError> {
        let namespace = review.namespace();
        let selector = self.namespaces.as_ref().map_err(StatusError::internal)?;
        if selector.is_everything() || namespace.is_empty() {
            return Ok(true);
        }
        let is_new_state = matches!(review.operation, Operation::Create | Operation::Update);
        if review.is("", "namespaces") && is_new_state {
            return Ok(selector.matches(&LabelsOfTree(object)));
        }
        match view.find(&NAMESPACES, &Key::cluster(namespace)).await? {
            Some(found) => Ok(selector.matches(&LabelsOf(&found))),
            None => Err(StatusError::not_found(&NAMESPACES, namespace)),
        }
    }
}

fn selector(selector: Option<&LabelSelector>) -> Result<Selector, String> {
    match selector {
        None => Ok(Selector::everything()),
        some => Selector::from_typed(some).map_err(|e| e.to_string()),
    }
}

/// The labels of an object as a tree.
struct LabelsOfTree<'a>(&'a Value);

impl Labels for LabelsOfTree<'_> {
    fn label(&self, key: &str) -> Option<&str> {
        self.0.get("metadata")?.get("labels")?.get(key)?.as_str()
    }
}
