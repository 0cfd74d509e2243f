//! [`Rule`]: a policy rule of RBAC, and what it matches (`pkg/registry/rbac/validation`,
//! `pkg/apis/rbac/v1/evaluation_helpers.go`).

use super::Attributes;
use serde::{Deserialize, Serialize};

/// What a role allows. An empty list matches nothing, except `resource_names`, which then matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// Verbs, or `*`.
    pub verbs: Vec<String>,
    /// API groups, or `*`; the core group is the empty string.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// `pods`, `pods/log`, `*/scale` or `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Only objects of these names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Paths, which may end in `*`.
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

impl Rule {
    /// Whether the rule allows the request.
    pub fn allows(&self, a: &Attributes<'_>) -> bool {
        if !has(&self.verbs, a.verb) {
            return false;
        }
        if !a.is_resource() {
            return self.matches_path(a.path);
        }
        has(&self.api_groups, a.group)
            && self.matches_resource(a.resource, a.subresource)
            && (self.resource_names.is_empty() || self.resource_names.iter().any(|n| n == a.name))
    }

    fn matches_resource(&self, resource: &str, subresource: &str) -> bool {
        self.resources.iter().any(|pattern| match pattern.split_once('/') {
            _ if pattern == "*" => true,
            None => subresource.is_empty() && pattern == resource,
            Some((of, sub)) => !subresource.is_empty() && sub == subresource && (of == "*" || of == resource),
        })
    }

    fn matches_path(&self, path: &str) -> bool {
        self.non_resource_urls.iter().any(|pattern| path_matches(pattern, path))
    }

    /// Whether everything that `wanted` (a rule with one verb and one target) allows is allowed here too.
    pub(super) fn covers(&self, wanted: &Self) -> bool {
        let all =
            |have: &[String], want: &[String]| have.iter().any(|h| h == "*") || want.iter().all(|w| have.contains(w));
        let resources = wanted.resources.iter().all(|want| {
            self.resources.iter().any(|have| {
                have == "*"
                    || have == want
                    || matches!((have.strip_prefix("*/"), want.split_once('/')), (Some(h), Some((_, w))) if h == w)
            })
        });
        let names = match (self.resource_names.is_empty(), wanted.resource_names.is_empty()) {
            (true, _) => true,
            (false, true) => false,
            (false, false) => wanted.resource_names.iter().all(|n| self.resource_names.contains(n)),
        };
        let paths = wanted.non_resource_urls.iter().all(|want| {
            self.non_resource_urls
                .iter()
                .any(|have| have == want || have.strip_suffix('*').is_some_and(|prefix| want.starts_with(prefix)))
        });
        all(&self.verbs, &wanted.verbs) && all(&self.api_groups, &wanted.api_groups) && resources && names && paths
    }

    /// The rule as rules with one verb and one target each.
    pub(super) fn split(&self) -> Vec<Self> {
        let mut out = Vec::new();
        for verb in &self.verbs {
            let verbs = vec![verb.clone()];
            for url in &self.non_resource_urls {
                out.push(Self { verbs: verbs.clone(), non_resource_urls: vec![url.clone()], ..Self::default() });
            }
            for group in &self.api_groups {
                for resource in &self.resources {
                    let one = Self {
                        verbs: verbs.clone(),
                        api_groups: vec![group.clone()],
                        resources: vec![resource.clone()],
                        ..Self::default()
                    };
                    match &self.resource_names[..] {
                        [] => out.push(one),
                        names => {
                            out.extend(names.iter().map(|n| Self { resource_names: vec![n.clone()], ..one.clone() }))
                        }
                    }
                }
            }
        }
        out
    }

    /// The rule as refusals of escalation print it: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`.
    pub(super) fn compact(&self) -> String {
        let part = |name: &str, values: &[String]| (!values.is_empty()).then(|| format!("{name}:{}", quoted(values)));
        let parts = [
            part("APIGroups", &self.api_groups),
            part("Resources", &self.resources),
            part("NonResourceURLs", &self.non_resource_urls),
            part("ResourceNames", &self.resource_names),
            part("Verbs", &self.verbs),
        ];
        format!("{{{}}}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

fn has(list: &[String], word: &str) -> bool {
    list.iter().any(|entry| entry == "*" || entry == word)
}

fn path_matches(pattern: &str, path: &str) -> bool {
    pattern == "*"
        || pattern == path
        || pattern.strip_suffix('*').is_some_and(|p| path.starts_with(p.trim_end_matches('*')))
}

/// A list of strings as `%q` prints it: `["a" "b"]`.
fn quoted(values: &[String]) -> String {
    let words: Vec<String> = values.iter().map(|v| format!("{v:?}")).collect();
    format!("[{}]", words.join(" "))
}
