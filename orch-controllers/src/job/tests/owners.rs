//! Whose pods they are: adopted, released, abandoned.

use super::*;

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
        release Pod default/a
        release Pod default/b
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
