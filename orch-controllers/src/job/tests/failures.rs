//! Pods that fail: the wait before others replace them, and the end of the Job.

use super::*;

#[test]
fn a_failed_pod_is_replaced_after_a_wait() {
    let job = plain(json!({"completions": 1}));
    check(
        &job,
        &[exited("a", 1, 4)],
        expect![[r#"
        status Job default/work uncountedTerminatedPods.failed=["pods-a"]
        release Pod default/a
        requeue after 0ns
    "#]],
    );
    check(
        &job,
        &[exited("a", 1, 11)],
        expect![[r#"
        status Job default/work uncountedTerminatedPods.failed=["pods-a"]
        release Pod default/a
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
        release Pod default/a
        release Pod default/b
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
        release Pod default/a
        delete Pod default/a
        requeue after 0ns
    "#]],
    );
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
fn pods_that_a_job_wants_no_more_are_no_failures() {
    let (job, controller) = (plain(json!({"completions": 2})), JobController::default());
    let see = |pods: &[Pod]| controller.observe(&job.key(), &View::fixed(&world(&job, pods))).unwrap();
    controller.remember(&see(&[fixtures::deleting(counted(pod("a", "Running")))]), now(), None);
    assert_eq!(see(&[]).past, Past::default());
    controller.remember(&see(&[fixtures::deleting(pod("b", "Running"))]), now(), None);
    assert_ne!(see(&[]).past, Past::default(), "this one somebody else deleted");
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
