use super::*;
use crate::{
    common::{owner::controller_ref, time::plus_seconds},
    fixtures::{self, deleting, minutes_ago, now, phase, ready},
};
use expect_test::{Expect, expect};
use k8s_openapi::{
    api::{
        apps::v1::{DaemonSetUpdateStrategy, RollingUpdateDaemonSet},
        core::v1::{NodeSpec, Taint, Toleration},
    },
    apimachinery::pkg::{apis::meta::v1::Time, util::intstr::IntOrString},
};
use orch_runtime::testing::Objects;
use orch_store::informer::Delta;

/// What there is: a set, nodes, pods, revisions.
struct Case {
    controller: DaemonSetController,
    set: DaemonSet,
    objects: Objects,
}

impl Case {
    /// The set `log`, and so many nodes: `n0`, `n1`, …
    fn new(nodes: usize) -> Self {
        let controller = DaemonSetController::default();
        let objects = Objects::new(&controller.watches());
        (0..nodes).fold(Self { controller, set: fixtures::daemon_set("log"), objects }, |case, i| {
            case.node(&format!("n{i}"), |_| {})
        })
    }

    fn with(mut self, change: impl FnOnce(&mut DaemonSet)) -> Self {
        change(&mut self.set);
        self
    }

    fn node(mut self, name: &str, change: impl FnOnce(&mut Node)) -> Self {
        let mut node = Node { metadata: fixtures::meta("", name, ""), ..Node::default() };
        change(&mut node);
        self.objects.insert(&node);
        self
    }

    fn rolling(self, unavailable: i32, surge: i32) -> Self {
        self.with(|set| {
            set.spec.update_strategy = Some(DaemonSetUpdateStrategy {
                type_: Some("RollingUpdate".into()),
                rolling_update: Some(RollingUpdateDaemonSet {
                    max_unavailable: Some(IntOrString::Int(unavailable)),
                    max_surge: Some(IntOrString::Int(surge)),
                }),
            });
        })
    }

    /// The template that this image makes becomes the set's; the one before is in the history.
    fn updated_to(mut self, image: &str) -> Self {
        let before = self.revision();
        self.objects.insert(&before);
        self.set.spec.template = fixtures::template(image, "log");
        self
    }

    fn revision(&self) -> ControllerRevision {
        let view = View::fixed(&self.objects);
        let history = History::observe(&self.set, &self.set.spec.selector, &view);
        history.propose(&self.set, &self.set.spec.template, history::LABEL, None, &view).revision
    }

    /// A pod of the present template for a node, changed by the function.
    fn pod(mut self, name: &str, node: &str, change: impl FnOnce(Pod) -> Pod) -> Self {
        let hash = self.revision().metadata.labels.unwrap()[history::LABEL].clone();
        let mut pod = pods::make(&self.set, &hash);
        pods::send(&mut pod, node);
        pod.metadata.name = Some(name.into());
        pod.metadata.creation_timestamp = Some(Time(minutes_ago(60)));
        self.objects.insert(&change(pod));
        self
    }

    /// A ready pod of the present template.
    fn ready(self, name: &str, node: &str) -> Self {
        self.pod(name, node, |pod| ready(fixtures::on_node(pod, node), minutes_ago(9)))
    }

    fn plan(&mut self) -> Plan {
        let current = self.revision();
        if self.objects.get(&ControllerRevision::gvr(), &current.key()).is_none() {
            self.objects.insert(&current);
        }
        self.objects.insert(&self.set);
        let world = self.controller.observe(&self.set.key(), &View::fixed(&self.objects)).unwrap();
        self.controller.plan(&world, now())
    }

    /// The plan without its words about the status; a pod is shown with the node that it is for.
    #[track_caller]
    fn check(mut self, expect: Expect) {
        expect.assert_eq(&text(&self.plan()));
    }

    #[track_caller]
    fn check_status(mut self, expect: Expect) {
        let text = self.plan().to_string();
        let lines = text.lines().filter(|line| line.starts_with("status "));
        expect.assert_eq(&lines.map(|line| format!("{line}\n")).collect::<String>());
    }
}

