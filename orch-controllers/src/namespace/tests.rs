use super::*;
use crate::fixtures::{self, expect_plan, now};
use async_trait::async_trait;
use expect_test::{Expect, expect};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, NamespaceSpec, Secret},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use orch_api::{Reason, StatusError};
use orch_runtime::{Options, testing::Objects, view::Caches};
use orch_store::{
    Ambient, ClientExt, Informers,
    backend::MemoryBackend,
    client::{Around, DeleteOptions, Propagation, Result},
    testing::BareClient,
};

fn ending() -> Namespace {
    let mut namespace = fixtures::deleting(fixtures::namespace("demo"));
    namespace.spec = Some(NamespaceSpec { finalizers: Some(vec![FINALIZER.into()]) });
    namespace
}

/// Plans for a namespace in which this is left.
fn plan(namespace: &Namespace, left: &[(Gvr, Remaining)]) -> Plan {
    let controller = NamespaceController::new(Arc::new(Vec::new()));
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

/// The condition that says whether the contents could be deleted.
fn failure(namespace: &Namespace) -> (String, String) {
    let mut conditions = namespace.status.as_ref().unwrap().conditions.iter().flatten();
    let found = conditions.find(|c| c.type_ == "NamespaceDeletionContentFailure").unwrap();
    (found.reason.clone().unwrap(), found.message.clone().unwrap())
}

#[test]
fn what_could_not_be_deleted_is_told_for_as_long_as_it_is_left() {
    let controller = NamespaceController::new(Arc::new(Vec::new()));
    let mut objects = Objects::new(&controller.watches()).with(&ending());
    let mut told = |refusals: &[Refusal], left: &[(Gvr, Remaining)]| {
        let world = controller.observe(&ending().key(), &View::fixed(&objects)).unwrap();
        let world = World { remaining: Some(left.iter().cloned().collect()), ..world };
        objects.apply(&controller.plan(&world, now()), now());
        controller.refused(&world, refusals);
        objects.typed::<Namespace>(&ending().key()).unwrap()
    };
    let words = |words: &str, resource: Gvr| Refusal { resource, words: words.into() };
    let refusals = [words("not now", Secret::gvr()), words("no", ConfigMap::gvr())];
    let both = [(ConfigMap::gvr(), left(1, 1)), (Secret::gvr(), left(1, 1))];
    assert_eq!(failure(&told(&refusals, &both)).0, "ContentDeleted");
    let message = "Failed to delete all resource types, 2 remaining: no, not now".to_owned();
    assert_eq!(failure(&told(&refusals[1..], &both)), ("ContentDeletionFailed".to_owned(), message));
    assert_eq!(failure(&told(&[], &both[..1])).1, "Failed to delete all resource types, 1 remaining: no");
    assert_eq!(failure(&told(&refusals, &both[..1])).0, "ContentDeleted");
    assert_eq!(failure(&told(&[], &[])).0, "ContentDeleted");
}

/// A server that refuses to delete ConfigMaps.
struct Refuses(BareClient);

#[async_trait]
impl Around for Refuses {
    fn inner(&self) -> Result<Arc<dyn Client>> {
        Ok(Arc::new(self.0.clone()))
    }

    async fn sweep(&self, resource: &Gvr, select: &ListOptions, options: &DeleteOptions) -> Result<()> {
        assert_eq!(options.propagation, Some(Propagation::Background));
        match *resource == ConfigMap::gvr() {
            true => Err(StatusError::new(Reason::Forbidden, "admission webhook \"w\" denied the request: no")),
            false => self.0.delete_collection(resource, select, options).await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_deletion_keeps_nothing_else_from_going() {
    let ambient = Ambient::seeded(1);
    let bare = BareClient::new(Arc::new(MemoryBackend::new()), ambient.clone());
    let client: Arc<dyn Client> = Arc::new(Refuses(bare));
    let served = |gvr, kind| Served { gvr, kind, namespaced: true };
    let discovery = vec![
        served(ConfigMap::gvr(), ConfigMap::gvk()),
        served(Secret::gvr(), Secret::gvk()),
        served(Deployment::gvr(), Deployment::gvk()),
    ];
    let in_it = || ObjectMeta { name: Some("a".into()), namespace: Some("demo".into()), ..ObjectMeta::default() };
    client.add(&ConfigMap { metadata: in_it(), ..ConfigMap::default() }).await.unwrap();
    client.add(&Secret { metadata: in_it(), ..Secret::default() }).await.unwrap();
    client.add(&Deployment { metadata: in_it(), ..fixtures::deployment("a", 1) }).await.unwrap();
    client.add(&ending()).await.unwrap();
    let caches = Caches::new(Informers::new(client.clone(), ambient.clone()));
    let controller = Arc::new(NamespaceController::new(Arc::new(discovery)));
    ambient.tasks.spawn_graceful(orch_runtime::engine::run(controller, caches, ambient.clone(), Options::default()));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let key = Key::new("demo", "a");
    assert!(client.find::<ConfigMap>(&key).await.unwrap().is_some());
    assert!(client.find::<Secret>(&key).await.unwrap().is_none());
    assert!(client.find::<Deployment>(&key).await.unwrap().is_none());
    let words = "Failed to delete all resource types, 1 remaining: admission webhook \"w\" denied the request: no";
    let namespace = client.find::<Namespace>(&Key::cluster("demo")).await.unwrap().unwrap();
    assert_eq!(failure(&namespace), ("ContentDeletionFailed".to_owned(), words.to_owned()));
}

#[test]
fn a_namespace_that_nobody_deletes_is_left_alone() {
    let controller = NamespaceController::new(Arc::new(Vec::new()));
    let namespace = fixtures::namespace("demo");
    let objects = Objects::new(&controller.watches()).with(&namespace);
    assert!(controller.observe(&namespace.key(), &View::fixed(&objects)).is_none());
}
