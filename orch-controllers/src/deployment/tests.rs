use super::*;
use crate::fixtures::{self, expect_plan, minutes_ago, now};
use expect_test::{Expect, expect};
use k8s_openapi::{
    api::apps::v1::{DeploymentStrategy, ReplicaSetCondition, ReplicaSetStatus},
    apimachinery::pkg::apis::meta::v1::Time,
};
use orch_runtime::testing::Objects;

/// Plans for a deployment with these sets.
#[track_caller]
fn check(deployment: &Deployment, sets: &[ReplicaSet], expect: Expect) {
    expect_plan(&plan(deployment, sets, &[], None), &expect);
}

fn plan(deployment: &Deployment, sets: &[ReplicaSet], pods: &[Pod], failure: Option<&Failure>) -> Plan {
    let controller = DeploymentController;
    let mut objects = Objects::new(&controller.watches()).with(deployment);
    sets.iter().for_each(|set| objects.insert(set));
    pods.iter().for_each(|pod| objects.insert(pod));
    let world = controller.observe(&deployment.key(), &View::fixed(&objects).after(failure)).unwrap();
    controller.plan(&world, now())
}

fn web(replicas: i32) -> Deployment {
    fixtures::deployment("web", replicas)
}

/// The set that the deployment had when its image was this, sized for `max` pods in all.
fn set(deployment: &Deployment, image: &str, size: i32, available: i32) -> ReplicaSet {
    let mut then = deployment.clone();
    then.spec.template = fixtures::template(image, "web");
    let name = hash::set_name(&then);
    let mut set = fixtures::replica_set("web", size);
    let revision = image.rsplit(':').next().unwrap();
    set.metadata.name = Some(name.clone());
    set.metadata.uid = Some(format!("set-{image}"));
    set.metadata.labels = Some(fixtures::labels(&[("app", "web"), (hash::LABEL, &hash::of(&then))]));
    set.metadata.owner_references = Some(vec![crate::common::owner::controller_ref(deployment)]);
    set.metadata.creation_timestamp = Some(Time(minutes_ago(60 - revision.parse::<i64>().unwrap())));
    set.metadata.annotations = Some(fixtures::labels(&[("deployment.kubernetes.io/revision", revision)]));
    let wanted = deployment.spec.replicas.unwrap();
    revision::annotate_size(&mut set, wanted, wanted + fenceposts::max_surge(deployment));
    let mut template = then.spec.template;
    let labels = template.metadata.as_mut().unwrap().labels.as_mut().unwrap();
    labels.insert(hash::LABEL.into(), hash::of(&web(1)));
    set.spec.template = Some(template);
    set.status = Some(ReplicaSetStatus {
        replicas: size,
        ready_replicas: Some(available),
        available_replicas: Some(available),
        observed_generation: Some(1),
        terminating_replicas: Some(0),
        ..ReplicaSetStatus::default()
    });
    set
}

/// The deployment as it stands when its controller has done all it can.
fn settled(deployment: Deployment, sets: &[ReplicaSet]) -> Deployment {
    let controller = DeploymentController;
    let mut objects = Objects::new(&controller.watches()).with(&deployment);
    sets.iter().for_each(|set| objects.insert(set));
    for _ in 0..5 {
        let world = controller.observe(&deployment.key(), &View::fixed(&objects)).unwrap();
        let mut plan = controller.plan(&world, minutes_ago(5));
        plan.actions.retain(|a| matches!(a, orch_runtime::Action::Update { subresource: Some(_), .. }));
        objects.apply(&plan, minutes_ago(5));
    }
    (*objects.typed::<Deployment>(&deployment.key()).unwrap()).clone()
}

fn with_image(mut deployment: Deployment, image: &str) -> Deployment {
    deployment.spec.template = fixtures::template(image, "web");
    deployment.metadata.generation = Some(2);
    deployment
}

fn scaled(mut deployment: Deployment, replicas: i32) -> Deployment {
    deployment.spec.replicas = Some(replicas);
    deployment.metadata.generation = Some(2);
    deployment
}

fn recreate(mut deployment: Deployment) -> Deployment {
    deployment.spec.strategy = Some(DeploymentStrategy { type_: Some("Recreate".into()), rolling_update: None });
    deployment
}

