//! Jobs whose pods have indexes.

use super::*;

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
        release Pod default/a
        release Pod default/again
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
        release Pod default/a
        release Pod default/c
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
        release Pod default/c
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
