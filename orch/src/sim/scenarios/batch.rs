//! Jobs, CronJobs, and what cleans up behind them.

use crate::sim::{Change, Scenario};
use orch_api::Key;
use serde_json::{Value, json};

/// The scenarios of work that ends.
pub(super) fn all() -> Vec<Scenario> {
    let work = Key::new("default", "work");
    let suspend = |at_ms, suspend: bool| Change::patch(at_ms, JOB, &work, json!({"spec": {"suspend": suspend}}));
    let all = vec![
        Scenario::new("work", "An indexed Job runs four Pods, two at a time.", &["job"])
            .with([Change::given(job(
                json!({"completionMode": "Indexed", "completions": 4, "parallelism": 2}),
                json!({"run": "3"}),
            ))])
            .about_object(JOB, work.clone()),
        Scenario::new("failures", "The Pods of a Job fail more often than it allows.", &["job"]).with([Change::given(
            job(json!({"completions": 2, "backoffLimit": 1}), json!({"run": "1", "exit-code": "1"})),
        )]),
        Scenario::new("pause", "A Job is suspended and resumed while it works.", &["job"])
            .with([
                Change::given(job(json!({"completions": 3, "parallelism": 3}), json!({"run": "6"}))),
                suspend(4_000, true),
                suspend(9_000, false),
            ])
            .about_object(JOB, work.clone()),
        Scenario::new("tick", "A CronJob starts two Jobs and is suspended.", &["cronjob", "job"]).with([
            Change::given(cron_job("* * * * *", job(json!({}), json!({"run": "2"})))),
            Change::patch(150_000, CRON_JOB, &work, json!({"spec": {"suspend": true}})),
        ]),
        Scenario::new(
            "expiry",
            "A finished Job goes when its time to live has passed.",
            &["ttl-after-finished-controller", "garbage-collector-controller"],
        )
        .with([Change::given(job(json!({"ttlSecondsAfterFinished": 20}), json!({"run": "2"})))]),
        Scenario::new(
            "forsaken",
            "Pods are bound to a node that does not exist.",
            &["pod-garbage-collector-controller"],
        )
        .with([Change::given(ghost("a")), Change::given(ghost("b"))]),
    ];
    all.into_iter().map(|scenario| scenario.beside(&["job"])).collect()
}

/// `batch/v1 Job`
pub const JOB: &str = "batch/v1 Job";
/// `batch/v1 CronJob`
pub const CRON_JOB: &str = "batch/v1 CronJob";

/// A Job `default/work` with this in its spec, whose Pods behave by these rules (`orch_node::simulated::Rules`).
pub fn job(spec: Value, rules: Value) -> Value {
    let rules = rules.as_object().into_iter().flatten();
    let rules: serde_json::Map<String, Value> =
        rules.map(|(rule, value)| (format!("simulated.orch.dev/{rule}"), value.clone())).collect();
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work", "namespace": "default"}, "spec": {
        "backoffLimit": 50,
        "template": {"metadata": {"labels": {"app": "web"}, "annotations": rules}, "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 5, "containers": [{"name": "main", "image": "app:1"}]}},
    }});
    for (field, value) in spec.as_object().into_iter().flatten() {
        job["spec"][field] = value.clone();
    }
    job
}

/// A CronJob `default/work` that starts such Jobs.
pub fn cron_job(schedule: &str, job: Value) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "work", "namespace": "default"},
        "spec": {"schedule": schedule, "jobTemplate": {"spec": job["spec"]}}})
}

fn ghost(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {"nodeName": "ghost", "containers": [{"name": "main", "image": "app:1"}]}})
}
