//! [`Rules`]: what a user may do in a namespace, for SelfSubjectRulesReview and for escalation checks.

use super::Rule;
use serde_json::{Value, json};

/// What a user may do in a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The rules, those for resources and those for paths.
    pub rules: Vec<Rule>,
    /// Whether there may be more that the authorizer cannot list.
    pub incomplete: bool,
    /// Why the list is incomplete; may be empty.
    pub error: String,
}

impl Rules {
    /// Everything.
    pub fn everything() -> Self {
        let all = || vec!["*".to_owned()];
        let resources = Rule { verbs: all(), api_groups: all(), resources: all(), ..Rule::default() };
        let paths = Rule { verbs: all(), non_resource_urls: all(), ..Rule::default() };
        Self { rules: vec![resources, paths], ..Self::default() }
    }

    /// Both lists as one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.rules.extend(other.rules);
        let error = match (self.error.is_empty(), other.error.is_empty()) {
            (true, _) => other.error,
            (_, true) => self.error,
            _ => format!("[{}, {}]", self.error, other.error),
        };
        Self { rules: self.rules, incomplete: self.incomplete || other.incomplete, error }
    }
}

/// The `status` of a SelfSubjectRulesReview.
pub fn rules_status(rules: &Rules) -> Value {
    let (resources, paths): (Vec<&Rule>, Vec<&Rule>) =
        rules.rules.iter().partition(|rule| rule.non_resource_urls.is_empty());
    let mut status = json!({
        "resourceRules": resources,
        "nonResourceRules": paths,
        "incomplete": rules.incomplete,
    });
    if !rules.error.is_empty() {
        status["evaluationError"] = rules.error.clone().into();
    }
    status
}
