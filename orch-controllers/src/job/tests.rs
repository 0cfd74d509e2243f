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

#[track_caller]
fn check(job: &Job, pods: &[Pod], expect: Expect) {
    fixtures::expect_plan(&plan(&world(job, pods)), &expect);
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
        patch Pod default/a {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"pods-a"}}
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
        patch Pod default/a {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"pods-a"}}
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
        patch Pod default/b {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"pods-b"}}
        requeue after 0ns
    "#]],
    );
    let status = settle(world(&job, &[exited("b", 0, 1), exited("c", 0, 1)]));
    assert_eq!(status["conditions"][1]["type"], "Complete");
}

#[test]
fn a_failed_pod_is_replaced_after_a_wait() {
    let job = plain(json!({"completions": 1}));
    check(
        &job,
        &[exited("a", 1, 4)],
        expect![[r#"
        status Job default/work uncountedTerminatedPods.failed=["pods-a"]
        patch Pod default/a {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"pods-a"}}
        requeue after 0ns
    "#]],
    );
    check(
        &job,
        &[exited("a", 1, 11)],
        expect![[r#"
        status Job default/work uncountedTerminatedPods.failed=["pods-a"]
        patch Pod default/a {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"pods-a"}}
        create Pod default/work-*
        requeue after 0ns
    "#]],
    );
}

#[test]
fn failures_before_a_success_do_not_lengthen_the_wait() {
    let job = job(json!({"completions": 5, "parallelism": 1}), json!({"failed": 2, "succeeded": 1}));
    check(
        &job,
        &[counted(exited("a", 1, 30)), counted(exited("b", 0, 20)), counted(exited("c", 1, 12))],
        expect![[r#"
        create Pod default/work-*
    "#]],
    );
}

#[test]
fn too_many_failures_fail_the_job_and_end_its_pods() {
    let job = job(json!({"completions": 3, "parallelism": 2, "backoffLimit": 1}), json!({"failed": 1, "active": 1}));
    check(
        &job,
        &[exited("a", 1, 1), pod("b", "Running")],
        expect![[r#"
        status Job default/work conditions[FailureTarget].message="Job has reached the specified backoff limit" conditions[FailureTarget].reason=BackoffLimitExceeded conditions[FailureTarget].status=True uncountedTerminatedPods.failed=["pods-a","pods-b"]
        patch Pod default/a {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"pods-a"}}
        patch Pod default/b {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"pods-b"}}
        delete Pod default/b
        requeue after 0ns
    "#]],
    );
}

#[test]
fn a_failed_job_waits_for_its_pods_to_end() {
    let target = json!({"failed": 2, "conditions": [{"type": "FailureTarget", "status": "True", "reason": "R", "message": "M"}]});
    let ending = fixtures::deleting(counted(pod("b", "Running")));
    let job = job(json!({"completions": 3}), target);
    check(
        &job,
        &[ending],
        expect![[r#"
        status Job default/work terminating=1
    "#]],
    );
    check(
        &job,
        &[],
        expect![[r#"
        status Job default/work conditions[Failed].message=M conditions[Failed].reason=R conditions[Failed].status=True
        event Warning R: M
    "#]],
    );
}

#[test]
fn restarts_in_place_count_towards_the_limit() {
    let mut job = plain(json!({"completions": 1, "backoffLimit": 2}));
    job.spec.as_mut().unwrap().template.spec.as_mut().unwrap().restart_policy = Some("OnFailure".into());
    let mut pod = pod("a", "Running");
    pod.status.as_mut().unwrap().container_statuses =
        from_value(json!([{"name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 2}])).unwrap();
    let plan = plan(&world(&job, &[pod])).to_string();
    assert!(plan.contains("conditions[FailureTarget].reason=BackoffLimitExceeded"), "{plan}");
}

#[test]
fn a_deadline_is_waited_for_and_then_ends_the_job() {
    let early = job(json!({"completions": 1, "activeDeadlineSeconds": 400}), json!({"active": 1}));
    check(
        &early,
        &[pod("a", "Running")],
        expect![[r#"
        requeue after 100s
    "#]],
    );
    let late = job(json!({"completions": 1, "activeDeadlineSeconds": 200}), json!({"active": 1}));
    check(
        &late,
        &[pod("a", "Running")],
        expect![[r#"
        status Job default/work conditions[FailureTarget].message="Job was active longer than specified deadline" conditions[FailureTarget].reason=DeadlineExceeded conditions[FailureTarget].status=True uncountedTerminatedPods.failed=["pods-a"]
        patch Pod default/a {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"pods-a"}}
        delete Pod default/a
        requeue after 0ns
    "#]],
    );
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
        patch Pod default/a {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"pods-a"}}
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

#[test]
fn an_index_is_in_the_name_the_hostname_the_label_the_annotation_and_the_environment() {
    let mut objects = world(&indexed(2, json!({})), &[]);
    objects.apply(&plan(&objects), now());
    let pods: Vec<Arc<Pod>> = objects.list(&Pod::gvr(), "").iter().map(|pod| pod.decode().unwrap()).collect();
    for (index, pod) in pods.iter().enumerate() {
        let (meta, spec, index) = (&pod.metadata, pod.spec.as_ref().unwrap(), index.to_string());
        assert!(meta.name.as_ref().unwrap().starts_with(&format!("work-{index}-")));
        assert_eq!(meta.labels.as_ref().unwrap()[pods::INDEX], index);
        assert_eq!(meta.annotations.as_ref().unwrap()[pods::INDEX], index);
        assert_eq!(spec.hostname.as_deref(), Some(&*format!("work-{index}")));
        let variable = json!(spec.containers[0].env.as_ref().unwrap()[0]);
        assert_eq!(variable["valueFrom"]["fieldRef"]["fieldPath"], format!("metadata.labels['{}']", pods::INDEX));
    }
}

#[test]
fn completed_indexes_are_not_run_again() {
    let mut job = indexed(5, json!({"parallelism": 2}));
    job.status.as_mut().unwrap().completed_indexes = Some("0,2".into());
    job.status.as_mut().unwrap().succeeded = Some(2);
    let pods = [with_index(exited("a", 0, 1), 1), with_index(exited("again", 0, 1), 2)];
    check(
        &job,
        &pods,
        expect![[r#"
        status Job default/work completedIndexes=0-2 succeeded=3
        patch Pod default/a {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"pods-a"}}
        patch Pod default/again {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"pods-again"}}
        create Pod default/work-3-*
        create Pod default/work-4-*
        requeue after 0ns
    "#]],
    );
}

#[test]
fn of_two_pods_of_an_index_the_one_that_has_come_less_far_goes() {
    let pods =
        [with_index(pod("a", "Pending"), 0), with_index(pod("b", "Running"), 0), with_index(pod("c", "Running"), 7)];
    check(
        &indexed(2, json!({})),
        &pods,
        expect![[r#"
        status Job default/work active=3
        patch Pod default/a {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"pods-a"}}
        patch Pod default/c {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"pods-c"}}
        delete Pod default/a
        delete Pod default/c
    "#]],
    );
}

#[test]
fn an_index_fails_alone_and_its_pods_inherit_the_count() {
    let job = indexed(2, json!({"backoffLimitPerIndex": 1, "backoffLimit": i32::MAX}));
    let first = with_index(exited("a", 1, 30), 0);
    check(
        &job,
        &[first.clone(), with_index(pod("b", "Running"), 1)],
        expect![[r#"
        status Job default/work active=1 failedIndexes=""
        create Pod default/work-0-*
    "#]],
    );
    let second = fixtures::annotated(with_index(exited("c", 1, 30), 0), pods::FAILURES, "1");
    check(
        &job,
        &[second, with_index(pod("b", "Running"), 1)],
        expect![[r#"
        status Job default/work active=1 failedIndexes=0 uncountedTerminatedPods.failed=["pods-c"]
        patch Pod default/c {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"pods-c"}}
        requeue after 0ns
    "#]],
    );
}

#[test]
fn each_index_waits_for_itself() {
    let job = indexed(2, json!({"backoffLimitPerIndex": 3, "backoffLimit": i32::MAX}));
    let pods = [with_index(exited("a", 1, 4), 0), with_index(exited("b", 1, 14), 1)];
    check(
        &job,
        &pods,
        expect![[r#"
        status Job default/work failedIndexes=""
        create Pod default/work-1-*
        requeue after 6s
    "#]],
    );
}

#[test]
fn failed_indexes_fail_the_job_when_the_others_are_done_or_there_are_too_many() {
    let mut job = indexed(3, json!({"backoffLimitPerIndex": 0, "backoffLimit": i32::MAX}));
    job.status.as_mut().unwrap().completed_indexes = Some("0,1".into());
    let plan_of = |job: &Job| plan(&world(job, &[with_index(exited("a", 1, 30), 2)])).to_string();
    assert!(
        plan_of(&job).contains(r#"message="Job has failed indexes" conditions[FailureTarget].reason=FailedIndexes"#)
    );
    job.status.as_mut().unwrap().completed_indexes = None;
    job.spec.as_mut().unwrap().max_failed_indexes = Some(0);
    assert!(plan_of(&job).contains("conditions[FailureTarget].reason=MaxFailedIndexesExceeded"));
}

fn policy(action: &str, rule: Value) -> Value {
    let mut rule = rule;
    rule["action"] = json!(action);
    json!({"completions": 1, "podReplacementPolicy": "Failed", "podFailurePolicy": {"rules": [rule]}})
}

#[test]
fn an_exit_code_may_fail_the_job_at_once() {
    let codes = json!({"onExitCodes": {"operator": "In", "values": [3, 42]}});
    let pods = [exited("a", 42, 1)];
    check(
        &plain(policy("FailJob", codes.clone())),
        &pods,
        expect![[r#"
        status Job default/work conditions[FailureTarget].message="Container main for pod default/a failed with exit code 42 matching FailJob rule at index 0" conditions[FailureTarget].reason=PodFailurePolicy conditions[FailureTarget].status=True uncountedTerminatedPods.failed=["pods-a"]
        patch Pod default/a {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"pods-a"}}
        requeue after 0ns
    "#]],
    );
    let status = settle(world(&plain(policy("FailJob", codes)), &pods));
    assert_eq!(
        status["conditions"][1]["message"],
        "Container main for pod default/a failed with exit code 42 matching FailJob rule at index 0"
    );
    assert_eq!((&status["conditions"][1]["type"], &status["failed"]), (&json!("Failed"), &json!(1)));
}

#[test]
fn a_condition_may_excuse_a_failure() {
    let job = plain(policy("Ignore", json!({"onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]})));
    let mut excused = exited("a", 137, 20);
    excused.status.as_mut().unwrap().conditions =
        from_value(json!([{"type": "DisruptionTarget", "status": "True"}])).unwrap();
    check(
        &job,
        &[excused],
        expect![[r#"
        patch Pod default/a {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"pods-a"}}
        create Pod default/work-*
        requeue after 0ns
    "#]],
    );
}

#[test]
fn an_exit_code_may_give_up_an_index() {
    let mut spec = policy("FailIndex", json!({"onExitCodes": {"operator": "NotIn", "values": [1]}}));
    spec["backoffLimitPerIndex"] = json!(5);
    spec["completions"] = json!(2);
    let pods = [with_index(exited("a", 2, 30), 0), with_index(exited("b", 1, 30), 1)];
    check(
        &indexed(2, spec),
        &pods,
        expect![[r#"
            status Job default/work failedIndexes=0 uncountedTerminatedPods.failed=["pods-a"]
            patch Pod default/a {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"pods-a"}}
            create Pod default/work-1-*
            requeue after 0ns
        "#]],
    );
}

#[test]
fn a_success_policy_ends_the_job_before_all_indexes_are_done() {
    let rules = json!([{"succeededIndexes": "0-1", "succeededCount": 2}, {"succeededCount": 1}]);
    let job = indexed(4, json!({"successPolicy": {"rules": rules}}));
    let pods = [with_index(exited("a", 0, 1), 3), with_index(pod("b", "Running"), 1)];
    check(
        &job,
        &pods,
        expect![[r#"
        status Job default/work active=1 completedIndexes=3 conditions[SuccessCriteriaMet].message="Matched rules at index 1" conditions[SuccessCriteriaMet].reason=SuccessPolicy conditions[SuccessCriteriaMet].status=True succeeded=1
        patch Pod default/b {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"pods-b"}}
        patch Pod default/a {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"pods-a"}}
        delete Pod default/b
        requeue after 0ns
    "#]],
    );
}

#[test]
fn a_pod_that_is_being_deleted_has_failed_at_once_or_when_it_has_ended() {
    let pods = [fixtures::deleting(pod("a", "Running"))];
    check(
        &plain(json!({"completions": 1})),
        &pods,
        expect![[r#"
        status Job default/work terminating=1 uncountedTerminatedPods.failed=["pods-a"]
        patch Pod default/a {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"pods-a"}}
        requeue after 0ns
    "#]],
    );
    check(
        &plain(json!({"completions": 1, "podReplacementPolicy": "Failed"})),
        &pods,
        expect![[r#"
        status Job default/work terminating=1
    "#]],
    );
}

#[test]
fn orphans_are_adopted_with_our_finalizer_and_strangers_released() {
    let orphan = fixtures::phase(fixtures::pod("orphan", "work"), "Running");
    let stranger = fixtures::labelled(pod("stranger", "Running"), &[("app", "other")]);
    check(
        &plain(json!({"completions": 1})),
        &[orphan, stranger],
        expect![[r#"
        patch Pod default/stranger {"metadata":{"finalizers":[],"ownerReferences":[],"resourceVersion":"3","uid":"pods-stranger"}}
        patch Pod default/orphan {"metadata":{"finalizers":["batch.kubernetes.io/job-tracking"],"ownerReferences":[{"apiVersion":"batch/v1","blockOwnerDeletion":true,"controller":true,"kind":"Job","name":"work","uid":"job-work"}],"resourceVersion":"2","uid":"pods-orphan"}}
        status Job default/work active=1
    "#]],
    );
}

#[test]
fn an_adopted_pod_is_not_counted_before_it_has_our_finalizer() {
    let orphan = fixtures::phase(fixtures::pod("orphan", "work"), "Succeeded");
    let status = settle(world(&plain(json!({"completions": 1})), &[orphan]));
    assert_eq!((&status["succeeded"], &status["conditions"][1]["type"]), (&json!(1), &json!("Complete")));
}

#[test]
fn a_job_of_another_controller_is_left_alone() {
    check(&plain(json!({"managedBy": "example.com/other"})), &[], expect![[""]]);
}

#[test]
fn a_deleted_job_lets_its_pods_go() {
    let job = fixtures::deleting(plain(json!({"completions": 2})));
    check(
        &job,
        &[pod("a", "Running"), exited("b", 0, 1)],
        expect![[r#"
        status Job default/work active=1 uncountedTerminatedPods.succeeded=["pods-b"]
        patch Pod default/a {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"pods-a"}}
        patch Pod default/b {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"pods-b"}}
        requeue after 0ns
    "#]],
    );
}

#[test]
fn pods_that_no_job_will_count_are_let_go() {
    let gone = world(&fixtures::deleting(plain(json!({"managedBy": "x.io/y"}))), &[pod("a", "Running")]);
    fixtures::expect_plan(&plan(&gone), &expect![[""]]);
    let mut gone = world(&plain(json!({})), &[pod("a", "Running")]);
    gone.remove::<Job>(&Key::new("default", "work"));
    fixtures::expect_plan(
        &plan(&gone),
        &expect![[r#"
        patch Pod default/a {"metadata":{"finalizers":[],"resourceVersion":"2","uid":"pods-a"}}
    "#]],
    );
    let finished = json!({"conditions": [{"type": "Complete", "status": "True"}]});
    fixtures::expect_plan(
        &plan(&world(&job(json!({}), finished), &[exited("a", 0, 1)])),
        &expect![[r#"
        patch Pod default/a {"metadata":{"finalizers":[],"resourceVersion":"2","uid":"pods-a"}}
    "#]],
    );
}

#[test]
fn orphans_with_our_finalizer_are_let_go_unless_a_job_wants_them() {
    let mut orphan = pod("a", "Running");
    orphan.metadata.owner_references = None;
    let mut stranger = fixtures::labelled(orphan.clone(), &[("app", "other")]);
    stranger.metadata.name = Some("b".into());
    let objects = world(&plain(json!({})), &[orphan, stranger]);
    let strays = JobController::default().observe(&strays_of("default"), &View::fixed(&objects)).unwrap();
    fixtures::expect_plan(
        &JobController::default().plan(&strays, now()),
        &expect![[r#"
        patch Pod default/b {"metadata":{"finalizers":[],"resourceVersion":"3","uid":"pods-b"}}
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

#[test]
fn pods_that_failed_are_waited_for_although_they_are_deleted_until_one_succeeds() {
    let (job, controller) = (plain(json!({"completions": 2})), JobController::default());
    let see = |pods: &[Pod]| controller.observe(&job.key(), &View::fixed(&world(&job, pods))).unwrap();
    let failed = [exited("a", 1, 4), exited("b", 1, 2)];
    controller.remember(&see(&failed), now(), None);
    controller.remember(&see(&failed[1..]), now(), None);
    fixtures::expect_plan(
        &controller.plan(&see(&[]), now()),
        &expect![[r#"
        requeue after 18s
    "#]],
    );
    controller.remember(&see(&[exited("c", 0, 1)]), now(), None);
    fixtures::expect_plan(
        &controller.plan(&see(&[]), now()),
        &expect![[r#"
        create Pod default/work-*
    "#]],
    );
}

#[test]
fn what_is_remembered_is_of_one_job_and_goes_with_it() {
    let (job, controller) = (plain(json!({"completions": 1})), JobController::default());
    let see = |job: &Job, pods: &[Pod]| controller.observe(&job.key(), &View::fixed(&world(job, pods)));
    controller.remember(&see(&job, &[exited("a", 1, 4)]).unwrap(), now(), None);
    let mut other = job.clone();
    other.metadata.uid = Some("other".into());
    assert_eq!(see(&other, &[]).unwrap().past, Past::default());
    let mut finished = job.clone();
    finished.status.get_or_insert_default().conditions =
        from_value(json!([{"type": "Complete", "status": "True"}])).unwrap();
    assert!(see(&finished, &[]).is_none());
    assert_eq!(see(&job, &[]).unwrap().past, Past::default());
}