fn text(plan: &Plan) -> String {
    let node = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields/0/values/0";
    let line = |action: &orch_runtime::Action| match action {
        orch_runtime::Action::Create { body, .. } => match body.pointer(node) {
            Some(node) => format!("{action} for {node}\n"),
            None => format!("{action}\n"),
        },
        _ => format!("{action}\n"),
    };
    let actions = plan.actions.iter().map(line).filter(|line| !line.starts_with("status "));
    let requeue = plan.requeue_after.map(|delay| format!("requeue after {delay:?}\n"));
    actions.chain(requeue).collect()
}

fn tainted(key: &'static str, effect: &'static str) -> impl Fn(&mut Node) {
    move |node| {
        let taint = Taint { key: key.into(), effect: effect.into(), ..Taint::default() };
        node.spec = Some(NodeSpec { taints: Some(vec![taint]), ..NodeSpec::default() });
    }
}

#[test]
fn every_node_gets_a_pod_after_the_revision_that_it_is_of() {
    let mut case = Case::new(2);
    case.objects.insert(&case.set);
    let world = case.controller.observe(&case.set.key(), &View::fixed(&case.objects)).unwrap();
    expect![[r#"
        create ControllerRevision default/log-7844f59bb5
        create Pod default/log-* for "n0"
        create Pod default/log-* for "n1"
    "#]]
    .assert_eq(&text(&case.controller.plan(&world, now())));
}

#[test]
fn on_many_nodes_pods_are_made_in_bursts() {
    let plan = Case::new(1200).plan();
    let made = plan.actions.iter().filter(|action| matches!(action, orch_runtime::Action::Create { .. })).count();
    assert_eq!(made, orch_runtime::executor::BURST);
}

#[test]
fn a_pod_tolerates_what_ails_its_node() {
    let mut set = fixtures::daemon_set("log");
    let spec = set.spec.template.spec.as_mut().unwrap();
    spec.host_network = Some(true);
    spec.tolerations = Some(vec![Toleration {
        key: Some("node.kubernetes.io/unreachable".into()),
        operator: Some("Exists".into()),
        effect: Some("NoExecute".into()),
        toleration_seconds: Some(5),
        ..Toleration::default()
    }]);
    let tolerations = pods::make(&set, "hash").spec.unwrap().tolerations.unwrap();
    let short = |t: &Toleration| {
        format!("{} {} {:?}", t.key.as_deref().unwrap(), t.effect.as_deref().unwrap(), t.toleration_seconds)
    };
    expect![[r#"
        node.kubernetes.io/unreachable NoExecute None
        node.kubernetes.io/not-ready NoExecute None
        node.kubernetes.io/disk-pressure NoSchedule None
        node.kubernetes.io/memory-pressure NoSchedule None
        node.kubernetes.io/pid-pressure NoSchedule None
        node.kubernetes.io/unschedulable NoSchedule None
        node.kubernetes.io/network-unavailable NoSchedule None
    "#]]
    .assert_eq(&tolerations.iter().map(|t| short(t) + "\n").collect::<String>());
}

#[test]
fn nodes_are_chosen_by_selector_and_affinity() {
    let labelled = |node: &mut Node| node.metadata.labels = Some(fixtures::labels(&[("disk", "ssd")]));
    let selecting = |set: &mut DaemonSet| {
        set.spec.template.spec.as_mut().unwrap().node_selector = Some(fixtures::labels(&[("disk", "ssd")]));
    };
    Case::new(1).node("fast", labelled).with(selecting).check(expect![[r#"
        create Pod default/log-* for "fast"
    "#]]);
    Case::new(1).with(selecting).ready("a", "n0").check(expect![[r#"
        delete Pod default/a
    "#]]);
}

#[test]
fn a_taint_keeps_new_pods_away_and_leaves_those_that_run() {
    let new = Case::new(0).node("n", tainted("example.com/x", "NoSchedule"));
    new.check(expect![""]);
    let running = Case::new(0).node("n", tainted("example.com/x", "NoSchedule")).ready("a", "n");
    running.check(expect![""]);
    let evicted = Case::new(0).node("n", tainted("example.com/x", "NoExecute")).ready("a", "n");
    evicted.check(expect![[r#"
        delete Pod default/a
    "#]]);
    let cordoned = Case::new(0).node("n", tainted("node.kubernetes.io/unschedulable", "NoSchedule"));
    cordoned.check(expect![[r#"
        create Pod default/log-* for "n"
    "#]]);
}

#[test]
fn the_network_of_the_node_comes_up_with_daemons_of_the_host() {
    let node = || Case::new(0).node("n", tainted("node.kubernetes.io/network-unavailable", "NoSchedule"));
    node().check(expect![""]);
    node().with(|set| set.spec.template.spec.as_mut().unwrap().host_network = Some(true)).check(expect![[r#"
        create Pod default/log-* for "n"
    "#]]);
}

#[test]
fn of_two_pods_on_a_node_the_oldest_that_is_bound_stays() {
    let young = |pod: Pod| {
        let mut pod = ready(fixtures::on_node(pod, "n0"), minutes_ago(9));
        pod.metadata.creation_timestamp = Some(Time(minutes_ago(10)));
        pod
    };
    Case::new(1).pod("young", "n0", young).pod("unbound", "n0", |pod| pod).ready("old", "n0").check(expect![[r#"
        delete Pod default/young
        delete Pod default/unbound
    "#]]);
}

#[test]
fn a_pod_that_is_being_deleted_is_waited_for() {
    Case::new(1).pod("a", "n0", |pod| deleting(fixtures::on_node(pod, "n0"))).check(expect![""]);
}

#[test]
fn a_pod_that_ended_and_waits_for_a_finalizer_is_none() {
    let over = |pod: Pod| deleting(phase(fixtures::on_node(pod, "n0"), "Failed"));
    Case::new(1).pod("a", "n0", over).check(expect![[r#"
        create Pod default/log-* for "n0"
    "#]]);
}

#[test]
fn pods_that_ended_are_cleared_away_and_told_of() {
    Case::new(1).pod("a", "n0", |pod| phase(fixtures::on_node(pod, "n0"), "Failed")).check(expect![[r#"
        event Warning FailedDaemonPod: Found failed daemon pod default/a on node n0, will try to kill it
        delete Pod default/a
    "#]]);
    Case::new(1).pod("a", "n0", |pod| phase(fixtures::on_node(pod, "n0"), "Succeeded")).check(expect![[r#"
        event Normal SucceededDaemonPod: Found succeeded daemon pod default/a on node n0, will try to delete it
        delete Pod default/a
    "#]]);
}

/// Tells the controller of a failed pod on `n0` that was made so many seconds ago.
fn fails(case: &Case, uid: &str, seconds_ago: i64) {
    let mut pod = phase(fixtures::on_node(pods::make(&case.set, "h"), "n0"), "Failed");
    pod.metadata.name = Some(uid.into());
    pod.metadata.uid = Some(uid.into());
    pod.metadata.creation_timestamp = Some(Time(plus_seconds(now(), -seconds_ago)));
    let objects = Objects::default().with(&pod);
    let new = objects.get(&Pod::gvr(), &pod.key());
    case.controller.failures.note(&Delta { old: None, new });
}

#[test]
fn the_next_pod_that_fails_on_a_node_is_left_for_longer() {
    let case = |before: i64| {
        let case = Case::new(1);
        (0..before).for_each(|i| fails(&case, &format!("earlier-{i}"), 100 - i));
        fails(&case, "last", 1);
        case.pod("last", "n0", |pod| {
            let mut pod = phase(fixtures::on_node(pod, "n0"), "Failed");
            pod.metadata.uid = Some("last".into());
            pod.metadata.creation_timestamp = Some(Time(plus_seconds(now(), -1)));
            pod
        })
    };
    case(0).check(expect![[r#"
        event Warning FailedDaemonPod: Found failed daemon pod default/last on node n0, will try to kill it
        delete Pod default/last
    "#]]);
    case(1).check(expect![[r#"
        event Warning FailedDaemonPod: Found failed daemon pod default/last on node n0, will try to kill it
        delete Pod default/last
    "#]]);
    case(2).check(expect![[r#"
        requeue after 1s
    "#]]);
    case(5).check(expect![[r#"
        requeue after 15s
    "#]]);
    case(50).check(expect![[r#"
        requeue after 899s
    "#]]);
}

#[test]
fn a_node_that_has_been_well_for_long_begins_anew() {
    let case = Case::new(1);
    fails(&case, "long ago", 3 * 3600);
    fails(&case, "again", 5);
    let case = case.pod("again", "n0", |pod| {
        let mut pod = phase(fixtures::on_node(pod, "n0"), "Failed");
        pod.metadata.uid = Some("again".into());
        pod
    });
    case.check(expect![[r#"
        event Warning FailedDaemonPod: Found failed daemon pod default/again on node n0, will try to kill it
        delete Pod default/again
    "#]]);
}

#[test]
fn pods_for_a_node_that_is_gone_are_deleted_unless_they_are_bound() {
    Case::new(0).pod("unbound", "gone", |pod| pod).ready("bound", "gone").check(expect![[r#"
        delete Pod default/unbound
    "#]]);
}

#[test]
fn an_update_deletes_as_many_old_pods_as_may_be_unavailable() {
    let case = || Case::new(3).ready("a", "n0").ready("b", "n1").ready("c", "n2").updated_to("app:2");
    case().rolling(1, 0).check(expect![[r#"
        delete Pod default/a
    "#]]);
    case().rolling(2, 0).check(expect![[r#"
        delete Pod default/a
        delete Pod default/b
    "#]]);
}

#[test]
fn an_update_replaces_what_is_not_available_first() {
    let case = Case::new(3).ready("a", "n0").ready("b", "n1").pod("c", "n2", |pod| fixtures::on_node(pod, "n2"));
    case.updated_to("app:2").rolling(1, 0).check(expect![[r#"
        delete Pod default/c
    "#]]);
}

#[test]
fn an_update_waits_for_the_pods_that_it_made() {
    let case = Case::new(2).ready("a", "n0").updated_to("app:2").rolling(1, 0);
    case.pod("b", "n1", |pod| fixtures::on_node(pod, "n1")).check(expect![""]);
}

#[test]
fn on_delete_leaves_the_update_to_the_user() {
    let on_delete = |set: &mut DaemonSet| {
        set.spec.update_strategy =
            Some(DaemonSetUpdateStrategy { type_: Some("OnDelete".into()), rolling_update: None });
    };
    Case::new(2).ready("a", "n0").updated_to("app:2").with(on_delete).check(expect![[r#"
        create Pod default/log-* for "n1"
    "#]]);
}

#[test]
fn a_surge_makes_the_new_pod_beside_the_old_one() {
    let case = || Case::new(2).ready("a", "n0").ready("b", "n1").updated_to("app:2").rolling(0, 1);
    case().check(expect![[r#"
        create Pod default/log-* for "n0"
    "#]]);
    case().pod("new", "n0", |pod| fixtures::on_node(pod, "n0")).check(expect![""]);
    case().ready("new", "n0").check(expect![[r#"
        delete Pod default/a
    "#]]);
}

#[test]
fn while_surging_an_old_pod_that_is_not_ready_goes_at_once() {
    let case = Case::new(1).pod("old", "n0", |pod| fixtures::on_node(pod, "n0")).updated_to("app:2").rolling(0, 1);
    case.pod("new", "n0", |pod| pod).check(expect![[r#"
        delete Pod default/old
    "#]]);
}

#[test]
fn a_surging_set_keeps_a_pod_where_it_should_not_run_until_another_serves() {
    let tainted = |case: Case| case.node("n0", tainted("example.com/x", "NoSchedule"));
    let case = || tainted(Case::new(2)).ready("old", "n0").updated_to("app:2").rolling(0, 1);
    case().pod("new", "n1", |pod| pod).check(expect![""]);
    case().ready("new", "n1").check(expect![[r#"
        delete Pod default/old
    "#]]);
}

#[test]
fn a_template_that_comes_back_makes_its_old_revision_the_newest() {
    let case = Case::new(1).ready("a", "n0").updated_to("app:2").updated_to("app:1");
    case.check(expect![[r#"
        update ControllerRevision default/log-7844f59bb5 revision=3
    "#]]);
}

#[test]
fn of_two_revisions_of_one_template_the_newer_stays_with_all_pods() {
    let mut case = Case::new(1).ready("a", "n0");
    let first = case.revision();
    case.objects.insert(&first);
    let mut second = first.clone();
    second.metadata.name = Some("log-second".into());
    second.metadata.uid = Some("second".into());
    second.metadata.labels.as_mut().unwrap().insert(history::LABEL.into(), "second".into());
    second.revision = Some(2);
    case.objects.insert(&second);
    case.check(expect![[r#"
        patch Pod default/a {"metadata":{"labels":{"controller-revision-hash":"second"}}}
        delete ControllerRevision default/log-7844f59bb5
    "#]]);
}

#[test]
fn revisions_beyond_the_limit_go_unless_a_pod_has_them() {
    let case = Case::new(1).with(|set| set.spec.revision_history_limit = Some(1)).ready("a", "n0");
    let on_delete = |set: &mut DaemonSet| {
        set.spec.update_strategy =
            Some(DaemonSetUpdateStrategy { type_: Some("OnDelete".into()), rolling_update: None });
    };
    case.updated_to("app:2").updated_to("app:3").with(on_delete).check(expect![[r#"
        delete ControllerRevision default/log-69f94f6bb6
    "#]]);
}

#[test]
fn the_status_counts_nodes() {
    let case = Case::new(3).node("not-for-it", tainted("example.com/x", "NoSchedule")).ready("stray", "not-for-it");
    let case = case.ready("a", "n0").updated_to("app:2").pod("b", "n1", |pod| fixtures::on_node(pod, "n1"));
    case.check_status(expect![[r#"
        status DaemonSet default/log currentNumberScheduled=2 desiredNumberScheduled=3 numberAvailable=1 numberMisscheduled=1 numberReady=1 numberUnavailable=2 observedGeneration=1 updatedNumberScheduled=1
    "#]]);
}

#[test]
fn a_pod_counts_as_available_after_a_while() {
    let case = Case::new(1).with(|set| set.spec.min_ready_seconds = Some(60));
    case.pod("a", "n0", |pod| ready(fixtures::on_node(pod, "n0"), now())).check(expect![[r#"
        requeue after 60s
    "#]]);
}

#[test]
fn orphans_are_adopted_and_strangers_released() {
    let orphan = |mut pod: Pod| {
        pod.metadata.owner_references = None;
        ready(fixtures::on_node(pod, "n0"), minutes_ago(9))
    };
    Case::new(1).pod("a", "n0", orphan).check(expect![[r#"
        patch Pod default/a {"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","blockOwnerDeletion":true,"controller":true,"kind":"DaemonSet","name":"log","uid":"daemon-log"}],"resourceVersion":"2","uid":"pods-a"}}
    "#]]);
    let stranger = |pod: Pod| fixtures::labelled(fixtures::on_node(pod, "n0"), &[("app", "other")]);
    Case::new(1).pod("a", "n0", stranger).check(expect![[r#"
        patch Pod default/a {"metadata":{"ownerReferences":[],"resourceVersion":"2","uid":"pods-a"}}
        create Pod default/log-* for "n0"
    "#]]);
}

#[test]
fn a_node_asks_for_the_sets_that_it_comes_to_be_one_for() {
    let mut case = Case::new(0).with(|set| {
        set.spec.template.spec.as_mut().unwrap().node_selector = Some(fixtures::labels(&[("disk", "ssd")]));
    });
    case.objects.insert(&case.set);
    let node = |labels: &[(&str, &str)]| {
        let node = Node { metadata: fixtures::meta("", "n", "n"), ..Node::default() };
        let objects = Objects::default().with(&fixtures::labelled(node, labels));
        objects.get(&Node::gvr(), &Key::cluster("n"))
    };
    let asked = |old: &[(&str, &str)], new: &[(&str, &str)]| {
        let delta = Delta { old: node(old), new: node(new) };
        placement::has_moved(&delta) && !placement::sets_that_come_or_go(&delta, &View::fixed(&case.objects)).is_empty()
    };
    assert!(asked(&[], &[("disk", "ssd")]));
    assert!(asked(&[("disk", "ssd")], &[]));
    assert!(!asked(&[], &[("zone", "a")]));
    assert!(!asked(&[("disk", "ssd")], &[("disk", "ssd")]));
}

#[test]
fn a_set_that_is_being_deleted_is_left_to_the_garbage_collector() {
    let mut case = Case::new(1).with(|set| *set = deleting(set.clone()));
    case.objects.insert(&case.set);
    assert!(case.controller.observe(&case.set.key(), &View::fixed(&case.objects)).is_none());
}

#[test]
fn the_owner_of_a_pod_is_its_set() {
    let set = fixtures::daemon_set("log");
    assert_eq!(pods::make(&set, "hash").metadata.owner_references, Some(vec![controller_ref(&set)]));
}
