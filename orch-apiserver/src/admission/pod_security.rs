//! Pods keep to the Pod Security Standard of their namespace (`plugin/pkg/admission/security/podsecurity`,
//! `k8s.io/pod-security-admission/admission`).

use super::{NAMESPACES, Operation, PODS, Plugin, Review, View};
use crate::core::{create::invalid, json};
use async_trait::async_trait;
use orch_api::{
    Key, StatusError,
    pod_security::{Level, LevelVersion, Policy, Subject, sentence, violations},
};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};

const ANNOTATION: &str = "pod-security.kubernetes.io/";
/// As many pods of a namespace are looked at when it gets a stricter level.
const MOST_PODS: usize = 3000;
/// Subresources that do not change what a pod may.
const HARMLESS: [&str; 8] = ["exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"];

/// The plugin `PodSecurity`.
pub struct PodSecurity;

#[async_trait]
impl Plugin for PodSecurity {
    fn name(&self) -> &'static str {
        "PodSecurity"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        matches!(review.operation, Operation::Create | Operation::Update)
            && match (review.is_of("", "pods"), review.subresource()) {
                (true, subresource) => !HARMLESS.contains(&subresource),
                (false, "") => review.is("", "namespaces") || template_path(review).is_some(),
                _ => false,
            }
    }

    async fn validate(&self, view: &View<'_>, review: &Review<'_>, object: &Value) -> Result<(), StatusError> {
        if review.is("", "namespaces") {
            return check_namespace(view, review, object).await;
        }
        let Some(namespace) = view.find(&NAMESPACES, &Key::cluster(review.namespace())).await? else {
            return Ok(());
        };
        let (policy, errors) = Policy::of(|name| namespace.meta.labels.get(name));
        if policy.is_privileged() && errors.is_empty() {
            return Ok(());
        }
        if let Some(first) = errors.first() {
            note(review, "error", format!("Failed to parse policy: {first}"));
        }
        match template_path(review) {
            Some(path) => {
                if let Some(template) = json::at(object, path) {
                    note_and_warn(review, &policy, template);
                }
                Ok(())
            }
            None if review.old.is_some_and(|old| !changes_containers(object, old)) => Ok(()),
            None => {
                note(review, "enforce-policy", policy.enforce.to_string());
                note_and_warn(review, &Policy { warn: LevelVersion::default(), ..policy }, object);
                if let Some(why) = judged(policy.enforce, object) {
                    let why = format!("violates PodSecurity \"{}\": {why}", policy.enforce);
                    return Err(review.forbidden(object, why));
                }
                note_and_warn(review, &Policy { audit: LevelVersion::default(), ..policy }, object);
                Ok(())
            }
        }
    }
}

