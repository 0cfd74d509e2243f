//! Jobs: what they are made of, and how their status comes to its end.

use super::*;

/// A Job with this merged into its spec.
fn job(spec: Value) -> Value {
    let mut job = json!({"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}});
    merge(&mut job["spec"], spec);
    job
}

#[test]
fn a_job_restarts_its_containers_or_not_but_never_always() {
    check("Job", job(json!({})), &[]);
    check(
        "Job",
        job(json!({"template": {"spec": {"restartPolicy": "Always"}}})),
        &["spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""],
    );
    check(
        "Job",
        job(json!({"completionMode": "Indexed", "parallelism": 2, "backoffLimit": -1})),
        &[
            "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0",
            "spec.completions: Required value: when completion mode is Indexed",
        ],
    );
    check_update(
        "Job",
        job(json!({})),
        json!({"spec": {"completions": 5}}),
        &["spec.completions: Invalid value: 5: field is immutable"],
    );
}

#[test]
fn a_jobs_selector_is_generated_or_brought_on_purpose() {
    let labels = |uid: &str| json!({"template": {"metadata": {"labels": {"batch.kubernetes.io/controller-uid": uid}}}});
    check("Job", job(labels("1-2-3")), &[]);
    let wrong = json!({"batch.kubernetes.io/controller-uid": "9", "batch.kubernetes.io/job-name": "a",
        "controller-uid": "1-2-3", "job-name": "a"});
    check(
        "Job",
        job(labels("9")),
        &[
            &format!(
                "spec.template.metadata.labels[batch.kubernetes.io/controller-uid]: Invalid value: {wrong}: must be '1-2-3'"
            ),
            &format!(
                "spec.template.metadata.labels: Invalid value: {wrong}: `selector` does not match template `labels`"
            ),
        ],
    );
    let own = json!({"manualSelector": true, "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}}});
    check("Job", job(own), &[]);
    let without_a_word =
        json!({"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}}});
    let selector = json!({"matchLabels": {"a": "b", "batch.kubernetes.io/controller-uid": "1-2-3"}});
    check(
        "Job",
        job(without_a_word),
        &[&format!("spec.selector: Invalid value: {selector}: `selector` not auto-generated")],
    );
}

#[test]
fn a_success_policy_names_indexes_that_there_are() {
    let policy =
        |rule: Value| job(json!({"completionMode": "Indexed", "completions": 5, "successPolicy": {"rules": [rule]}}));
    check("Job", policy(json!({"succeededIndexes": "0,2-3", "succeededCount": 3})), &[]);
    check(
        "Job",
        policy(json!({"succeededIndexes": "0,2-3", "succeededCount": 4})),
        &["spec.successPolicy.rules[0].succeededCount: Invalid value: 4: must be less than or equal to 3 \
            (the number of indexes in the specified succeededIndexes field)"],
    );
    check(
        "Job",
        policy(json!({"succeededIndexes": "3-5"})),
        &["spec.successPolicy.rules[0].succeededIndexes: Invalid value: \"3-5\": error parsing succeededIndexes: \
            too large index: \"5\""],
    );
}

/// Changes the template of a Job that has this status and may be suspended.
#[track_caller]
fn check_template(is_suspended: bool, status: Value, change: Value, expected: usize) {
    let kind = kind("Job");
    let mut old = prepared(&kind, job(json!({"suspend": is_suspended})));
    old["status"] = status;
    let mut new = old.clone();
    merge(&mut new["spec"]["template"], change);
    defaults::apply(&kind, &mut new);
    strategy::prepare_update(&kind, &mut new, &old);
    let faults = lines(&update(&kind, &new, &old, Setting::default()).0);
    assert!(faults.len() == expected && faults.iter().all(|line| line.ends_with("field is immutable")), "{faults:?}");
}

#[test]
fn a_jobs_template_may_change_while_it_is_suspended_and_has_no_pods() {
    let place = json!({"metadata": {"annotations": {"a": "b"}}, "spec": {"nodeSelector": {"a": "b"},
        "tolerations": [{"operator": "Exists"}], "affinity": {"nodeAffinity": {}}}});
    let resources =
        json!({"spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "1"}}}]}});
    let suspended =
        json!({"startTime": "2026-01-01T00:00:00Z", "conditions": [{"type": "Suspended", "status": "True"}]});
    for change in [&place, &resources] {
        check_template(true, json!({}), change.clone(), 0);
        check_template(true, suspended.clone(), change.clone(), 0);
        check_template(true, json!({"active": 1}), change.clone(), 1);
        check_template(true, json!({"startTime": "2026-01-01T00:00:00Z"}), change.clone(), 1);
        check_template(false, json!({}), change.clone(), 1);
    }
    let image = json!({"spec": {"containers": [{"name": "c", "image": "other"}]}});
    check_template(true, json!({}), image, 1);
    check_template(true, json!({}), json!({"spec": {"affinity": {"podAffinity": {}}}}), 1);
}

/// Changes the status of a Job with this spec.
#[track_caller]
fn check_job_status(spec: Value, before: Value, after: Value, expected: &[&str]) {
    let kind = kind("Job");
    let mut old = prepared(&kind, job(spec));
    let mut new = old.clone();
    (old["status"], new["status"]) = (before, after);
    assert_eq!(lines(&status_update(&kind, &new, &old).0), expected);
}

fn with_conditions(conditions: &[&str], more: Value) -> Value {
    let conditions: Vec<Value> = conditions.iter().map(|kind| json!({"type": kind, "status": "True"})).collect();
    let mut status = json!({"startTime": "2026-01-01T00:00:00Z", "conditions": conditions});
    merge(&mut status, more);
    status
}

#[test]
fn a_jobs_status_comes_to_its_end_in_order() {
    let started = || with_conditions(&[], json!({}));
    let end = json!({"completionTime": "2026-01-01T00:01:00Z"});
    let done = || with_conditions(&["SuccessCriteriaMet", "Complete"], end.clone());
    check_job_status(json!({}), started(), done(), &[]);
    check_job_status(json!({}), started(), with_conditions(&["FailureTarget", "Failed"], json!({})), &[]);
    check_job_status(
        json!({}),
        started(),
        with_conditions(&["Complete"], json!({"active": 1, "terminating": 1, "ready": 2})),
        &[
            "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
            "status.completionTime: Required value: completionTime is required for Complete jobs",
            "status.active: Invalid value: 1: active>0 is invalid for finished job",
            "status.terminating: Invalid value: 1: terminating>0 is invalid for finished job",
            "status.ready: Invalid value: 2: cannot set more ready pods than active",
        ],
    );
    check_job_status(
        json!({}),
        started(),
        with_conditions(&["Failed"], json!({"startTime": null, "uncountedTerminatedPods": {"failed": ["a", "a", ""]}})),
        &[
            "status.uncountedTerminatedPods.failed[1]: Duplicate value: \"a\"",
            "status.uncountedTerminatedPods.failed[2]: Invalid value: \"\": must not be empty",
            "status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition",
            "status.startTime: Required value: startTime is required for finished job",
            "status.uncountedTerminatedPods: Invalid value: {\"failed\":[\"a\",\"a\",\"\"]}: must be empty for finished job",
            "status.startTime: Invalid value: null: field is immutable for unsuspended job once set",
        ],
    );
    check_job_status(
        json!({}),
        done(),
        with_conditions(&[], end.clone()),
        &[
            "status.completionTime: Invalid value: \"2026-01-01T00:01:00Z\": cannot set completionTime when there is no Complete=True condition",
            "status.conditions: Invalid value: cannot disable the terminal Complete=True condition",
            "status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition",
        ],
    );
}

#[test]
fn a_jobs_counters_grow_and_its_indexes_are_in_order() {
    let indexed =
        || json!({"completionMode": "Indexed", "completions": 5, "parallelism": 2, "backoffLimitPerIndex": 1});
    let status = |completed: &str, failed: &str| json!({"completedIndexes": completed, "failedIndexes": failed});
    check_job_status(indexed(), json!({}), status("0,2-3", "1"), &[]);
    check_job_status(
        indexed(),
        json!({}),
        status("3,1", "3"),
        &[
            "status.completedIndexes: Invalid value: \"3,1\": error parsing completedIndexes: non-increasing order, previous: 3, current: 1",
            "status.failedIndexes: Invalid value: \"3\": failedIndexes and completedIndexes overlap at index: 3",
        ],
    );
    check_job_status(
        json!({}),
        json!({"succeeded": 2, "failed": 2}),
        json!({"succeeded": 1, "failed": 1, "completedIndexes": "0", "failedIndexes": "1"}),
        &[
            "status.completedIndexes: Invalid value: \"0\": cannot set non-empty completedIndexes when non-indexed completion mode",
            "status.failedIndexes: Invalid value: \"1\": cannot set non-null failedIndexes when backoffLimitPerIndex is null",
            "status.failed: Invalid value: 1: cannot decrease the failed counter",
            "status.succeeded: Invalid value: 1: cannot decrease the succeeded counter",
        ],
    );
    // What is scaled down loses successes.
    let scaled = json!({"completionMode": "Indexed", "completions": 2, "parallelism": 2});
    check_job_status(scaled, json!({"succeeded": 3}), json!({"succeeded": 2}), &[]);
}
