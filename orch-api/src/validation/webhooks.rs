//! Webhook configurations and admission policies (`pkg/apis/admissionregistration/validation`).

use super::{
    at::At,
    names::{dns_1035_label, dns_subdomain},
    selector::label_selector,
};
use crate::expressions::{Compiled, Scope};

/// ValidatingWebhookConfiguration and MutatingWebhookConfiguration.
pub(super) fn configuration(object: At<'_>) {
    let mut names = Vec::new();
    for hook in object.at("webhooks").items() {
        webhook(hook);
        let name = hook.at("name");
        if !name.is_empty() && names.contains(&name.str()) {
            name.duplicate();
        }
        names.push(name.str());
    }
}

fn webhook(hook: At<'_>) {
    qualified_name(hook.at("name"));
    hook.at("rules").items().for_each(|rule| operations_rule(rule, true));
    hook.at("failurePolicy").one_of(&["Fail", "Ignore"]);
    hook.at("matchPolicy").one_of(&["Equivalent", "Exact"]);
    let effects = hook.at("sideEffects");
    if effects.is_set() {
        effects.one_of(&["None", "NoneOnDryRun"]);
    } else {
        effects.required("must specify one of None, NoneOnDryRun");
    }
    let timeout = hook.at("timeoutSeconds");
    if timeout.int().is_some_and(|n| !(1..=30).contains(&n)) {
        timeout.invalid("the timeout value must be between 1 and 30 seconds");
    }
    label_selector(hook.at("namespaceSelector"));
    label_selector(hook.at("objectSelector"));
    hook.at("reinvocationPolicy").one_of(&["IfNeeded", "Never"]);
    client(hook.at("clientConfig"));
    conditions(hook.at("matchConditions"), false);
    review_versions(hook.at("admissionReviewVersions"));
}

/// `hook.example.com`: at least three segments.
fn qualified_name(name: At<'_>) {
    if !name.require("") {
        return;
    }
    let complaints = dns_subdomain(name.str());
    if !complaints.is_empty() {
        name.invalid(complaints.join(","));
    } else if name.str().split('.').count() < 3 {
        name.invalid("should be a domain with at least three segments separated by dots");
    }
}

fn client(config: At<'_>) {
    let (url, service) = (config.at("url"), config.at("service"));
    match (url.is_set(), service.is_set()) {
        (true, false) => webhook_url(url),
        (false, true) => webhook_service(service),
        _ => config.required("exactly one of url or service is required"),
    }
}

/// Where a webhook is called by URL.
pub(super) fn webhook_url(url: At<'_>) {
    const FORM: &str = "; desired format: https://host[/path]";
    let (scheme, rest) = url.str().split_once("://").unwrap_or(("", url.str()));
    if scheme != "https" {
        url.invalid_as(scheme, format!("'https' is the only allowed URL scheme{FORM}"));
    }
    let (before, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (before, query) = before.split_once('?').unwrap_or((before, ""));
    let authority = if scheme.is_empty() { "" } else { before.split('/').next().unwrap_or_default() };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if host.is_empty() {
        url.invalid_as("", format!("host must be specified{FORM}"));
    }
    for (part, words) in [
        (user, "user information is not permitted in the URL"),
        (fragment, "fragments are not permitted in the URL"),
        (query, "query parameters are not permitted in the URL"),
    ] {
        if !part.is_empty() {
            url.invalid_as(part, words);
        }
    }
}

/// Where a webhook is called through a service.
pub(super) fn webhook_service(service: At<'_>) {
    // Upstream swaps the two when it calls its helper, and so the order of the faults.
    service.at("name").require("");
    service.at("namespace").require("");
    let port = service.at("port");
    if port.int().is_some_and(|n| !(1..=65535).contains(&n)) {
        port.invalid("port is not valid: must be between 1 and 65535, inclusive");
    }
    let path = service.at("path");
    if matches!(path.str(), "" | "/") {
        return;
    }
    if path.str() == "//" {
        return path.invalid("segment[0] may not be empty");
    }
    let Some(steps) = path.str().strip_prefix('/') else {
        return path.invalid("must start with a '/'");
    };
    for (i, step) in steps.strip_suffix('/').unwrap_or(steps).split('/').enumerate() {
        if step.is_empty() {
            path.invalid(format!("segment[{i}] may not be empty"));
            continue;
        }
        dns_subdomain(step).into_iter().for_each(|message| path.invalid(format!("segment[{i}]: {message}")));
    }
}

fn review_versions(versions: At<'_>) {
    if !versions.require("must specify one of v1, v1beta1") {
        return;
    }
    let mut seen = Vec::new();
    for version in versions.items() {
        if seen.contains(&version.str()) {
            version.invalid("duplicate version");
            continue;
        }
        seen.push(version.str());
        version.text(dns_1035_label);
    }
    if !seen.iter().any(|version| matches!(*version, "v1" | "v1beta1")) {
        versions.invalid("must include at least one of v1, v1beta1");
    }
}

fn operations_rule(rule: At<'_>, with_subresources: bool) {
    let operations = rule.at("operations");
    operations.require("");
    let known = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
    only_wildcard(operations, "operations");
    operations.items().for_each(|operation| operation.one_of(&known));
    for (field, what) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
        rule.at(field).require("");
        only_wildcard(rule.at(field), what);
    }
    for version in rule.at("apiVersions").items() {
        version.require("");
    }
    resources(rule.at("resources"), with_subresources);
    rule.at("scope").one_of(&["*", "Cluster", "Namespaced"]);
}