/// Where the template of pods stands in an object that makes some.
fn template_path(review: &Review<'_>) -> Option<&'static [&'static str]> {
    match (&*review.call.kind.group, &*review.call.kind.plural) {
        ("", "podtemplates") => Some(&["template"]),
        ("", "replicationcontrollers")
        | ("apps", "replicasets" | "deployments" | "statefulsets" | "daemonsets")
        | ("batch", "jobs") => Some(&["spec", "template"]),
        ("batch", "cronjobs") => Some(&["spec", "jobTemplate", "spec", "template"]),
        _ => None,
    }
}

fn judged(level: LevelVersion, pod: &Value) -> Option<String> {
    sentence(&violations(level, &Subject::of(pod)))
}

fn note(review: &Review<'_>, key: &str, value: String) {
    review.call.annotations.add(format!("{ANNOTATION}{key}"), value);
}

fn note_and_warn(review: &Review<'_>, policy: &Policy, pod: &Value) {
    if let Some(why) = judged(policy.audit, pod) {
        note(review, "audit-violations", format!("would violate PodSecurity \"{}\": {why}", policy.audit));
    }
    if let Some(why) = judged(policy.warn, pod) {
        review.call.warnings.add(format!("would violate PodSecurity \"{}\": {why}", policy.warn));
    }
}

/// Whether an update brings other images or containers; nothing else of a pod's security can change.
fn changes_containers(new: &Value, old: &Value) -> bool {
    let images = |pod: &Value, list: &str| -> Vec<Value> {
        json::items(pod, &["spec", list]).iter().map(|c| c.get("image").cloned().unwrap_or_default()).collect()
    };
    let ephemeral = |pod: &Value| -> Vec<(Value, Value)> {
        let field = |c: &Value, name: &str| c.get(name).cloned().unwrap_or_default();
        json::items(pod, &["spec", "ephemeralContainers"])
            .iter()
            .map(|c| (field(c, "name"), field(c, "image")))
            .collect()
    };
    let known = ephemeral(old);
    ["containers", "initContainers"].into_iter().any(|list| images(new, list) != images(old, list))
        || ephemeral(new).iter().any(|container| !known.contains(container))
}

/// The labels must make sense; whoever makes them stricter is told of the pods that are beyond them already.
async fn check_namespace(view: &View<'_>, review: &Review<'_>, namespace: &Value) -> Result<(), StatusError> {
    let read = |namespace: &Value| {
        let labels = json::at(namespace, &["metadata", "labels"]);
        Policy::of(|name| labels?.get(name)?.as_str())
    };
    let (new, errors) = read(namespace);
    let Some(old) = review.old else {
        return if errors.is_empty() { Ok(()) } else { Err(invalid(review.call, review.key, &errors)) };
    };
    let (before, old_errors) = read(old);
    if !errors.is_empty() && errors != old_errors {
        return Err(invalid(review.call, review.key, &errors));
    }
    let laxer = new.enforce.version == before.enforce.version && new.enforce.level <= before.enforce.level;
    if new.enforce == before.enforce || new.enforce.level == Level::Privileged || laxer {
        return Ok(());
    }
    for warning in existing(view, &review.key.name, new.enforce).await? {
        review.call.warnings.add(warning);
    }
    Ok(())
}

/// What is to be said of the pods that a namespace has already. Of the pods of one controller the first stands for all until all
/// others have been looked at.
async fn existing(view: &View<'_>, namespace: &str, level: LevelVersion) -> Result<Vec<String>, StatusError> {
    let mut first = Vec::new();
    let mut alike = Vec::new();
    let mut controllers = HashSet::new();
    for pod in view.known(&PODS, namespace).await? {
        let is_new = pod.controller().is_none_or(|owner| controllers.insert(owner.uid.clone()));
        if is_new { first.push(pod) } else { alike.push(pod) }
    }
    first.append(&mut alike);
    let total = first.len();
    first.truncate(MOST_PODS);
    let mut found: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for pod in &first {
        let tree: Value = pod.parse()?;
        let reasons: Vec<String> = violations(level, &Subject::of(&tree)).into_iter().map(|v| v.reason).collect();
        if !reasons.is_empty() {
            let name = pod.key.name.to_string();
            let entry = found.entry(reasons.join(", ")).or_insert((name.clone(), 0));
            entry.0 = entry.0.clone().min(name);
            entry.1 += 1;
        }
    }
    let mut warnings = Vec::new();
    if first.len() < total {
        let checked = first.len();
        let words = "new PodSecurity enforce level only checked against the first";
        warnings.push(format!("{words} {checked} of {total} existing pods"));
    }
    if !found.is_empty() {
        let words = format!("existing pods in namespace {namespace:?} violate the new PodSecurity enforce level");
        warnings.push(format!("{words} \"{level}\""));
    }
    let mut pods: Vec<String> =
        found.into_iter().map(|(reasons, (name, count))| told(&name, count, &reasons)).collect();
    pods.sort();
    warnings.append(&mut pods);
    Ok(warnings)
}

fn told(name: &str, count: usize, reasons: &str) -> String {
    match count {
        1 => format!("{name}: {reasons}"),
        2 => format!("{name} (and 1 other pod): {reasons}"),
        _ => format!("{name} (and {} other pods): {reasons}", count - 1),
    }
}
