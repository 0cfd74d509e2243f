//! One `check` for the plan of a Job, and what happens to its pods from the first to the last.

mod failures;
mod indexes;
mod owners;
mod policies;

use super::*;
use crate::fixtures::{self, minutes_ago, now};
use expect_test::{Expect, expect};
use jiff::SignedDuration;
use orch_runtime::testing::Objects;
use serde_json::{Value, from_value};

/// A Job that began five minutes ago, with this in its spec and in its status.
fn job(spec: Value, status: Value) -> Job {
    let selector = json!({"app": "work"});
    let mut whole = json!({
        "metadata": fixtures::meta("default", "work", "job-work"),
        "spec": {"selector": {"matchLabels": selector}, "template": {
            "metadata": {"labels": selector},
            "spec": {"containers": [{"name": "main", "image": "app:1"}], "restartPolicy": "Never"}}},
        "status": {"startTime": minutes_ago(5), "ready": 0, "terminating": 0, "uncountedTerminatedPods": {}},
    });
    for (part, more) in [("spec", spec), ("status", status)] {
        let part = whole[part].as_object_mut().unwrap();
        more.as_object().unwrap().iter().for_each(|(name, value)| drop(part.insert(name.clone(), value.clone())));
        part.retain(|_, value| !value.is_null());
    }
    from_value(whole).unwrap()
}

fn plain(spec: Value) -> Job {
    job(spec, json!({}))
}

fn indexed(completions: i32, more: Value) -> Job {
    let mut spec = json!({"completionMode": "Indexed", "completions": completions, "parallelism": completions});
    more.as_object().unwrap().iter().for_each(|(name, value)| spec[name] = value.clone());
    plain(spec)
}

/// A pod of the Job that is still to be counted.
fn pod(name: &str, phase: &str) -> Pod {
    let mut pod = fixtures::phase(fixtures::pod(name, "work"), phase);
    pod.metadata.owner_references = Some(vec![owner::controller_ref(&plain(json!({})))]);
    pod.metadata.finalizers = Some(vec![TRACKING.into()]);
    if phase != "Pending" {
        pod.spec.as_mut().unwrap().node_name = Some("n1".into());
    }
    pod
}

fn with_index(pod: Pod, index: usize) -> Pod {
    fixtures::annotated(pod, pods::INDEX, &index.to_string())
}

/// A pod whose container ended so many seconds ago with an exit code.
fn exited(name: &str, code: i32, seconds_ago: i64) -> Pod {
    let mut pod = pod(name, if code == 0 { "Succeeded" } else { "Failed" });
    let at = now() - SignedDuration::from_secs(seconds_ago);
    let status = json!([{"name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": code, "finishedAt": at}}}]);
    pod.status.as_mut().unwrap().container_statuses = from_value(status).unwrap();
    pod
}

fn counted(mut pod: Pod) -> Pod {
    pod.metadata.finalizers = None;
    pod
}

fn world(job: &Job, pods: &[Pod]) -> Objects {
    let mut objects = Objects::new(&JobController::default().watches()).with(job);
    pods.iter().for_each(|pod| objects.insert(pod));
    objects
}

fn plan(objects: &Objects) -> Plan {
    let key = Key::new("default", "work");
    let world = JobController::default().observe(&key, &View::fixed(objects));
    world.map(|world| JobController::default().plan(&world, now())).unwrap_or_default()
}

/// The plan, where the patch that takes our finalizer off a pod is a word.
#[track_caller]
fn check(job: &Job, pods: &[Pod], expect: Expect) {
    let mut text = plan(&world(job, pods)).to_string();
    for pod in pods.iter().map(|pod| pod.metadata.name.as_deref().unwrap()) {
        let patch =
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": [TRACKING], "uid": format!("pods-{pod}")}});
        text = text.replace(&format!("patch Pod default/{pod} {patch}"), &format!("release Pod default/{pod}"));
    }
    expect.assert_eq(&text);
}

/// Plans and performs until nothing is left to do, and answers the status.
fn settle(mut objects: Objects) -> Value {
    for _ in 0..20 {
        let plan = plan(&objects);
        if plan.is_empty() {
            break;
        }
        objects.apply(&plan, now());
    }
    let job: Arc<Job> = objects.typed(&Key::new("default", "work")).unwrap();
    json!(job.status)
}

