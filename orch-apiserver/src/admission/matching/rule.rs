//! [`Rule`]: operations and resources.

use crate::admission::Review;
use orch_api::{
    Kind,
    k8s_openapi::api::admissionregistration::v1::{NamedRuleWithOperations, RuleWithOperations},
};

/// What rules look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    group: &'a str,
    version: &'a str,
    resource: &'a str,
    subresource: &'a str,
    operation: &'a str,
    namespace: &'a str,
    name: &'a str,
}

impl<'a> Asked<'a> {
    /// What the request itself is about.
    pub(crate) fn of(review: &'a Review<'a>, name: &'a str) -> Self {
        Self::through(review, &review.call.kind, name)
    }

    /// The same, as if the request had named an equivalent resource.
    pub(crate) fn through(review: &'a Review<'a>, kind: &'a Kind, name: &'a str) -> Self {
        Self {
            group: &kind.group,
            version: &kind.version,
            resource: &kind.plural,
            subresource: review.subresource(),
            operation: review.operation.as_str(),
            namespace: review.namespace(),
            name,
        }
    }

    fn is_namespace(&self) -> bool {
        self.group.is_empty() && self.resource == "namespaces"
    }
}

/// Operations on resources, in a scope, of some names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    /// Resource and subresource.
    resources: Vec<(String, String)>,
    scope: Scope,
    /// Empty for all.
    names: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Scope {
    #[default]
    All,
    Namespaced,
    Cluster,
    /// A word that is no scope.
    Nothing,
}

impl From<&RuleWithOperations> for Rule {
    fn from(rule: &RuleWithOperations) -> Self {
        let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        let scope = match rule.scope.as_deref() {
            None | Some("*") => Scope::All,
            Some("Namespaced") => Scope::Namespaced,
            Some("Cluster") => Scope::Cluster,
            Some(_) => Scope::Nothing,
        };
        let split = |text: &String| {
            let (resource, subresource) = text.split_once('/').unwrap_or((text, ""));
            (resource.to_owned(), subresource.to_owned())
        };
        Self {
            operations: list(&rule.operations),
            groups: list(&rule.api_groups),
            versions: list(&rule.api_versions),
            resources: rule.resources.iter().flatten().map(split).collect(),
            scope,
            names: Vec::new(),
        }
    }
}

impl From<&NamedRuleWithOperations> for Rule {
    fn from(rule: &NamedRuleWithOperations) -> Self {
        let plain = RuleWithOperations {
            api_groups: rule.api_groups.clone(),
            api_versions: rule.api_versions.clone(),
            operations: rule.operations.clone(),
            resources: rule.resources.clone(),
            scope: rule.scope.clone(),
        };
        Self { names: rule.resource_names.clone().unwrap_or_default(), ..Self::from(&plain) }
    }
}

impl Rule {
    /// Whether the rule is about such a request.
    pub(crate) fn matches(&self, asked: &Asked<'_>) -> bool {
        self.in_scope(asked)
            && one_of(&self.operations, asked.operation)
            && one_of(&self.groups, asked.group)
            && one_of(&self.versions, asked.version)
            && self
                .resources
                .iter()
                .any(|(resource, subresource)| is(resource, asked.resource) && is(subresource, asked.subresource))
            && (self.names.is_empty() || self.names.iter().any(|name| name == asked.name))
    }

    fn in_scope(&self, asked: &Asked<'_>) -> bool {
        let in_namespace = !asked.is_namespace() && !asked.namespace.is_empty();
        match self.scope {
            Scope::All => true,
            Scope::Namespaced => in_namespace,
            Scope::Cluster => !in_namespace,
            Scope::Nothing => false,
        }
    }
}

fn one_of(list: &[String], asked: &str) -> bool {
    list.iter().any(|item| is(item, asked))
}

fn is(item: &str, asked: &str) -> bool {
    item == "*" || item == asked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(operations: &[&str], group: &str, version: &str, resources: &[&str], scope: &str) -> Rule {
        let list = |list: &[&str]| Some(list.iter().map(ToString::to_string).collect());
        Rule::from(&RuleWithOperations {
            operations: list(operations),
            api_groups: list(&[group]),
            api_versions: list(&[version]),
            resources: list(resources),
            scope: Some(scope.into()),
        })
    }

    const POD: Asked<'_> = Asked {
        group: "",
        version: "v1",
        resource: "pods",
        subresource: "",
        operation: "CREATE",
        namespace: "demo",
        name: "web",
    };
    const EXEC: Asked<'_> = Asked { subresource: "exec", operation: "CONNECT", ..POD };
    const NODE: Asked<'_> = Asked { resource: "nodes", namespace: "", ..POD };
    const NAMESPACE: Asked<'_> = Asked { resource: "namespaces", name: "demo", ..POD };

    fn check(rule: &Rule, expected: [bool; 4]) {
        assert_eq!([POD, EXEC, NODE, NAMESPACE].map(|asked| rule.matches(&asked)), expected, "{rule:?}");
    }

    #[test]
    fn wildcards_of_resources_leave_out_subresources_unless_they_name_them() {
        check(&rule(&["*"], "*", "*", &["*"], "*"), [true, false, true, true]);
        check(&rule(&["*"], "*", "*", &["*/*"], "*"), [true, true, true, true]);
        check(&rule(&["*"], "", "v1", &["pods/*"], "*"), [true, true, false, false]);
        check(&rule(&["*"], "", "v1", &["*/exec"], "*"), [false, true, false, false]);
    }

    #[test]
    fn operations_groups_and_versions_must_all_fit() {
        check(&rule(&["CONNECT"], "", "v1", &["*/*"], "*"), [false, true, false, false]);
        check(&rule(&["UPDATE"], "", "v1", &["*/*"], "*"), [false; 4]);
        check(&rule(&["*"], "apps", "v1", &["*/*"], "*"), [false; 4]);
        check(&rule(&["*"], "", "v2", &["*/*"], "*"), [false; 4]);
    }

    #[test]
    fn a_namespace_is_cluster_scoped_though_it_is_in_itself() {
        check(&rule(&["*"], "*", "*", &["*/*"], "Namespaced"), [true, true, false, false]);
        check(&rule(&["*"], "*", "*", &["*/*"], "Cluster"), [false, false, true, true]);
    }

    #[test]
    fn names_narrow_a_rule() {
        let named = |name: &str| Rule { names: vec![name.into()], ..rule(&["*"], "*", "*", &["pods"], "*") };
        assert!(named("web").matches(&POD) && !named("db").matches(&POD));
    }
}
