use super::*;
use crate::{
    common::{history, owner::controller_ref},
    fixtures::{self, deleting, minutes_ago, now, phase, ready},
};
use expect_test::{Expect, expect};
use k8s_openapi::{
    api::apps::v1::{
        RollingUpdateStatefulSetStrategy, StatefulSetOrdinals, StatefulSetPersistentVolumeClaimRetentionPolicy,
        StatefulSetStatus, StatefulSetUpdateStrategy,
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use orch_runtime::testing::Objects;

/// What there is: a set, its pods, its history, claims.
struct Case {
    set: StatefulSet,
    pods: Vec<Pod>,
    objects: Objects,
}

impl Case {
    /// The set `web` with so many replicas, as it stands when nothing has happened yet.
    fn new(replicas: i32) -> Self {
        let mut set = fixtures::stateful_set("web", replicas);
        set.status = Some(StatefulSetStatus { observed_generation: Some(1), ..StatefulSetStatus::default() });
        Self { set, pods: Vec::new(), objects: Objects::new(&StatefulSetController.watches()) }
    }

    fn with(mut self, change: impl FnOnce(&mut StatefulSet)) -> Self {
        change(&mut self.set);
        self
    }

    fn rolling(self, rolling: RollingUpdateStatefulSetStrategy) -> Self {
        self.with(|set| {
            set.spec.update_strategy =
                Some(StatefulSetUpdateStrategy { type_: Some("RollingUpdate".into()), rolling_update: Some(rolling) });
        })
    }

    /// The template that this image makes becomes the set's; the one before is in the history, as the current one.
    fn updated_to(mut self, image: &str) -> Self {
        let before = self.revision();
        self.objects.insert(&before);
        self.set.status.get_or_insert_default().current_revision = before.metadata.name;
        self.set.spec.template = fixtures::template(image, "web");
        self
    }

    /// The revision that the set's template has.
    fn revision(&self) -> ControllerRevision {
        let view = View::fixed(&self.objects);
        let history = History::observe(&self.set, &self.set.spec.selector, &view);
        history.propose(&self.set, &self.set.spec.template, HASH, Some(0), &view).revision
    }

    /// A pod of the set's present template, changed by the function.
    fn pod(mut self, ordinal: i32, change: impl FnOnce(Pod) -> Pod) -> Self {
        let revision = self.revision();
        let mut pod = identity::make(&self.set, &self.set.spec.template, history::name_of(&revision), ordinal);
        pod.metadata.uid = Some(format!("pod-{ordinal}"));
        pod.metadata.creation_timestamp = fixtures::meta("", "", "").creation_timestamp;
        self.pods.push(change(phase(pod, "Pending")));
        self
    }

    fn ready(self, ordinals: std::ops::Range<i32>) -> Self {
        ordinals.fold(self, |case, ordinal| case.pod(ordinal, |pod| ready(pod, minutes_ago(9))))
    }

    fn claim(mut self, ordinal: i32, change: impl FnOnce(&mut PersistentVolumeClaim)) -> Self {
        let (template, name) = claims::of(&self.set, ordinal).next().unwrap();
        let mut claim = claims::make(&self.set, template, name);
        claim.metadata.uid = Some(format!("claim-{ordinal}"));
        claim.metadata.owner_references = None;
        change(&mut claim);
        self.objects.insert(&claim);
        self
    }

    fn plan(mut self) -> Plan {
        let controller = StatefulSetController;
        let current = self.revision();
        if self.objects.get(&ControllerRevision::gvr(), &current.key()).is_none() {
            self.objects.insert(&current);
        }
        self.objects.insert(&self.set);
        self.pods.iter().for_each(|pod| self.objects.insert(pod));
        let world = controller.observe(&self.set.key(), &View::fixed(&self.objects)).unwrap();
        controller.plan(&world, now())
    }

    /// The plan without its words about the status.
    #[track_caller]
    fn check(self, expect: Expect) {
        let text = self.plan().to_string();
        let lines = text.lines().filter(|line| !line.starts_with("status "));
        expect.assert_eq(&lines.map(|line| format!("{line}\n")).collect::<String>());
    }
}

fn parallel(set: &mut StatefulSet) {
    set.spec.pod_management_policy = Some("Parallel".into());
}

fn with_claims(set: &mut StatefulSet) {
    set.spec.volume_claim_templates = Some(vec![PersistentVolumeClaim {
        metadata: fixtures::meta("", "data", ""),
        ..PersistentVolumeClaim::default()
    }]);
}

fn retention(set: &mut StatefulSet, deleted: &str, scaled: &str) {
    with_claims(set);
    set.spec.persistent_volume_claim_retention_policy = Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
        when_deleted: Some(deleted.into()),
        when_scaled: Some(scaled.into()),
    });
}

