use super::*;
use crate::fixtures::{self, expect_plan, now};
use expect_test::{Expect, expect};
use k8s_openapi::api::core::v1::{ConfigMap, NamespaceSpec};
use orch_runtime::testing::Objects;

fn ending() -> Namespace {
    let mut namespace = fixtures::deleting(fixtures::namespace("demo"));
    namespace.spec = Some(NamespaceSpec { finalizers: Some(vec![FINALIZER.into()]) });
    namespace
}

/// Plans for a namespace in which this is left.
fn plan(namespace: &Namespace, left: &[(Gvr, Remaining)]) -> Plan {
    let controller = NamespaceController { discovery: Arc::new(Vec::new()) };
    let objects = Objects::new(&controller.watches()).with(namespace);
    let world = controller.observe(&namespace.key(), &View::fixed(&objects)).unwrap();
    controller.plan(&World { remaining: Some(left.iter().cloned().collect()), ..world }, now())
}

#[track_caller]
fn check(left: &[(Gvr, Remaining)], expect: Expect) {
    expect_plan(&plan(&ending(), left), &expect);
}

fn left(count: usize, undeleted: usize) -> Remaining {
    Remaining { count, undeleted, finalizers: BTreeMap::new() }
}

#[test]
fn pods_are_deleted_before_everything_else() {
    check(
        &[(Pod::gvr(), left(2, 2)), (ConfigMap::gvr(), left(1, 1))],
        expect![[r#"
        delete all pods in demo
        status Namespace demo conditions[NamespaceContentRemaining].message="Some resources are remaining: configmaps. has 1 resource instances, pods. has 2 resource instances" conditions[NamespaceContentRemaining].reason=SomeResourcesRemain conditions[NamespaceContentRemaining].status=True conditions[NamespaceDeletionContentFailure].message="All content successfully deleted, may be waiting on finalization" conditions[NamespaceDeletionContentFailure].reason=ContentDeleted conditions[NamespaceDeletionContentFailure].status=False conditions[NamespaceDeletionDiscoveryFailure].message="All resources successfully discovered" conditions[NamespaceDeletionDiscoveryFailure].reason=ResourcesDiscovered conditions[NamespaceDeletionDiscoveryFailure].status=False conditions[NamespaceDeletionGroupVersionParsingFailure].message="All legacy kube types successfully parsed" conditions[NamespaceDeletionGroupVersionParsingFailure].reason=ParsedGroupVersions conditions[NamespaceDeletionGroupVersionParsingFailure].status=False conditions[NamespaceFinalizersRemaining].message="All content-preserving finalizers finished" conditions[NamespaceFinalizersRemaining].reason=ContentHasNoFinalizers conditions[NamespaceFinalizersRemaining].status=False
        requeue after 5s
    "#]],
    );
}

#[test]
fn the_rest_waits_until_the_last_pod_is_gone() {
    check(
        &[(Pod::gvr(), left(2, 0)), (ConfigMap::gvr(), left(1, 1))],
        expect![[r#"
        status Namespace demo conditions[NamespaceContentRemaining].message="Some resources are remaining: configmaps. has 1 resource instances, pods. has 2 resource instances" conditions[NamespaceContentRemaining].reason=SomeResourcesRemain conditions[NamespaceContentRemaining].status=True conditions[NamespaceDeletionContentFailure].message="All content successfully deleted, may be waiting on finalization" conditions[NamespaceDeletionContentFailure].reason=ContentDeleted conditions[NamespaceDeletionContentFailure].status=False conditions[NamespaceDeletionDiscoveryFailure].message="All resources successfully discovered" conditions[NamespaceDeletionDiscoveryFailure].reason=ResourcesDiscovered conditions[NamespaceDeletionDiscoveryFailure].status=False conditions[NamespaceDeletionGroupVersionParsingFailure].message="All legacy kube types successfully parsed" conditions[NamespaceDeletionGroupVersionParsingFailure].reason=ParsedGroupVersions conditions[NamespaceDeletionGroupVersionParsingFailure].status=False conditions[NamespaceFinalizersRemaining].message="All content-preserving finalizers finished" conditions[NamespaceFinalizersRemaining].reason=ContentHasNoFinalizers conditions[NamespaceFinalizersRemaining].status=False
        requeue after 5s
    "#]],
    );
}

#[test]
fn without_pods_everything_is_deleted() {
    check(
        &[(ConfigMap::gvr(), left(1, 1))],
        expect![[r#"
        delete all configmaps in demo
        status Namespace demo conditions[NamespaceContentRemaining].message="Some resources are remaining: configmaps. has 1 resource instances" conditions[NamespaceContentRemaining].reason=SomeResourcesRemain conditions[NamespaceContentRemaining].status=True conditions[NamespaceDeletionContentFailure].message="All content successfully deleted, may be waiting on finalization" conditions[NamespaceDeletionContentFailure].reason=ContentDeleted conditions[NamespaceDeletionContentFailure].status=False conditions[NamespaceDeletionDiscoveryFailure].message="All resources successfully discovered" conditions[NamespaceDeletionDiscoveryFailure].reason=ResourcesDiscovered conditions[NamespaceDeletionDiscoveryFailure].status=False conditions[NamespaceDeletionGroupVersionParsingFailure].message="All legacy kube types successfully parsed" conditions[NamespaceDeletionGroupVersionParsingFailure].reason=ParsedGroupVersions conditions[NamespaceDeletionGroupVersionParsingFailure].status=False conditions[NamespaceFinalizersRemaining].message="All content-preserving finalizers finished" conditions[NamespaceFinalizersRemaining].reason=ContentHasNoFinalizers conditions[NamespaceFinalizersRemaining].status=False
        requeue after 20ms
    "#]],
    );
}

#[test]
fn finalizers_of_others_are_waited_for_and_told() {
    let finalizers = BTreeMap::from([(Arc::from("example.com/hold"), 1)]);
    check(
        &[(ConfigMap::gvr(), Remaining { finalizers, ..left(1, 0) })],
        expect![[r#"
        status Namespace demo conditions[NamespaceContentRemaining].message="Some resources are remaining: configmaps. has 1 resource instances" conditions[NamespaceContentRemaining].reason=SomeResourcesRemain conditions[NamespaceContentRemaining].status=True conditions[NamespaceDeletionContentFailure].message="All content successfully deleted, may be waiting on finalization" conditions[NamespaceDeletionContentFailure].reason=ContentDeleted conditions[NamespaceDeletionContentFailure].status=False conditions[NamespaceDeletionDiscoveryFailure].message="All resources successfully discovered" conditions[NamespaceDeletionDiscoveryFailure].reason=ResourcesDiscovered conditions[NamespaceDeletionDiscoveryFailure].status=False conditions[NamespaceDeletionGroupVersionParsingFailure].message="All legacy kube types successfully parsed" conditions[NamespaceDeletionGroupVersionParsingFailure].reason=ParsedGroupVersions conditions[NamespaceDeletionGroupVersionParsingFailure].status=False conditions[NamespaceFinalizersRemaining].message="Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances" conditions[NamespaceFinalizersRemaining].reason=SomeFinalizersRemain conditions[NamespaceFinalizersRemaining].status=True
        requeue after 5s
    "#]],
    );
}

#[test]
fn an_empty_namespace_is_told_to_be_empty_and_then_let_go() {
    let namespace = ending();
    let first = plan(&namespace, &[]);
    expect_plan(
        &first,
        &expect![[r#"
        status Namespace demo conditions[NamespaceContentRemaining].message="All content successfully removed" conditions[NamespaceContentRemaining].reason=ContentRemoved conditions[NamespaceContentRemaining].status=False conditions[NamespaceDeletionContentFailure].message="All content successfully deleted, may be waiting on finalization" conditions[NamespaceDeletionContentFailure].reason=ContentDeleted conditions[NamespaceDeletionContentFailure].status=False conditions[NamespaceDeletionDiscoveryFailure].message="All resources successfully discovered" conditions[NamespaceDeletionDiscoveryFailure].reason=ResourcesDiscovered conditions[NamespaceDeletionDiscoveryFailure].status=False conditions[NamespaceDeletionGroupVersionParsingFailure].message="All legacy kube types successfully parsed" conditions[NamespaceDeletionGroupVersionParsingFailure].reason=ParsedGroupVersions conditions[NamespaceDeletionGroupVersionParsingFailure].status=False conditions[NamespaceFinalizersRemaining].message="All content-preserving finalizers finished" conditions[NamespaceFinalizersRemaining].reason=ContentHasNoFinalizers conditions[NamespaceFinalizersRemaining].status=False
    "#]],
    );
    let mut objects = Objects::default().with(&namespace);
    objects.apply(&first, now());
    let told = objects.typed::<Namespace>(&namespace.key()).unwrap();
    expect_plan(
        &plan(&told, &[]),
        &expect![[r#"
        finalize Namespace demo spec.finalizers=[]
    "#]],
    );
}

#[test]
fn a_namespace_that_nobody_deletes_is_left_alone() {
    let controller = NamespaceController { discovery: Arc::new(Vec::new()) };
    let namespace = fixtures::namespace("demo");
    let objects = Objects::new(&controller.watches()).with(&namespace);
    assert!(controller.observe(&namespace.key(), &View::fixed(&objects)).is_none());
}
