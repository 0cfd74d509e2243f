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
        let questions = self.graph.questions(&uid);
        let answer = |uid: &Uid| if absent.contains(&&**uid) { Presence::Absent } else { Presence::Present };
        let answers = questions.iter().map(|q| (q.owner.uid.clone(), answer(&q.owner.uid))).collect();
        self.graph.decide(&uid, &answers)
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
    assert_eq!(world.graph.questions(&"pod-a".into()).len(), 1);
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
    let answers = [("set-web".into(), Presence::Unknown)].into_iter().collect();
    assert!(world.graph.decide(&"pod-a".into(), &answers).is_empty());
}
