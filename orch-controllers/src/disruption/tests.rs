use super::{stale::StalePodDisruption, *};
use crate::{
    common::owner::controller_ref,
    fixtures::{self, minutes_ago, now},
};
use expect_test::{Expect, expect};
use k8s_openapi::{
    api::{
        core::v1::PodCondition,
        policy::v1::{PodDisruptionBudgetSpec, PodDisruptionBudgetStatus},
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, Time},
        util::intstr::IntOrString,
    },
};
use orch_runtime::testing::Objects;

fn controller() -> DisruptionController {
    DisruptionController { discovery: Arc::new(Vec::new()) }
}

fn budget(min: Option<IntOrString>, max: Option<IntOrString>) -> PodDisruptionBudget {
    let selector = LabelSelector { match_labels: Some(fixtures::labels(&[("app", "web")])), match_expressions: None };
    PodDisruptionBudget {
        metadata: fixtures::meta("default", "web", ""),
        spec: Some(PodDisruptionBudgetSpec {
            selector: Some(selector),
            min_available: min,
            max_unavailable: max,
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}

fn number(value: i32) -> Option<IntOrString> {
    Some(IntOrString::Int(value))
}

fn percent(text: &str) -> Option<IntOrString> {
    Some(IntOrString::String(text.into()))
}

/// A ReplicaSet that wants so many pods, with pods of which so many are ready.
fn cluster(wanted: i32, pods: i32, ready: i32) -> Objects {
    let set = fixtures::replica_set("web", wanted);
    let mut objects = Objects::new(&controller().watches()).with(&set);
    for i in 0..pods {
        let pod = fixtures::on_node(fixtures::pod_of_set(&format!("web-{i}"), &set), "n1");
        objects.insert(&if i < ready { fixtures::ready(pod, minutes_ago(5)) } else { pod });
    }
    objects
}

#[track_caller]
fn check(budget: &PodDisruptionBudget, objects: Objects, expect: Expect) {
    let objects = objects.with(budget);
    let world = controller().observe(&budget.key(), &View::fixed(&objects)).unwrap();
    expect.assert_eq(&controller().plan(&world, now()).to_string());
}

/// Only the four numbers: healthy, desired, expected, allowed.
#[track_caller]
fn numbers(budget: PodDisruptionBudget, mut objects: Objects, expected: [i32; 4]) {
    objects.insert(&budget);
    let world = controller().observe(&budget.key(), &View::fixed(&objects)).unwrap();
    let plan = controller().plan(&world, now());
    objects.apply(&plan, now());
    let status = objects.typed::<PodDisruptionBudget>(&budget.key()).unwrap().status.clone().unwrap();
    let found = [status.current_healthy, status.desired_healthy, status.expected_pods, status.disruptions_allowed];
    assert_eq!(found, expected.map(Some), "{plan}");
    let world = controller().observe(&budget.key(), &View::fixed(&objects)).unwrap();
    assert!(controller().plan(&world, now()).is_empty(), "a second plan writes again");
}

#[test]
fn a_number_of_available_pods_is_counted_among_those_that_are_there() {
    numbers(budget(number(2), None), cluster(4, 3, 3), [3, 2, 3, 1]);
    numbers(budget(number(3), None), cluster(4, 4, 3), [3, 3, 4, 0]);
    numbers(budget(number(0), None), cluster(0, 0, 0), [0, 0, 0, 0]);
}

#[test]
fn a_percentage_is_one_of_what_the_controllers_want_rounded_up() {
    numbers(budget(percent("50%"), None), cluster(5, 5, 5), [5, 3, 5, 2]);
    numbers(budget(percent("50%"), None), cluster(10, 5, 5), [5, 5, 10, 0]);
    numbers(budget(None, percent("30%")), cluster(5, 5, 5), [5, 3, 5, 2]);
    numbers(budget(None, number(1)), cluster(5, 5, 4), [4, 4, 5, 0]);
    numbers(budget(None, number(9)), cluster(5, 5, 4), [4, 0, 5, 4]);
}

#[test]
fn replica_sets_of_one_deployment_are_counted_once_by_the_deployment() {
    let deployment = fixtures::deployment("web", 3);
    let mut objects = Objects::new(&controller().watches()).with(&deployment);
    for name in ["web-old", "web-new"] {
        let mut set = fixtures::replica_set(name, 2);
        set.metadata.owner_references = Some(vec![controller_ref(&deployment)]);
        let mut pod = fixtures::pod(&format!("{name}-0"), "web");
        pod.metadata.owner_references = Some(vec![controller_ref(&set)]);
        objects.insert(&set);
        objects.insert(&fixtures::ready(pod, minutes_ago(1)));
    }
    numbers(budget(percent("50%"), None), objects, [2, 2, 3, 0]);
}

#[test]
fn a_budget_without_pods_allows_nothing_and_says_so() {
    check(
        &budget(number(1), None),
        cluster(3, 0, 0),
        expect![[r#"
            status PodDisruptionBudget default/web conditions[DisruptionAllowed].message="" conditions[DisruptionAllowed].observedGeneration=1 conditions[DisruptionAllowed].reason=InsufficientPods conditions[DisruptionAllowed].status=False currentHealthy=0 desiredHealthy=1 disruptionsAllowed=0 expectedPods=0 observedGeneration=1
            event Normal NoPods: No matching pods found
        "#]],
    );
}

#[test]
fn pods_without_a_controller_are_reported_and_not_counted_on() {
    let mut objects = cluster(3, 1, 1);
    objects.insert(&fixtures::ready(fixtures::pod("stray", "web"), minutes_ago(1)));
    check(
        &budget(percent("50%"), None),
        objects,
        expect![[r#"
        status PodDisruptionBudget default/web conditions[DisruptionAllowed].message="" conditions[DisruptionAllowed].observedGeneration=1 conditions[DisruptionAllowed].reason=InsufficientPods conditions[DisruptionAllowed].status=False currentHealthy=2 desiredHealthy=2 disruptionsAllowed=0 expectedPods=3 observedGeneration=1
        event Warning UnmanagedPods: Pods selected by this PodDisruptionBudget (selector: &LabelSelector{MatchLabels:map[string]string{app: web,},MatchExpressions:[]LabelSelectorRequirement{},}) were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.
    "#]],
    );
}

#[test]
fn what_cannot_be_counted_must_not_be_evicted() {
    let mut gone = fixtures::pod_of_set("web-9", &fixtures::replica_set("gone", 1));
    gone.metadata.labels = Some(fixtures::labels(&[("app", "web")]));
    check(
        &budget(None, number(1)),
        cluster(3, 1, 1).with(&gone),
        expect![[r#"
        status PodDisruptionBudget default/web conditions[DisruptionAllowed].message="found no controllers for pod \"web-9\"" conditions[DisruptionAllowed].reason=SyncFailed conditions[DisruptionAllowed].status=False disruptionsAllowed=0
        event Warning CalculateExpectedPodCountFailed: Failed to calculate the number of expected pods: found no controllers for pod "web-9"
    "#]],
    );
}

#[test]
fn an_evicted_pod_counts_as_gone_until_it_is_or_two_minutes_have_passed() {
    let evicted = |minutes: i64| {
        let mut budget = budget(number(1), None);
        let disrupted = [("web-0".to_owned(), Time(minutes_ago(minutes))), ("other".to_owned(), Time(minutes_ago(0)))];
        let status = PodDisruptionBudgetStatus { disrupted_pods: Some(disrupted.into()), ..Default::default() };
        budget.status = Some(status);
        budget
    };
    check(
        &evicted(1),
        cluster(3, 3, 3),
        expect![[r#"
        status PodDisruptionBudget default/web conditions[DisruptionAllowed].message="" conditions[DisruptionAllowed].observedGeneration=1 conditions[DisruptionAllowed].reason=SufficientPods conditions[DisruptionAllowed].status=True currentHealthy=2 desiredHealthy=1 -disruptedPods.other disruptionsAllowed=1 expectedPods=3 observedGeneration=1
        requeue after 60s
    "#]],
    );
    check(
        &evicted(3),
        cluster(3, 3, 3),
        expect![[r#"
        status PodDisruptionBudget default/web conditions[DisruptionAllowed].message="" conditions[DisruptionAllowed].observedGeneration=1 conditions[DisruptionAllowed].reason=SufficientPods conditions[DisruptionAllowed].status=True currentHealthy=3 desiredHealthy=1 -disruptedPods disruptionsAllowed=2 expectedPods=3 observedGeneration=1
        event Warning NotDeleted: Pod was expected by PDB default/default to be deleted but it wasn't
    "#]],
    );
}

#[test]
fn a_pod_that_is_being_deleted_is_healthy_no_more() {
    let mut objects = cluster(3, 2, 2);
    let pod = fixtures::ready(fixtures::pod_of_set("web-2", &fixtures::replica_set("web", 3)), minutes_ago(1));
    objects.insert(&fixtures::deleting(pod));
    numbers(budget(None, number(1)), objects, [2, 2, 3, 0]);
}

#[track_caller]
fn check_stale(minutes: i64, reason: &str, phase: &str, expect: Expect) {
    let mut pod = fixtures::phase(fixtures::on_node(fixtures::pod("a", "web"), "n1"), phase);
    pod.status.as_mut().unwrap().conditions = Some(vec![PodCondition {
        type_: "DisruptionTarget".into(),
        status: "True".into(),
        reason: Some(reason.into()),
        last_transition_time: Some(Time(minutes_ago(minutes))),
        ..PodCondition::default()
    }]);
    let objects = Objects::new(&StalePodDisruption.watches()).with(&pod);
    let world = StalePodDisruption.observe(&pod.key(), &View::fixed(&objects));
    let plan = world.map(|world| StalePodDisruption.plan(&world, now())).unwrap_or_default();
    expect.assert_eq(&plan.to_string());
}

#[test]
fn a_disruption_that_never_came_is_taken_back() {
    check_stale(
        3,
        "EvictionByEvictionAPI",
        "Running",
        expect![[r#"
        status Pod default/a -conditions[DisruptionTarget].reason conditions[DisruptionTarget].status=False
    "#]],
    );
    check_stale(
        1,
        "EvictionByEvictionAPI",
        "Running",
        expect![[r#"
        requeue after 60s
    "#]],
    );
    check_stale(3, "TerminationByKubelet", "Running", expect![[""]]);
    check_stale(3, "EvictionByEvictionAPI", "Failed", expect![[""]]);
}