fn only_wildcard(list: At<'_>, what: &str) {
    if list.len() > 1 && list.items().any(|item| item.str() == "*") {
        list.invalid(format!("if '*' is present, must not specify other {what}"));
    }
}

fn resources(list: At<'_>, with_subresources: bool) {
    list.require("");
    let (mut any_subresource, mut any_resource): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    let mut has_plain = false;
    for item in list.items() {
        if !item.require("") {
            continue;
        }
        let Some((resource, subresource)) = item.str().split_once('/') else {
            has_plain = item.str() != "*";
            continue;
        };
        if !with_subresources {
            item.invalid("must not specify subresources");
        }
        if any_subresource.contains(&resource) {
            item.invalid(format!("if '{resource}/*' is present, must not specify {}", item.str()));
        }
        if any_resource.contains(&subresource) {
            item.invalid(format!("if '*/{subresource}' is present, must not specify {}", item.str()));
        }
        if subresource == "*" {
            any_subresource.push(resource);
        }
        if resource == "*" {
            any_resource.push(subresource);
        }
    }
    let has = |name: &str| list.items().any(|item| item.str() == name);
    if list.len() > 1 && has("*/*") {
        list.invalid("if '*/*' is present, must not specify other resources");
    }
    if has("*") && has_plain {
        list.invalid("if '*' is present, must not specify other resources without subresources");
    }
}

fn conditions(list: At<'_>, with_params: bool) {
    if list.len() > 64 {
        list.too_many(64);
    }
    if list.is_empty() {
        return;
    }
    let scope = Scope::new(with_params).with_authorizer();
    let mut names = Vec::new();
    for condition in list.items() {
        let name = condition.at("name");
        let expression = condition.at("expression");
        if expression.str().trim().is_empty() {
            expression.required("");
        } else {
            expression_of(expression, |text| scope.condition(text));
        }
        if name.require("") {
            name.text(super::names::qualified);
            if names.contains(&name.str()) {
                name.duplicate();
            }
        }
        names.push(name.str());
    }
}

/// An expression must compile.
fn expression_of(expression: At<'_>, compile: impl Fn(&str) -> Compiled) {
    if let Err(why) = compile(expression.str()).program {
        expression.invalid(why);
    }
}

/// The scope of a policy's expressions, with the variables that it declares.
fn policy_scope(spec: At<'_>) -> Scope {
    let mut declared = Vec::new();
    for variable in spec.at("variables").items() {
        let (name, expression) = (variable.at("name"), variable.at("expression"));
        if name.str().trim().is_empty() {
            name.required("name is not specified");
        } else if !is_identifier(name.str()) {
            name.invalid("must be a valid CEL identifier");
        }
        if expression.str().trim().is_empty() {
            expression.required("expression is not specified");
            continue;
        }
        declared.push((name.str(), expression));
    }
    let texts = declared.iter().map(|(name, expression)| (*name, expression.str()));
    let (scope, variables) = Scope::new(spec.at("paramKind").is_set()).with_variables(texts);
    for ((_, expression), variable) in declared.iter().zip(variables) {
        if let Err(why) = variable.compiled.program {
            expression.invalid(why);
        }
    }
    scope
}

