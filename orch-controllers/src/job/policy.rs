//! The pod failure policy and the success policy (`pkg/controller/job/{pod_failure_policy,success_policy}.go`).

use super::{indexes::Indexes, pods::JobPod, spec};
use k8s_openapi::api::batch::v1::{Job, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule};
use orch_runtime::view::Known;

/// What a failed pod means for its Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It counts towards the limits.
    Count,
    /// It does not.
    Ignore,
    /// It counts, and its index is given up.
    FailIndex,
    /// It counts, and the Job is given up, in these words.
    FailJob(String),
}

/// By the first rule that a failed pod meets; without a rule it counts.
pub(super) fn judge(job: &Job, pod: &Known<JobPod>) -> Judgement {
    let rules = spec::failure_policy(job).map_or(&[][..], |policy| &policy.rules);
    rules.iter().enumerate().find_map(|(at, rule)| apply(at, rule, pod)).unwrap_or(Judgement::Count)
}

fn apply(at: usize, rule: &PodFailurePolicyRule, pod: &Known<JobPod>) -> Option<Judgement> {
    let (key, action) = (&pod.stored.key, &rule.action);
    let words = match (&rule.on_exit_codes, &rule.on_pod_conditions) {
        (Some(codes), _) => {
            let exit = pod.facts.exits.iter().find(|exit| meets(codes, &exit.container, exit.code))?;
            let (container, code) = (&exit.container, exit.code);
            format!(
                "Container {container} for pod {key} failed with exit code {code} matching {action} rule at index {at}"
            )
        }
        (None, Some(patterns)) => {
            let meets = |kind: &str, status: &str| {
                patterns.iter().any(|p| p.type_ == kind && p.status.as_deref().unwrap_or("True") == status)
            };
            let (kind, _) = pod.facts.conditions.iter().find(|(kind, status)| meets(kind, status))?;
            format!("Pod {key} has condition {kind} matching {action} rule at index {at}")
        }
        (None, None) => return None,
    };
    match action.as_str() {
        "Ignore" => Some(Judgement::Ignore),
        "FailIndex" => Some(Judgement::FailIndex),
        "Count" => Some(Judgement::Count),
        "FailJob" => Some(Judgement::FailJob(words)),
        _ => None,
    }
}

fn meets(rule: &PodFailurePolicyOnExitCodesRequirement, container: &str, code: i32) -> bool {
    let is_meant = rule.container_name.as_ref().is_none_or(|name| name == container);
    is_meant
        && match rule.operator.as_str() {
            "In" => rule.values.contains(&code),
            "NotIn" => !rule.values.contains(&code),
            _ => false,
        }
}

/// In which words the success policy is met by what has succeeded.
pub(super) fn success(job: &Job, succeeded: &Indexes) -> Option<String> {
    let policy = job.spec.as_ref()?.success_policy.as_ref()?;
    if succeeded.is_empty() {
        return None;
    }
    let enough = |count: usize, wanted: Option<i32>| {
        wanted.is_some_and(|wanted| usize::try_from(wanted).is_ok_and(|wanted| count >= wanted))
    };
    let met = policy.rules.iter().position(|rule| match &rule.succeeded_indexes {
        Some(text) => {
            let required = Indexes::read(text, spec::completions(job));
            let shared = required.shared(succeeded);
            !required.is_empty() && (shared == required.count() || enough(shared, rule.succeeded_count))
        }
        None => enough(succeeded.count(), rule.succeeded_count),
    });
    met.map(|at| format!("Matched rules at index {at}"))
}
