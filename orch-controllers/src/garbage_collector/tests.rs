use super::*;
use crate::fixtures::{self, expect_plan};
use expect_test::{Expect, expect};
use k8s_openapi::{
    api::{
        apps::v1::ReplicaSet,
        core::v1::{Namespace, Pod},
    },
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use orch_runtime::Plan;
use orch_store::{Stored, informer::Delta};

/// A graph of sets and pods.
#[derive(Default)]
struct World {
    graph: Graph,
    examine: std::collections::BTreeSet<Uid>,
}

impl World {
    fn with<K: Object>(mut self, object: &K) -> Self {
        self.examine.extend(self.graph.apply(&served::<K>(), &Delta { old: None, new: Some(stored(object)) }));
        self
    }

    fn change<K: Object>(&mut self, old: &K, new: Option<&K>) -> Vec<String> {
        let delta = Delta { old: Some(stored(old)), new: new.map(stored) };
        self.graph.apply(&served::<K>(), &delta).iter().map(ToString::to_string).collect()
    }

    /// The plan for an object, where the API server says that these owners do not exist.
    fn plan(&self, uid: &str, absent: &[&str]) -> Plan {
        let uid: Uid = uid.into();
        let answer = |uid: &Uid| if absent.contains(&&**uid) { Presence::Absent } else { Presence::Present };
        let answers = self.graph.questions(&uid).into_iter().map(|q| (q.clone(), answer(&q.uid))).collect();
        self.graph.decide(&uid, &answers)
    }

    /// The plan for an object of whose owners the API server says this.
    fn told(&self, uid: &str, presence: Presence) -> Plan {
        let uid: Uid = uid.into();
        self.graph.decide(&uid, &self.graph.questions(&uid).into_iter().map(|q| (q, presence)).collect())
    }

    /// How many owners of an object must be asked for.
    fn questions(&self, uid: &str) -> usize {
        self.graph.questions(&uid.into()).len()
    }

    #[track_caller]
    fn check(&self, uid: &str, absent: &[&str], expect: Expect) {
        expect_plan(&self.plan(uid, absent), &expect);
    }
}

fn served<K: Object>() -> Served {
    Served { gvr: K::gvr(), kind: K::gvk(), namespaced: K::kind(&()) != "Namespace" }
}

fn stored<K: Object>(object: &K) -> Arc<Stored> {
    Arc::new(Stored::from_json(serde_json::to_vec(object).unwrap().into()).unwrap())
}

fn set(name: &str) -> ReplicaSet {
    fixtures::replica_set(name, 1)
}

fn pod(name: &str, owners: &[&ReplicaSet]) -> Pod {
    let mut pod = fixtures::pod(name, "web");
    pod.metadata.uid = Some(format!("pod-{name}"));
    let reference =
        |set: &&ReplicaSet| OwnerReference { controller: None, ..crate::common::owner::controller_ref(*set) };
    pod.metadata.owner_references = Some(owners.iter().map(reference).collect());
    pod
}

fn finalized<K: Object>(mut object: K, finalizer: &str) -> K {
    object.meta_mut().finalizers = Some(vec![finalizer.into()]);
    fixtures::deleting(object)
}

#[test]
fn an_object_with_an_owner_is_left_alone() {
    World::default().with(&set("web")).with(&pod("a", &[&set("web")])).check("pod-a", &[], expect![[""]]);
}

#[test]
fn an_owner_that_the_cache_does_not_know_is_asked_for_before_anything_is_deleted() {
    let world = World::default().with(&pod("a", &[&set("web")]));
    assert_eq!(world.questions("pod-a"), 1);
    world.check("pod-a", &[], expect![[""]]);
    world.check(
        "pod-a",
        &["set-web"],
        expect![[r#"
        delete Pod default/a background
    "#]],
    );
}

#[test]
fn the_end_of_an_owner_wakes_its_dependents() {
    let mut world = World::default().with(&set("web")).with(&pod("a", &[&set("web")]));
    assert_eq!(world.change(&set("web"), None), ["pod-a"]);
}

#[test]
fn of_several_owners_the_dead_ones_are_taken_out() {
    let world = World::default().with(&set("web")).with(&pod("a", &[&set("web"), &set("gone")]));
    world.check("pod-a", &["set-gone"], expect![[r#"
        patch Pod default/a {"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","blockOwnerDeletion":true,"kind":"ReplicaSet","name":"web","uid":"set-web"}],"resourceVersion":"0","uid":"pod-a"}}
    "#]]);
}

#[test]
fn foreground_deletion_ends_dependents_first_and_then_the_owner() {
    let (old, dying) = (set("web"), finalized(set("web"), "foregroundDeletion"));
    let mut world = World::default().with(&old).with(&pod("a", &[&old]));
    assert_eq!(world.change(&old, Some(&dying)), ["pod-a", "set-web"]);
    world.check("set-web", &[], expect![[""]]);
    world.check(
        "pod-a",
        &[],
        expect![[r#"
        delete Pod default/a background
    "#]],
    );
    assert_eq!(world.change(&pod("a", &[&old]), None), ["set-web"]);
    world.check(
        "set-web",
        &[],
        expect![[r#"
        patch ReplicaSet default/web {"metadata":{"finalizers":[],"resourceVersion":"0","uid":"set-web"}}
    "#]],
    );
}

#[test]
fn a_dependent_that_does_not_block_is_not_waited_for() {
    let dying = finalized(set("web"), "foregroundDeletion");
    let mut free = pod("a", &[&dying]);
    free.metadata.owner_references.as_mut().unwrap()[0].block_owner_deletion = Some(false);
    World::default().with(&dying).with(&free).check(
        "set-web",
        &[],
        expect![[r#"
        patch ReplicaSet default/web {"metadata":{"finalizers":[],"resourceVersion":"0","uid":"set-web"}}
    "#]],
    );
}

#[test]
fn orphaning_takes_the_owner_out_of_its_dependents() {
    let dying = finalized(set("web"), "orphan");
    World::default().with(&dying).with(&pod("a", &[&dying])).check(
        "set-web",
        &[],
        expect![[r#"
        patch Pod default/a {"metadata":{"ownerReferences":[],"resourceVersion":"0","uid":"pod-a"}}
        patch ReplicaSet default/web {"metadata":{"finalizers":[],"resourceVersion":"0","uid":"set-web"}}
    "#]],
    );
}

#[test]
fn a_circle_of_objects_that_wait_for_each_other_is_broken() {
    let (mut a, mut b) = (finalized(set("a"), "foregroundDeletion"), set("b"));
    b.metadata.owner_references = Some(vec![crate::common::owner::controller_ref(&a)]);
    a.metadata.owner_references = Some(vec![crate::common::owner::controller_ref(&b)]);
    World::default().with(&a).with(&b).check("set-b", &[], expect![[r#"
        patch ReplicaSet default/b {"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","controller":true,"kind":"ReplicaSet","name":"a","uid":"set-a"}],"resourceVersion":"0","uid":"set-b"}}
    "#]]);
}

#[test]
fn a_namespaced_owner_in_another_namespace_does_not_count_and_is_complained_about() {
    let mut far = set("web");
    far.metadata.namespace = Some("elsewhere".into());
    World::default().with(&far).with(&pod("a", &[&far])).check("pod-a", &["set-web"], expect![[r#"
        event Warning OwnerRefInvalidNamespace: ownerRef [apps/v1/ReplicaSet, namespace: default, name: web, uid: set-web] does not exist in namespace "default"
        delete Pod default/a background
    "#]]);
}

#[test]
fn a_cluster_scoped_owner_counts_in_every_namespace() {
    let owner = fixtures::namespace("demo");
    let mut owned = pod("a", &[]);
    owned.metadata.owner_references = Some(vec![crate::common::owner::controller_ref::<Namespace>(&owner)]);
    World::default().with(&owner).with(&owned).check("pod-a", &[], expect![[""]]);
}

#[test]
fn an_object_whose_owner_has_an_unknown_kind_stays() {
    let world = World::default().with(&pod("a", &[&set("web")]));
    assert!(world.told("pod-a", Presence::Unknown).is_empty());
}

#[test]
fn an_owner_that_was_seen_to_end_is_gone_whether_or_not_its_kind_is_served() {
    let mut world = World::default().with(&set("web")).with(&pod("a", &[&set("web")]));
    world.change(&set("web"), None);
    assert_eq!(world.questions("pod-a"), 0);
    expect_plan(
        &world.told("pod-a", Presence::Unknown),
        &expect![[r#"
        delete Pod default/a background
    "#]],
    );
}

#[test]
fn an_absence_is_remembered_for_as_long_as_anybody_names_the_owner() {
    let mut world = World::default().with(&set("web")).with(&pod("a", &[&set("web")])).with(&pod("b", &[&set("web")]));
    world.change(&set("web"), None);
    world.change(&pod("a", &[&set("web")]), None);
    assert_eq!(world.questions("pod-b"), 0);
    world.change(&pod("b", &[&set("web")]), None);
    assert_eq!(world.with(&pod("c", &[&set("web")])).questions("pod-c"), 1);
}

#[test]
fn a_reference_that_is_wrong_condemns_nobody_whose_reference_is_right() {
    let (mut far, near) = (pod("far", &[&set("web")]), pod("near", &[&set("web")]));
    far.metadata.namespace = Some("elsewhere".into());
    let mut world = World::default().with(&far).with(&near);
    let asked = world.graph.questions(&"pod-far".into());
    world.graph.learn(asked);
    assert_eq!((world.questions("pod-far"), world.questions("pod-near")), (0, 1));
    assert!(world.told("pod-near", Presence::Present).is_empty());
}

#[test]
fn a_cluster_scoped_object_cannot_have_a_namespaced_owner_and_that_is_told() {
    let mut owned = fixtures::namespace("demo");
    owned.metadata.uid = Some("demo".into());
    owned.metadata.owner_references = Some(vec![crate::common::owner::controller_ref(&set("web"))]);
    let world = World::default().with(&set("web")).with(&owned);
    expect_plan(
        &world.told("demo", Presence::CannotOwn),
        &expect![[r#"
        event Warning OwnerRefInvalidNamespace: ownerRef [apps/v1/ReplicaSet, namespace: , name: web, uid: set-web] does not exist in namespace ""
    "#]],
    );
}

#[test]
fn an_object_wakes_those_that_misname_it_when_it_is_first_seen() {
    let (right, mut wrong) = (pod("right", &[&set("web")]), pod("wrong", &[&set("web")]));
    wrong.metadata.owner_references.as_mut().unwrap()[0].name = "shop".into();
    let mut world = World::default().with(&right).with(&wrong);
    world.examine.clear();
    let world = world.with(&set("web"));
    assert_eq!(world.examine.iter().map(|uid| &**uid).collect::<Vec<_>>(), ["pod-wrong"]);
}

#[test]
fn only_a_change_of_references_asks_for_an_object() {
    let old = pod("a", &[&set("gone")]);
    let mut world = World::default().with(&old);
    assert_eq!(world.change(&old, Some(&fixtures::on_node(old.clone(), "n1"))), [""; 0]);
    assert_eq!(world.change(&old, Some(&pod("a", &[&set("gone"), &set("lost")]))), ["pod-a"]);
}

#[test]
fn nobody_knows_of_the_objects_of_a_kind_that_is_no_longer_served() {
    let mut world = World::default().with(&set("web")).with(&pod("a", &[&set("web")]));
    let examine = world.graph.forget(&ReplicaSet::gvr());
    assert_eq!(examine.iter().map(|uid| &**uid).collect::<Vec<_>>(), ["pod-a"]);
    assert!(world.told("pod-a", Presence::Unknown).is_empty());
    assert_eq!((world.graph.len(), world.questions("pod-a")), (1, 1));
}