#[test]
fn a_new_deployment_gets_its_first_set() {
    check(
        &web(3),
        &[],
        expect![[r#"
        create ReplicaSet default/web-7c89647b54 replicas=3
        status Deployment default/web deployment.kubernetes.io/revision=1 conditions[Available].message="Deployment does not have minimum availability." conditions[Available].reason=MinimumReplicasUnavailable conditions[Available].status=False conditions[Progressing].message="Created new replica set \"web-7c89647b54\"" conditions[Progressing].reason=NewReplicaSetCreated conditions[Progressing].status=True observedGeneration=1 terminatingReplicas=0 unavailableReplicas=3
        requeue after 601s
    "#]],
    );
}

#[test]
fn a_deployment_that_is_complete_says_so_and_then_nothing() {
    let sets = [set(&web(3), "app:1", 3, 3)];
    check(
        &web(3),
        &sets,
        expect![[r#"
        status Deployment default/web deployment.kubernetes.io/revision=1 availableReplicas=3 conditions[Available].message="Deployment has minimum availability." conditions[Available].reason=MinimumReplicasAvailable conditions[Available].status=True conditions[Progressing].message="ReplicaSet \"web-7c89647b54\" has successfully progressed." conditions[Progressing].reason=NewReplicaSetAvailable conditions[Progressing].status=True observedGeneration=1 readyReplicas=3 replicas=3 terminatingReplicas=0 updatedReplicas=3
    "#]],
    );
    check(&settled(web(3), &sets), &sets, expect![[""]]);
}

#[test]
fn a_new_template_starts_with_as_many_pods_as_the_surge_allows() {
    let sets = [set(&web(10), "app:1", 10, 10)];
    check(
        &with_image(settled(web(10), &sets), "app:2"),
        &sets,
        expect![[r#"
        create ReplicaSet default/web-7458fcdd4f replicas=3
        update ReplicaSet default/web-7c89647b54 spec.replicas=8
        event Normal ScalingReplicaSet: Scaled down replica set web-7c89647b54 from 10 to 8
        status Deployment default/web deployment.kubernetes.io/revision=2 conditions[Progressing].message="Created new replica set \"web-7458fcdd4f\"" conditions[Progressing].reason=NewReplicaSetCreated observedGeneration=2 unavailableReplicas=1 updatedReplicas=0
        requeue after 601s
    "#]],
    );
}

#[test]
fn old_pods_go_as_new_ones_become_available() {
    let sets = [set(&web(10), "app:1", 8, 8), set(&web(10), "app:2", 5, 3)];
    check(
        &with_image(settled(web(10), &sets), "app:2"),
        &sets,
        expect![[r#"
        update ReplicaSet default/web-7c89647b54 spec.replicas=5
        event Normal ScalingReplicaSet: Scaled down replica set web-7c89647b54 from 8 to 5
        status Deployment default/web deployment.kubernetes.io/revision=2 observedGeneration=2 updatedReplicas=5
        requeue after 301s
    "#]],
    );
}

#[test]
fn a_bad_template_stops_the_rollout() {
    let sets = [set(&web(10), "app:1", 8, 8), set(&web(10), "app:2", 5, 0)];
    check(
        &settled(with_image(web(10), "app:2"), &sets),
        &sets,
        expect![[r#"
        requeue after 301s
    "#]],
    );
}

#[test]
fn unhealthy_old_pods_go_first() {
    let sets = [set(&web(10), "app:1", 8, 4), set(&web(10), "app:2", 5, 5)];
    check(
        &settled(with_image(web(10), "app:2"), &sets),
        &sets,
        expect![[r#"
        update ReplicaSet default/web-7c89647b54 spec.replicas=3
        event Normal ScalingReplicaSet: Scaled down replica set web-7c89647b54 from 8 to 4
        event Normal ScalingReplicaSet: Scaled down replica set web-7c89647b54 from 4 to 3
        requeue after 301s
    "#]],
    );
}

#[test]
fn scaling_in_the_middle_of_a_rollout_is_proportional() {
    let sets = [set(&web(10), "app:1", 8, 8), set(&web(10), "app:2", 5, 0)];
    check(
        &scaled(settled(with_image(web(10), "app:2"), &sets), 15),
        &sets,
        expect![[r#"
        update ReplicaSet default/web-7c89647b54 metadata.annotations.deployment.kubernetes.io/desired-replicas=15 metadata.annotations.deployment.kubernetes.io/max-replicas=19 spec.replicas=12
        event Normal ScalingReplicaSet: Scaled up replica set web-7c89647b54 from 8 to 12
        update ReplicaSet default/web-7458fcdd4f metadata.annotations.deployment.kubernetes.io/desired-replicas=15 metadata.annotations.deployment.kubernetes.io/max-replicas=19 spec.replicas=7
        event Normal ScalingReplicaSet: Scaled up replica set web-7458fcdd4f from 5 to 7
        status Deployment default/web conditions[Available].message="Deployment does not have minimum availability." conditions[Available].reason=MinimumReplicasUnavailable conditions[Available].status=False unavailableReplicas=11
    "#]],
    );
}

#[test]
fn a_paused_deployment_scales_but_does_not_roll() {
    let sets = [set(&web(3), "app:1", 3, 3)];
    let mut paused = scaled(with_image(settled(web(3), &sets), "app:2"), 5);
    paused.spec.paused = Some(true);
    check(
        &paused,
        &sets,
        expect![[r#"
        update ReplicaSet default/web-7c89647b54 metadata.annotations.deployment.kubernetes.io/desired-replicas=5 metadata.annotations.deployment.kubernetes.io/max-replicas=7 spec.replicas=5
        event Normal ScalingReplicaSet: Scaled up replica set web-7c89647b54 from 3 to 5
        status Deployment default/web conditions[Available].message="Deployment does not have minimum availability." conditions[Available].reason=MinimumReplicasUnavailable conditions[Available].status=False conditions[Progressing].message="Deployment is paused" conditions[Progressing].reason=DeploymentPaused conditions[Progressing].status=Unknown observedGeneration=2 unavailableReplicas=2 updatedReplicas=0
    "#]],
    );
}

#[test]
fn recreate_first_ends_the_old_pods() {
    let sets = [set(&web(3), "app:1", 3, 3)];
    check(
        &with_image(recreate(settled(web(3), &sets)), "app:2"),
        &sets,
        expect![[r#"
        update ReplicaSet default/web-7c89647b54 metadata.annotations.deployment.kubernetes.io/max-replicas=3 spec.replicas=0
        event Normal ScalingReplicaSet: Scaled down replica set web-7c89647b54 from 3 to 0
        status Deployment default/web observedGeneration=2 updatedReplicas=0
    "#]],
    );
}

#[test]
fn recreate_waits_for_the_last_old_pod() {
    let sets = [set(&web(3), "app:1", 0, 0)];
    let deployment = with_image(recreate(settled(web(3), &sets)), "app:2");
    let pod = fixtures::deleting(fixtures::pod_of_set("last", &sets[0]));
    expect_plan(
        &plan(&deployment, &sets, &[pod], None),
        &expect![[r#"
        status Deployment default/web observedGeneration=2 unavailableReplicas=0
        requeue after 301s
    "#]],
    );
    check(
        &deployment,
        &sets,
        expect![[r#"
        create ReplicaSet default/web-7458fcdd4f replicas=3
        status Deployment default/web deployment.kubernetes.io/revision=2 conditions[Progressing].message="Created new replica set \"web-7458fcdd4f\"" conditions[Progressing].reason=NewReplicaSetCreated observedGeneration=2
        requeue after 601s
    "#]],
    );
}

#[test]
fn a_rollback_reuses_the_old_set_under_a_new_revision() {
    let sets = [set(&web(3), "app:1", 0, 0), set(&web(3), "app:2", 3, 3)];
    let deployment = settled(with_image(web(3), "app:2"), &sets);
    check(
        &with_image(deployment, "app:1"),
        &sets,
        expect![[r#"
        update ReplicaSet default/web-7c89647b54 metadata.annotations.deployment.kubernetes.io/revision=3 metadata.annotations.deployment.kubernetes.io/revision-history=1 spec.replicas=1
        event Normal ScalingReplicaSet: Scaled up replica set web-7c89647b54 from 0 to 1
        status Deployment default/web deployment.kubernetes.io/revision=3 unavailableReplicas=1 updatedReplicas=0
    "#]],
    );
}

#[test]
fn old_sets_beyond_the_history_limit_are_deleted() {
    let sets = [
        set(&web(1), "app:1", 0, 0),
        set(&web(1), "app:2", 0, 0),
        set(&web(1), "app:3", 0, 0),
        set(&web(1), "app:4", 1, 1),
    ];
    let mut deployment = with_image(web(1), "app:4");
    deployment.spec.revision_history_limit = Some(1);
    check(
        &settled(deployment, &sets),
        &sets,
        expect![[r#"
        delete ReplicaSet default/web-7c89647b54
        delete ReplicaSet default/web-7458fcdd4f
    "#]],
    );
}

#[test]
fn a_rollout_that_takes_too_long_is_told() {
    let sets = [set(&web(3), "app:1", 3, 0)];
    let mut deployment = settled(web(3), &sets);
    deployment.spec.progress_deadline_seconds = Some(60);
    check(
        &deployment,
        &sets,
        expect![[r#"
        status Deployment default/web conditions[Progressing].message="ReplicaSet \"web-7c89647b54\" has timed out progressing." conditions[Progressing].reason=ProgressDeadlineExceeded conditions[Progressing].status=False
    "#]],
    );
}

#[test]
fn another_set_of_the_same_hash_counts_as_a_collision() {
    let mut squatter = set(&web(3), "app:1", 0, 0);
    squatter.metadata.owner_references = None;
    squatter.metadata.labels = None;
    check(
        &web(3),
        &[squatter],
        expect![[r#"
        status Deployment default/web collisionCount=1
    "#]],
    );
}

#[test]
fn an_orphan_is_adopted_before_anything_is_made_beside_it() {
    let mut orphan = set(&web(3), "app:1", 3, 3);
    orphan.metadata.owner_references = None;
    check(
        &web(3),
        &[orphan],
        expect![[r#"
            patch ReplicaSet default/web-7c89647b54 {"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","blockOwnerDeletion":true,"controller":true,"kind":"Deployment","name":"web","uid":"deployment-web"}],"resourceVersion":"2","uid":"set-app:1"}}
        "#]],
    );
}

#[test]
fn the_set_of_an_earlier_deployment_of_the_name_is_waited_for() {
    let mut left = set(&web(3), "app:1", 3, 3);
    left.metadata.owner_references.as_mut().unwrap()[0].uid = "an earlier one".into();
    check(
        &web(3),
        &[left],
        expect![[r#"
            status Deployment default/web conditions[Available].message="Deployment does not have minimum availability." conditions[Available].reason=MinimumReplicasUnavailable conditions[Available].status=False observedGeneration=1 terminatingReplicas=0
            requeue after 1s
        "#]],
    );
}

#[test]
fn a_refused_set_is_told_in_the_progressing_condition() {
    let failure = Failure { reason: "ReplicaSetCreateError".into(), message: "exceeded quota".into() };
    expect_plan(
        &plan(&web(3), &[], &[], Some(&failure)),
        &expect![[r#"
        create ReplicaSet default/web-7c89647b54 replicas=3
        status Deployment default/web conditions[Progressing].message="Failed to create new replica set \"web-7c89647b54\": exceeded quota" conditions[Progressing].reason=ReplicaSetCreateError conditions[Progressing].status=False
    "#]],
    );
}

#[test]
fn the_failure_of_a_set_becomes_one_of_the_deployment() {
    let mut failing = set(&web(3), "app:1", 3, 2);
    failing.status.as_mut().unwrap().conditions = Some(vec![ReplicaSetCondition {
        type_: Some("ReplicaFailure".into()),
        status: Some("True".into()),
        reason: Some("FailedCreate".into()),
        message: Some("exceeded quota".into()),
        last_transition_time: None,
    }]);
    check(
        &web(3),
        &[failing],
        expect![[r#"
        status Deployment default/web deployment.kubernetes.io/revision=1 availableReplicas=2 conditions[Available].message="Deployment does not have minimum availability." conditions[Available].reason=MinimumReplicasUnavailable conditions[Available].status=False conditions[Progressing].message="ReplicaSet \"web-7c89647b54\" is progressing." conditions[Progressing].reason=ReplicaSetUpdated conditions[Progressing].status=True conditions[ReplicaFailure].message="exceeded quota" conditions[ReplicaFailure].reason=FailedCreate conditions[ReplicaFailure].status=True observedGeneration=1 readyReplicas=2 replicas=3 terminatingReplicas=0 unavailableReplicas=1 updatedReplicas=3
        requeue after 601s
    "#]],
    );
}

#[test]
fn a_deployment_that_is_being_deleted_only_reports() {
    check(
        &fixtures::deleting(web(3)),
        &[],
        expect![[r#"
        status Deployment default/web conditions[Available].message="Deployment does not have minimum availability." conditions[Available].reason=MinimumReplicasUnavailable conditions[Available].status=False observedGeneration=1 terminatingReplicas=0
    "#]],
    );
}

#[test]
fn an_empty_selector_selects_nothing_and_is_complained_about() {
    let mut deployment = web(3);
    deployment.spec.selector = Default::default();
    check(
        &deployment,
        &[],
        expect![[r#"
        event Warning SelectingAll: This deployment is selecting all pods. A non-empty selector is required.
        status Deployment default/web observedGeneration=1
    "#]],
    );
}