#[test]
fn a_new_job_starts_its_pods_with_our_finalizer() {
    let new =
        job(json!({"completions": 3, "parallelism": 2}), json!({"startTime": null, "uncountedTerminatedPods": null}));
    check(
        &new,
        &[],
        expect![[r#"
        status Job default/work startTime=2025-12-18T00:00:00Z
        create Pod default/work-*
        create Pod default/work-*
    "#]],
    );
    let mut objects = world(&new, &[]);
    objects.apply(&plan(&objects), now());
    let pods = objects.list(&Pod::gvr(), "default");
    assert!(pods.len() == 2 && pods.iter().all(|pod| pod.meta.has_finalizer(TRACKING)));
}

#[test]
fn there_are_never_more_pods_than_completions_are_left() {
    let job = job(json!({"completions": 3, "parallelism": 2}), json!({"succeeded": 2, "active": 1}));
    check(&job, &[pod("a", "Running")], expect![[""]]);
}

#[test]
fn a_pod_that_ended_is_noted_before_its_finalizer_goes() {
    let job = plain(json!({"completions": 2, "parallelism": 1}));
    check(
        &job,
        &[exited("a", 0, 1)],
        expect![[r#"
        status Job default/work uncountedTerminatedPods.succeeded=["pods-a"]
        release Pod default/a
        create Pod default/work-*
        requeue after 0ns
    "#]],
    );
}

#[test]
fn a_noted_pod_is_counted_when_its_finalizer_is_gone() {
    let job = job(
        json!({"completions": 2, "parallelism": 1}),
        json!({"active": 1, "uncountedTerminatedPods": {"succeeded": ["pods-a"], "failed": ["pods-z"]}}),
    );
    check(
        &job,
        &[counted(exited("a", 0, 1)), pod("b", "Running")],
        expect![[r#"
        status Job default/work failed=1 succeeded=1 -uncountedTerminatedPods.failed -uncountedTerminatedPods.succeeded
    "#]],
    );
}

#[test]
fn a_noted_pod_with_its_finalizer_is_neither_counted_nor_noted_again() {
    let job = job(
        json!({"completions": 2, "parallelism": 1}),
        json!({"active": 1, "uncountedTerminatedPods": {"succeeded": ["pods-a"]}}),
    );
    check(
        &job,
        &[exited("a", 0, 1), pod("b", "Running")],
        expect![[r#"
        release Pod default/a
        requeue after 0ns
    "#]],
    );
}

#[test]
fn a_job_is_complete_when_all_pods_are_counted() {
    let status = settle(world(&plain(json!({"completions": 1})), &[exited("a", 0, 1)]));
    assert_eq!((&status["succeeded"], &status["uncountedTerminatedPods"]), (&json!(1), &json!({})));
    let types: Vec<&str> =
        status["conditions"].as_array().unwrap().iter().map(|c| c["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["SuccessCriteriaMet", "Complete"]);
    assert!(status["completionTime"].is_string());
}

#[test]
fn without_completions_one_success_is_enough_once_the_rest_has_ended() {
    let job = job(json!({"parallelism": 2}), json!({"active": 1}));
    check(
        &job,
        &[counted(exited("a", 0, 1)), exited("b", 0, 1), pod("c", "Running")],
        expect![[r#"
        status Job default/work uncountedTerminatedPods.succeeded=["pods-b"]
        release Pod default/b
        requeue after 0ns
    "#]],
    );
    let status = settle(world(&job, &[exited("b", 0, 1), exited("c", 0, 1)]));
    assert_eq!(status["conditions"][1]["type"], "Complete");
}

#[test]
fn a_suspended_job_deletes_its_pods_without_counting_them() {
    let job = job(json!({"completions": 2, "suspend": true}), json!({"active": 1}));
    check(
        &job,
        &[pod("a", "Running")],
        expect![[r#"
        status Job default/work conditions[Suspended].message="Job suspended" conditions[Suspended].reason=JobSuspended conditions[Suspended].status=True -startTime
        event Normal Suspended: Job suspended
        release Pod default/a
        delete Pod default/a
    "#]],
    );
}

#[test]
fn a_resumed_job_starts_anew() {
    let suspended = json!({"startTime": null, "conditions": [{"type": "Suspended", "status": "True",
        "reason": "JobSuspended", "message": "Job suspended"}]});
    check(
        &job(json!({"completions": 1, "suspend": false}), suspended),
        &[],
        expect![[r#"
        status Job default/work conditions[Suspended].message="Job resumed" conditions[Suspended].reason=JobResumed conditions[Suspended].status=False startTime=2025-12-18T00:00:00Z
        event Normal Resumed: Job resumed
        create Pod default/work-*
    "#]],
    );
}

/// At every write the controller dies: it never counts a pod twice, and always in the end.
#[test]
fn a_crash_after_any_write_loses_and_doubles_nothing() {
    let job = plain(json!({"completions": 4, "parallelism": 2, "backoffLimit": 9}));
    let pods = [exited("a", 0, 30), exited("b", 1, 60), exited("c", 0, 30)];
    for survives in 0..6 {
        let mut objects = world(&job, &pods);
        for _ in 0..20 {
            let mut plan = plan(&objects);
            plan.actions.truncate(survives);
            if plan.is_empty() {
                break;
            }
            objects.apply(&plan, now());
        }
        let status = settle(objects);
        assert_eq!((&status["succeeded"], &status["failed"]), (&json!(2), &json!(1)), "{survives} writes at a time");
    }
}

#[test]
fn of_many_pods_that_ended_only_so_many_are_noted_at_a_time() {
    let pods: Vec<Pod> = (0..700).map(|i| exited(&format!("p-{i:03}"), 0, 30)).collect();
    let mut objects = world(&plain(json!({"completions": 700, "parallelism": 700})), &pods);
    let first = plan(&objects);
    objects.apply(&first, now());
    let job: Arc<Job> = objects.typed(&Key::new("default", "work")).unwrap();
    let noted = job.status.as_ref().unwrap().uncounted_terminated_pods.as_ref().unwrap();
    assert_eq!(noted.succeeded.as_ref().unwrap().len(), 500);
    let status = settle(objects);
    assert_eq!((&status["succeeded"], &status["conditions"][1]["type"]), (&json!(700), &json!("Complete")));
}
