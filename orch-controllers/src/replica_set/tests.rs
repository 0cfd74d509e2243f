use super::*;
use crate::fixtures::{self, minutes_ago, now};
use expect_test::{Expect, expect};
use k8s_openapi::api::{
    apps::v1::ReplicaSet,
    core::v1::{ReplicationController, ReplicationControllerSpec},
};
use orch_runtime::testing::Objects;

/// The set `web` with so many replicas, and these pods.
#[track_caller]
fn check(set: ReplicaSet, pods: &[Pod], expect: Expect) {
    let controller = ReplicaSetController::<ReplicaSet>::default();
    let mut objects = Objects::new(&controller.watches()).with(&set);
    for pod in pods {
        objects.insert(pod);
    }
    let world = controller.observe(&set.key(), &View::fixed(&objects)).unwrap();
    fixtures::expect_plan(&controller.plan(&world, now()), &expect);
}

fn set(replicas: i32) -> ReplicaSet {
    fixtures::replica_set("web", replicas)
}

fn pod(name: &str) -> Pod {
    fixtures::pod_of_set(name, &set(0))
}

#[test]
fn missing_pods_are_created_from_the_template() {
    check(
        set(2),
        &[],
        expect![[r#"
            create Pod default/web-*
            create Pod default/web-*
            status ReplicaSet default/web observedGeneration=1 replicas=0 terminatingReplicas=0
        "#]],
    );
}

#[test]
fn surplus_pods_go_unscheduled_and_unready_first() {
    let ready = fixtures::ready(pod("a"), minutes_ago(9));
    let unready = fixtures::on_node(pod("b"), "n1");
    let unscheduled = pod("c");
    check(
        set(1),
        &[ready, unready, unscheduled],
        expect![[r#"
            delete Pod default/c
            delete Pod default/b
            status ReplicaSet default/web availableReplicas=1 fullyLabeledReplicas=3 observedGeneration=1 readyReplicas=1 replicas=3 terminatingReplicas=0
        "#]],
    );
}

#[test]
fn of_two_ready_pods_the_younger_goes() {
    check(
        set(1),
        &[fixtures::ready(pod("old"), minutes_ago(60)), fixtures::ready(pod("young"), minutes_ago(1))],
        expect![[r#"
            delete Pod default/young
            status ReplicaSet default/web availableReplicas=2 fullyLabeledReplicas=2 observedGeneration=1 readyReplicas=2 replicas=2 terminatingReplicas=0
        "#]],
    );
}

#[test]
fn a_lower_deletion_cost_goes_before_a_younger_age() {
    let cheap = fixtures::ready(pod("cheap"), minutes_ago(60));
    let cheap = fixtures::annotated(cheap, "controller.kubernetes.io/pod-deletion-cost", "-10");
    check(
        set(1),
        &[cheap, fixtures::ready(pod("young"), minutes_ago(1))],
        expect![[r#"
            delete Pod default/cheap
            status ReplicaSet default/web availableReplicas=2 fullyLabeledReplicas=2 observedGeneration=1 readyReplicas=2 replicas=2 terminatingReplicas=0
        "#]],
    );
}

#[test]
fn a_ready_pod_is_available_after_the_minimum_time() {
    let mut set = set(1);
    set.spec.min_ready_seconds = Some(90);
    check(
        set,
        &[fixtures::ready(pod("a"), minutes_ago(1))],
        expect![[r#"
            status ReplicaSet default/web fullyLabeledReplicas=1 observedGeneration=1 readyReplicas=1 replicas=1 terminatingReplicas=0
            requeue after 30s
        "#]],
    );
}

#[test]
fn a_terminating_pod_is_replaced_and_counted() {
    check(
        set(1),
        &[fixtures::deleting(pod("a"))],
        expect![[r#"
            create Pod default/web-*
            status ReplicaSet default/web observedGeneration=1 replicas=0 terminatingReplicas=1
        "#]],
    );
}

#[test]
fn a_failed_pod_is_replaced() {
    check(
        set(1),
        &[fixtures::phase(pod("a"), "Failed")],
        expect![[r#"
            create Pod default/web-*
            status ReplicaSet default/web observedGeneration=1 replicas=0 terminatingReplicas=0
        "#]],
    );
}

#[test]
fn an_orphan_that_matches_is_adopted() {
    let mut orphan = pod("a");
    orphan.metadata.owner_references = None;
    check(
        set(1),
        &[orphan],
        expect![[r#"
            patch Pod default/a {"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","blockOwnerDeletion":true,"controller":true,"kind":"ReplicaSet","name":"web","uid":"set-web"}],"resourceVersion":"2","uid":"pods-a"}}
            status ReplicaSet default/web fullyLabeledReplicas=1 observedGeneration=1 replicas=1 terminatingReplicas=0
        "#]],
    );
}

#[test]
fn a_pod_that_no_longer_matches_is_released_and_replaced() {
    let stray = fixtures::labelled(pod("a"), &[("app", "other")]);
    check(
        set(1),
        &[stray],
        expect![[r#"
            patch Pod default/a {"metadata":{"ownerReferences":[],"resourceVersion":"2","uid":"pods-a"}}
            create Pod default/web-*
            status ReplicaSet default/web observedGeneration=1 replicas=0 terminatingReplicas=0
        "#]],
    );
}

#[test]
fn a_set_that_is_being_deleted_only_reports() {
    check(
        fixtures::deleting(set(3)),
        &[],
        expect![[r#"
            status ReplicaSet default/web observedGeneration=1 replicas=0 terminatingReplicas=0
        "#]],
    );
}

#[test]
fn a_refusal_is_told_in_a_condition() {
    let failure = Failure { reason: "FailedCreate".into(), message: "exceeded quota".into() };
    let controller = ReplicaSetController::<ReplicaSet>::default();
    let objects = Objects::new(&controller.watches()).with(&set(1));
    let view = View::fixed(&objects).after(Some(&failure));
    let plan = controller.plan(&controller.observe(&set(1).key(), &view).unwrap(), now());
    fixtures::expect_plan(
        &plan,
        &expect![[r#"
        create Pod default/web-*
        status ReplicaSet default/web conditions[ReplicaFailure].message="exceeded quota" conditions[ReplicaFailure].reason=FailedCreate conditions[ReplicaFailure].status=True observedGeneration=1 replicas=0 terminatingReplicas=0
    "#]],
    );
}

/// A ReplicationController `web` with so many replicas.
fn controller(replicas: i32) -> ReplicationController {
    let spec = set(replicas).spec;
    ReplicationController {
        metadata: fixtures::meta("default", "web", "controller-web"),
        spec: Some(ReplicationControllerSpec {
            replicas: spec.replicas,
            selector: spec.selector.match_labels,
            template: spec.template,
            min_ready_seconds: None,
        }),
        status: None,
    }
}

#[track_caller]
fn check_controller(controller: ReplicationController, pods: &[Pod], failure: Option<&Failure>, expect: Expect) {
    let engine = ReplicaSetController::<ReplicationController>::default();
    let mut objects = Objects::new(&engine.watches()).with(&controller);
    pods.iter().for_each(|pod| objects.insert(pod));
    let world = engine.observe(&controller.key(), &View::fixed(&objects).after(failure)).unwrap();
    fixtures::expect_plan(&engine.plan(&world, now()), &expect);
}

#[test]
fn a_replication_controller_makes_pods_of_its_own() {
    check_controller(
        controller(2),
        &[fixtures::pod("orphan", "web")],
        None,
        expect![[r#"
        patch Pod default/orphan {"metadata":{"ownerReferences":[{"apiVersion":"v1","blockOwnerDeletion":true,"controller":true,"kind":"ReplicationController","name":"web","uid":"controller-web"}],"resourceVersion":"2","uid":"pods-orphan"}}
        create Pod default/web-*
        status ReplicationController default/web fullyLabeledReplicas=1 observedGeneration=1 replicas=1
    "#]],
    );
}

#[test]
fn a_replication_controller_says_why_a_pod_is_refused() {
    let failure = Failure { reason: "FailedCreate".into(), message: "exceeded quota".into() };
    check_controller(
        controller(1),
        &[],
        Some(&failure),
        expect![[r#"
        create Pod default/web-*
        status ReplicationController default/web conditions[ReplicaFailure].message="exceeded quota" conditions[ReplicaFailure].reason=FailedCreate conditions[ReplicaFailure].status=True observedGeneration=1 replicas=0
    "#]],
    );
}