fn is_identifier(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// ValidatingAdmissionPolicy.
pub(super) fn validating_policy(policy: At<'_>) {
    let spec = policy.at("spec");
    constraints(spec);
    let plain = policy_scope(spec);
    let scope = plain.with_authorizer();
    let (validations, audits) = (spec.at("validations"), spec.at("auditAnnotations"));
    if validations.is_empty() && audits.is_empty() {
        validations.required("validations or auditAnnotations must contain at least one item");
        audits.required("validations or auditAnnotations must contain at least one item");
    }
    for validation in validations.items() {
        let (expression, message) = (validation.at("expression"), validation.at("message"));
        if expression.str().trim().is_empty() {
            expression.required("expression is not specified");
        } else {
            expression_of(expression, |text| scope.condition(text));
        }
        let made = validation.at("messageExpression");
        if !made.is_empty() {
            expression_of(made, |text| plain.message(text));
        }
        if message.str().contains('\n') {
            message.invalid("must not contain line breaks");
        } else if message.is_empty() && expression.str().contains('\n') {
            message.required("message must be specified if expression contains line breaks");
        }
        let reason = validation.at("reason");
        reason.one_of(&["Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"]);
    }
    for audit in audits.items() {
        audit.at("key").require("key is not specified");
        if audit.at("valueExpression").require("valueExpression is not specified") {
            expression_of(audit.at("valueExpression"), |text| plain.any(text));
        }
    }
}

/// MutatingAdmissionPolicy.
pub(super) fn mutating_policy(policy: At<'_>) {
    let spec = policy.at("spec");
    constraints(spec);
    spec.at("mutations").require("mutations must contain at least one item");
    spec.at("reinvocationPolicy").required_one_of(&["IfNeeded", "Never"]);
    let scope = policy_scope(spec).with_authorizer().with_structs();
    for mutation in spec.at("mutations").items() {
        let kind = mutation.at("patchType");
        kind.required_one_of(&["ApplyConfiguration", "JSONPatch"]);
        let (own, other) = match kind.str() {
            "JSONPatch" => ("jsonPatch", "applyConfiguration"),
            "ApplyConfiguration" => ("applyConfiguration", "jsonPatch"),
            _ => continue,
        };
        if mutation.at(own).is_set() {
            let expression = mutation.at(own).at("expression");
            if expression.str().trim().is_empty() {
                expression.required("");
            } else {
                expression_of(expression, |text| scope.any(text));
            }
        } else {
            mutation.at(own).required(format!("must be specified when patchType is {}", kind.str()));
        }
        if mutation.at(other).is_set() {
            let words = format!("must not be specified when patchType is {}", kind.str());
            mutation.at(other).invalid_as(format!("{{{other}}}"), words);
        }
    }
}

fn constraints(spec: At<'_>) {
    spec.at("failurePolicy").one_of(&["Fail", "Ignore"]);
    let kind = spec.at("paramKind");
    if kind.is_set() {
        kind.at("apiVersion").require("");
        kind.at("kind").require("");
    }
    let matched = spec.at("matchConstraints");
    if matched.is_set() {
        matched.at("resourceRules").require("");
        match_resources(matched);
    } else {
        matched.required("");
    }
    conditions(spec.at("matchConditions"), spec.at("paramKind").is_set());
}

fn match_resources(resources: At<'_>) {
    resources.at("matchPolicy").one_of(&["Equivalent", "Exact"]);
    label_selector(resources.at("namespaceSelector"));
    label_selector(resources.at("objectSelector"));
    for list in ["resourceRules", "excludeResourceRules"] {
        resources.at(list).items().for_each(|rule| operations_rule(rule, true));
    }
}

/// Bindings of both kinds of policies; a validating one says what follows.
pub(super) fn policy_binding(binding: At<'_>) {
    let spec = binding.at("spec");
    if spec.at("policyName").require("") {
        spec.at("policyName").text(dns_subdomain);
    }
    let params = spec.at("paramRef");
    if params.is_set() {
        let (name, selector) = (params.at("name"), params.at("selector"));
        if name.is_empty() && !selector.is_set() {
            params.required("one of name or selector must be specified");
        }
        if !name.is_empty() && selector.is_set() {
            name.forbidden("name and selector are mutually exclusive");
        }
        params.at("parameterNotFoundAction").required_one_of(&["Allow", "Deny"]);
    }
    match_resources(spec.at("matchResources"));
}

/// ValidatingAdmissionPolicyBinding.
pub(super) fn validating_binding(binding: At<'_>) {
    policy_binding(binding);
    let actions = binding.at("spec").at("validationActions");
    actions.require("");
    let mut seen = Vec::new();
    for action in actions.items() {
        action.one_of(&["Audit", "Deny", "Warn"]);
        if seen.contains(&action.str()) {
            action.duplicate();
        }
        seen.push(action.str());
    }
    if seen.contains(&"Deny") && seen.contains(&"Warn") {
        actions.invalid("must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)");
    }
}
