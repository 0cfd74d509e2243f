//! Policies that judge failures and successes, and pods that are being deleted.

use super::*;

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
        release Pod default/a
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
        release Pod default/a
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
            release Pod default/a
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
        release Pod default/b
        release Pod default/a
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
        release Pod default/a
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