fn partition(partition: i32) -> RollingUpdateStatefulSetStrategy {
    RollingUpdateStatefulSetStrategy { partition: Some(partition), max_unavailable: None }
}

fn unavailable(most: &str) -> RollingUpdateStatefulSetStrategy {
    RollingUpdateStatefulSetStrategy { partition: None, max_unavailable: Some(IntOrString::String(most.into())) }
}

#[test]
fn the_first_pod_is_made_after_the_revision_that_it_is_of() {
    let set = fixtures::stateful_set("web", 2);
    let controller = StatefulSetController;
    let objects = Objects::new(&controller.watches()).with(&set);
    let world = controller.observe(&set.key(), &View::fixed(&objects)).unwrap();
    fixtures::expect_plan(
        &controller.plan(&world, now()),
        &expect![[r#"
            create ControllerRevision default/web-77c4cfb775
            create Pod default/web-0
            status StatefulSet default/web availableReplicas=0 collisionCount=0 currentRevision=web-77c4cfb775 observedGeneration=1 replicas=0 updateRevision=web-77c4cfb775
        "#]],
    );
}

#[test]
fn a_pod_knows_its_name_its_ordinal_its_host_and_its_revision() {
    let case = Case::new(1).with(|set| set.spec.service_name = Some("db".into()));
    let pod = identity::make(&case.set, &case.set.spec.template, "web-abc", 3);
    let labels = pod.metadata.labels.unwrap();
    let spec = pod.spec.unwrap();
    assert_eq!(pod.metadata.name.as_deref(), Some("web-3"));
    assert_eq!((spec.hostname.as_deref(), spec.subdomain.as_deref()), (Some("web-3"), Some("db")));
    assert_eq!(labels["statefulset.kubernetes.io/pod-name"], "web-3");
    assert_eq!(labels["apps.kubernetes.io/pod-index"], "3");
    assert_eq!(labels["controller-revision-hash"], "web-abc");
}

#[test]
fn the_next_pod_waits_until_the_one_before_is_ready() {
    Case::new(3).pod(0, |pod| phase(pod, "Running")).check(expect![""]);
    Case::new(3).ready(0..1).check(expect![[r#"
        create Pod default/web-1
    "#]]);
}

#[test]
fn the_next_pod_waits_until_the_one_before_is_available() {
    let case = || Case::new(2).with(|set| set.spec.min_ready_seconds = Some(60));
    case().pod(0, |pod| ready(pod, now())).check(expect![[r#"
        requeue after 60s
    "#]]);
    case().pod(0, |pod| ready(pod, minutes_ago(1))).check(expect![[r#"
        create Pod default/web-1
    "#]]);
}

#[test]
fn ordinals_start_where_the_set_says() {
    let case = Case::new(2).with(|set| set.spec.ordinals = Some(StatefulSetOrdinals { start: Some(5) }));
    case.ready(5..6).check(expect![[r#"
        create Pod default/web-6
    "#]]);
}

#[test]
fn in_parallel_all_pods_are_made_at_once_and_given_up_at_once() {
    Case::new(3).with(parallel).pod(1, |pod| phase(pod, "Pending")).check(expect![[r#"
        create Pod default/web-0
        create Pod default/web-2
    "#]]);
    Case::new(1).with(parallel).ready(0..4).check(expect![[r#"
        delete Pod default/web-3
        delete Pod default/web-2
        delete Pod default/web-1
    "#]]);
}

#[test]
fn a_pod_that_ended_is_replaced_under_its_name() {
    let case = |ending: &'static str| Case::new(2).pod(0, |pod| phase(pod, ending)).ready(1..2);
    case("Failed").check(expect![[r#"
        delete Pod default/web-0
    "#]]);
    case("Succeeded").check(expect![[r#"
        delete Pod default/web-0
    "#]]);
}

#[test]
fn a_terminating_pod_is_waited_for() {
    Case::new(2).pod(0, |pod| deleting(ready(pod, minutes_ago(9)))).check(expect![""]);
    Case::new(1).ready(0..1).pod(1, |pod| deleting(ready(pod, minutes_ago(9)))).check(expect![""]);
}

#[test]
fn scaling_down_takes_the_highest_ordinal_first() {
    Case::new(1).ready(0..4).check(expect![[r#"
        delete Pod default/web-3
    "#]]);
}

#[test]
fn scaling_down_waits_for_an_unhealthy_pod_unless_that_is_the_one_to_go() {
    Case::new(1).ready(0..2).pod(2, |pod| phase(pod, "Running")).check(expect![[r#"
        delete Pod default/web-2
    "#]]);
    Case::new(1).ready(0..1).pod(1, |pod| phase(pod, "Running")).ready(2..3).check(expect![[r#"
        delete Pod default/web-2
    "#]]);
    let two_ill = Case::new(1).ready(0..1).pod(1, |pod| phase(pod, "Running")).pod(2, |pod| phase(pod, "Running"));
    two_ill.check(expect![""]);
    Case::new(1).pod(0, |pod| phase(pod, "Running")).ready(1..2).check(expect![""]);
}

#[test]
fn an_update_goes_from_the_highest_ordinal_down() {
    Case::new(3).ready(0..3).updated_to("app:2").check(expect![[r#"
        delete Pod default/web-2
    "#]]);
    Case::new(3).ready(0..2).updated_to("app:2").ready(2..3).check(expect![[r#"
        delete Pod default/web-1
    "#]]);
}

#[test]
fn an_update_waits_for_the_pod_that_it_replaced() {
    Case::new(3).ready(0..2).updated_to("app:2").pod(2, |pod| phase(pod, "Running")).check(expect![""]);
}

#[test]
fn a_partition_keeps_the_pods_below_it() {
    let case = || Case::new(3).rolling(partition(2));
    case().ready(0..2).updated_to("app:2").ready(2..3).check(expect![""]);
    case().ready(1..3).updated_to("app:2").check(expect![[r#"
        create Pod default/web-0
    "#]]);
}

#[test]
fn on_delete_leaves_the_update_to_the_user() {
    let on_delete = |set: &mut StatefulSet| {
        set.spec.update_strategy =
            Some(StatefulSetUpdateStrategy { type_: Some("OnDelete".into()), rolling_update: None });
    };
    Case::new(2).with(on_delete).ready(0..2).updated_to("app:2").check(expect![""]);
    Case::new(2).with(on_delete).ready(0..1).updated_to("app:2").check(expect![[r#"
        create Pod default/web-1
    "#]]);
}

#[test]
fn as_many_pods_are_replaced_at_once_as_may_be_unavailable() {
    Case::new(5).rolling(unavailable("40%")).ready(0..5).updated_to("app:2").check(expect![[r#"
        delete Pod default/web-4
        delete Pod default/web-3
    "#]]);
    let broken = Case::new(5).with(parallel).rolling(unavailable("40%")).ready(0..4);
    broken.updated_to("app:2").pod(4, |pod| phase(pod, "Running")).check(expect![[r#"
        delete Pod default/web-3
    "#]]);
}

#[test]
fn in_order_a_broken_rollout_waits_for_the_user_to_delete_its_pod() {
    let broken = Case::new(2).ready(0..1).updated_to("app:broken").pod(1, |pod| phase(pod, "Pending"));
    broken.updated_to("app:3").check(expect![""]);
}

#[test]
fn in_parallel_a_broken_rollout_is_over_when_the_template_is_mended() {
    let broken = Case::new(2).with(parallel).ready(0..1).updated_to("app:broken").pod(1, |pod| phase(pod, "Pending"));
    broken.updated_to("app:3").check(expect![[r#"
        delete Pod default/web-1
    "#]]);
}

#[test]
fn without_a_rolling_update_a_pod_below_the_updated_ones_comes_back_as_it_was() {
    let case = Case::new(3).with(|set| {
        set.spec.update_strategy =
            Some(StatefulSetUpdateStrategy { type_: Some("RollingUpdate".into()), rolling_update: None });
    });
    let before = history::name_of(&case.revision()).to_owned();
    let mut case = case.ready(1..2).updated_to("app:2").ready(2..3);
    case.set.status.as_mut().unwrap().current_replicas = Some(2);
    let plan = case.plan();
    let made = plan.actions.iter().find_map(|action| match action {
        orch_runtime::Action::Create { body, .. } => Some(serde_json::Value::clone(body)),
        _ => None,
    });
    assert_eq!(made.unwrap()["metadata"]["labels"]["controller-revision-hash"], before.as_str());
}

#[test]
fn a_template_that_comes_back_makes_its_old_revision_the_newest() {
    Case::new(1).ready(0..1).updated_to("app:2").updated_to("app:1").check(expect![[r#"
        update ControllerRevision default/web-77c4cfb775 revision=3
    "#]]);
}

#[test]
fn revisions_beyond_the_limit_go_unless_a_pod_has_them() {
    let case = Case::new(2).with(|set| set.spec.revision_history_limit = Some(1)).ready(0..1);
    let case = case.updated_to("app:2").updated_to("app:3").updated_to("app:4").updated_to("app:5").ready(1..2);
    case.check(expect![[r#"
        delete Pod default/web-0
        delete ControllerRevision default/web-6b57cbf874
    "#]]);
}

#[test]
fn a_name_that_another_template_has_counts_as_a_collision() {
    let case = Case::new(1).ready(0..1);
    let mut squatter = case.revision();
    squatter.metadata.labels = None;
    squatter.metadata.owner_references = None;
    squatter.data.0 = serde_json::json!({"spec": {}});
    let mut objects = Objects::new(&StatefulSetController.watches()).with(&case.set);
    objects.insert(&squatter);
    let world = StatefulSetController.observe(&case.set.key(), &View::fixed(&objects)).unwrap();
    assert_ne!(world.update.name(), history::name_of(&squatter));
    assert_eq!(world.update.collisions, Some(1));
}

#[test]
fn the_status_counts_pods_by_revision_and_completes_the_update() {
    let text = |case: Case| {
        let text = case.plan().to_string();
        text.lines().filter(|line| line.starts_with("status ")).map(|line| format!("{line}\n")).collect::<String>()
    };
    expect![[r#"
        status StatefulSet default/web availableReplicas=3 collisionCount=0 currentReplicas=1 readyReplicas=3 replicas=3 updateRevision=web-6b57cbf874 updatedReplicas=1
    "#]].assert_eq(&text(Case::new(3).ready(0..2).updated_to("app:2").ready(2..3)));
    expect![[r#"
        status StatefulSet default/web availableReplicas=1 collisionCount=0 currentReplicas=1 currentRevision=web-6b57cbf874 readyReplicas=1 replicas=1 updateRevision=web-6b57cbf874 updatedReplicas=1
    "#]].assert_eq(&text(Case::new(1).updated_to("app:2").ready(0..1)));
}

#[test]
fn orphans_are_adopted_by_name_and_strangers_released() {
    let orphan = |mut pod: Pod| {
        pod.metadata.owner_references = None;
        ready(pod, minutes_ago(9))
    };
    Case::new(1).pod(0, orphan).check(expect![[r#"
        patch Pod default/web-0 {"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","blockOwnerDeletion":true,"controller":true,"kind":"StatefulSet","name":"web","uid":"stateful-web"}],"resourceVersion":"3","uid":"pod-0"}}
    "#]]);
    let stranger = |pod: Pod| fixtures::labelled(ready(pod, minutes_ago(9)), &[("app", "other")]);
    Case::new(1).pod(0, stranger).check(expect![[r#"
        patch Pod default/web-0 {"metadata":{"ownerReferences":[],"resourceVersion":"3","uid":"pod-0"}}
        create Pod default/web-0
    "#]]);
    let mut misnamed = fixtures::pod("web-x", "web");
    misnamed.metadata.owner_references = None;
    let mut case = Case::new(1).ready(0..1);
    case.pods.push(misnamed);
    case.check(expect![""]);
}

#[test]
fn a_claim_that_is_refused_keeps_no_pod_before_it_from_being_made() {
    let plan = Case::new(2).with(parallel).with(with_claims).claim(0, |_| {}).plan().to_string();
    let creates: Vec<&str> = plan.lines().filter(|line| line.starts_with("create")).collect();
    assert!(creates[0].starts_with("create Pod default/web-0"), "{plan}");
    assert!(creates[1].starts_with("create PersistentVolumeClaim default/data-web-1"), "{plan}");
}

#[test]
fn claims_are_made_before_the_pod_and_mounted_by_it() {
    Case::new(1).with(with_claims).check(expect![[r#"
        create PersistentVolumeClaim default/data-web-0
        create Pod default/web-0
    "#]]);
    let pod = identity::make(&Case::new(1).with(with_claims).set, &fixtures::template("app:1", "web"), "r", 0);
    let volumes = pod.spec.unwrap().volumes.unwrap();
    let claim = volumes[0].persistent_volume_claim.as_ref().unwrap();
    assert_eq!((volumes[0].name.as_str(), claim.claim_name.as_str()), ("data", "data-web-0"));
}

#[test]
fn a_pod_is_not_made_while_its_claim_is_being_deleted() {
    let case = Case::new(1).with(with_claims).claim(0, |claim| *claim = deleting(claim.clone()));
    case.check(expect![[r#"
        event Warning FailedCreate: Create Pod web-0 in StatefulSet web failed error: pvc data-web-0 is being deleted
    "#]]);
}

#[test]
fn a_missing_claim_of_a_pending_pod_is_made_again() {
    Case::new(1).with(with_claims).pod(0, |pod| pod).check(expect![[r#"
        create PersistentVolumeClaim default/data-web-0
    "#]]);
}

#[test]
fn claims_that_go_with_the_set_are_owned_by_it() {
    Case::new(1).with(|set| retention(set, "Delete", "Retain")).ready(0..1).claim(0, |_| {}).check(expect![[r#"
        patch PersistentVolumeClaim default/data-web-0 {"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","blockOwnerDeletion":true,"controller":true,"kind":"StatefulSet","name":"web","uid":"stateful-web"}],"resourceVersion":"1","uid":"claim-0"}}
    "#]]);
}

#[test]
fn claims_that_go_with_scaling_are_owned_by_the_pod_that_goes() {
    let case = Case::new(1).with(|set| retention(set, "Delete", "Delete")).ready(0..2);
    let owned = |claim: &mut PersistentVolumeClaim| {
        claim.metadata.owner_references = Some(vec![controller_ref(&fixtures::stateful_set("web", 1))]);
    };
    case.claim(0, owned).claim(1, owned).check(expect![[r#"
        patch PersistentVolumeClaim default/data-web-1 {"metadata":{"ownerReferences":[{"apiVersion":"v1","blockOwnerDeletion":true,"controller":true,"kind":"Pod","name":"web-1","uid":"pod-1"}],"resourceVersion":"2","uid":"claim-1"}}
        delete Pod default/web-1
    "#]]);
}

#[test]
fn claims_that_are_kept_lose_the_owners_that_an_earlier_policy_gave_them() {
    let owned = |claim: &mut PersistentVolumeClaim| {
        claim.metadata.owner_references = Some(vec![controller_ref(&fixtures::stateful_set("web", 1))]);
    };
    Case::new(1).with(with_claims).ready(0..1).claim(0, owned).check(expect![[r#"
        patch PersistentVolumeClaim default/data-web-0 {"metadata":{"ownerReferences":[],"resourceVersion":"1","uid":"claim-0"}}
    "#]]);
}

#[test]
fn a_claim_that_still_goes_with_an_earlier_pod_is_waited_for() {
    let earlier = |claim: &mut PersistentVolumeClaim| {
        let mut pod = fixtures::pod("web-0", "web");
        pod.metadata.uid = Some("earlier".into());
        claim.metadata.owner_references = Some(vec![controller_ref(&pod)]);
    };
    Case::new(1).with(|set| retention(set, "Retain", "Delete")).claim(0, earlier).check(expect![""]);
}

#[test]
fn a_claim_that_somebody_else_manages_is_left_alone() {
    let other = |claim: &mut PersistentVolumeClaim| {
        claim.metadata.owner_references = Some(vec![controller_ref(&fixtures::replica_set("other", 1))]);
    };
    Case::new(1).with(|set| retention(set, "Delete", "Delete")).ready(0..1).claim(0, other).check(expect![""]);
}

#[test]
fn a_pod_that_lost_the_label_of_its_name_gets_it_back() {
    let strip = |mut pod: Pod| {
        pod.metadata.labels.as_mut().unwrap().remove("statefulset.kubernetes.io/pod-name");
        ready(pod, minutes_ago(9))
    };
    Case::new(1).pod(0, strip).check(expect![[r#"
        update Pod default/web-0 metadata.labels.statefulset.kubernetes.io/pod-name=web-0
        event Normal SuccessfulUpdate: Update Pod web-0 in StatefulSet web successful
    "#]]);
}

#[test]
fn a_set_that_is_being_deleted_makes_and_ends_nothing() {
    Case::new(3).with(|set| *set = deleting(set.clone())).ready(0..1).check(expect![""]);
}

#[test]
fn the_end_of_a_claim_asks_for_the_set_of_its_name() {
    let objects = Objects::new(&StatefulSetController.watches())
        .with(&fixtures::stateful_set("web", 1))
        .with(&fixtures::stateful_set("b-web", 1));
    let metadata = fixtures::meta("default", "data-web-0", "claim");
    let claim = PersistentVolumeClaim { metadata, ..PersistentVolumeClaim::default() };
    let objects = objects.with(&claim);
    let old = objects.get(&PersistentVolumeClaim::gvr(), &claim.key());
    let keys = sets_that_wait_for_the_end_of_a_claim(&Delta { old, new: None }, &View::fixed(&objects));
    assert_eq!(keys, [Key::new("default", "web")]);
}
