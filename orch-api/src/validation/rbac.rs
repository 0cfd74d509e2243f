//! Roles and bindings (`pkg/apis/rbac/validation`).

use super::{
    at::At,
    names::{dns_subdomain, path_segment},
    selector::label_selector,
};

const GROUP: &str = "rbac.authorization.k8s.io";

/// Role.
pub(super) fn role(role: At<'_>) {
    role.at("rules").items().for_each(|rule| policy_rule(rule, true));
}

/// ClusterRole.
pub(super) fn cluster_role(role: At<'_>) {
    role.at("rules").items().for_each(|rule| policy_rule(rule, false));
    let aggregation = role.at("aggregationRule");
    if aggregation.is_set() {
        let selectors = aggregation.at("clusterRoleSelectors");
        selectors.require("at least one clusterRoleSelector required if aggregationRule is non-nil");
        selectors.items().for_each(label_selector);
    }
}

fn policy_rule(rule: At<'_>, is_namespaced: bool) {
    rule.at("verbs").require("verbs must contain at least one value");
    let urls = rule.at("nonResourceURLs");
    if !urls.is_empty() {
        if is_namespaced {
            urls.invalid("namespaced rules cannot apply to non-resource URLs");
        }
        if ["apiGroups", "resources", "resourceNames"].iter().any(|field| !rule.at(field).is_empty()) {
            urls.invalid("rules cannot apply to both regular resources and non-resource URLs");
        }
        return;
    }
    rule.at("apiGroups").require("resource rules must supply at least one api group");
    rule.at("resources").require("resource rules must supply at least one resource");
}

/// RoleBinding.
pub(super) fn role_binding(binding: At<'_>) {
    judge(binding, true);
}

/// ClusterRoleBinding.
pub(super) fn cluster_role_binding(binding: At<'_>) {
    judge(binding, false);
}

fn judge(binding: At<'_>, is_namespaced: bool) {
    let role = binding.at("roleRef");
    let (group, kind, name) = (role.at("apiGroup"), role.at("kind"), role.at("name"));
    if group.str() != GROUP {
        group.not_supported(&[GROUP]);
    }
    let kinds: &[&str] = if is_namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kinds.contains(&kind.str()) {
        kind.not_supported(kinds);
    }
    if name.require("") {
        name.text(path_segment);
    }
    binding.at("subjects").items().for_each(|subject| judge_subject(subject, is_namespaced));
}

fn judge_subject(subject: At<'_>, is_namespaced: bool) {
    let (kind, name, group) = (subject.at("kind"), subject.at("name"), subject.at("apiGroup"));
    name.require("");
    match kind.str() {
        "ServiceAccount" => {
            if !name.is_empty() {
                name.text(dns_subdomain);
            }
            if !group.is_empty() {
                group.not_supported(&[""]);
            }
            if !is_namespaced {
                subject.at("namespace").require("");
            }
        }
        "User" | "Group" if group.str() != GROUP => group.not_supported(&[GROUP]),
        "User" | "Group" => {}
        _ => kind.not_supported(&["ServiceAccount", "User", "Group"]),
    }
}

/// An update of a RoleBinding: the role stays.
pub(super) fn role_binding_updated<'a>(new: At<'a>, old: At<'a>) {
    role_binding(new);
    role_stays(new, old);
}

/// An update of a ClusterRoleBinding: the role stays.
pub(super) fn cluster_role_binding_updated<'a>(new: At<'a>, old: At<'a>) {
    cluster_role_binding(new);
    role_stays(new, old);
}

fn role_stays<'a>(new: At<'a>, old: At<'a>) {
    if !new.at("roleRef").same(old.at("roleRef")) {
        new.at("roleRef").invalid("cannot change roleRef");
    }
}
