use super::*;
use crate::fixtures::{self, expect_plan, minutes_ago, now};
use expect_test::{Expect, expect};
use k8s_openapi::{
    api::core::v1::{ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use orch_runtime::testing::Objects;

fn service() -> Service {
    let port = ServicePort { port: 80, target_port: Some(IntOrString::Int(8080)), ..ServicePort::default() };
    let spec = ServiceSpec {
        cluster_ip: Some("10.96.0.1".into()),
        selector: Some(fixtures::labels(&[("app", "web")])),
        ports: Some(vec![port]),
        ..ServiceSpec::default()
    };
    Service { metadata: fixtures::meta("default", "web", "service"), spec: Some(spec), status: None }
}

fn pod(number: u8) -> Pod {
    let pod = fixtures::ready(fixtures::pod(&format!("web-{number}"), "web"), minutes_ago(1));
    fixtures::with_ip(pod, &format!("10.0.0.{number}"))
}

fn unready(pod: Pod) -> Pod {
    let mut pod = pod;
    pod.status.as_mut().unwrap().conditions = None;
    pod
}

fn objects(service: Option<&Service>, pods: &[Pod]) -> Objects {
    let mut objects = Objects::new(&EndpointsController::default().watches());
    service.iter().for_each(|service| objects.insert(*service));
    pods.iter().for_each(|pod| objects.insert(pod));
    objects
}

#[track_caller]
fn check(mut objects: Objects, expect: Expect) {
    let key = Key::new("default", "web");
    let world = EndpointsController::default().observe(&key, &View::fixed(&objects)).unwrap();
    let plan = EndpointsController::default().plan(&world, now());
    objects.apply(&plan, now());
    let made = objects.typed::<Endpoints>(&key);
    let shown = serde_json::to_string(&made.as_ref().and_then(|e| e.subsets.clone())).unwrap();
    expect.assert_eq(&format!("{plan}{shown}"));
    if let Some(world) = EndpointsController::default().observe(&key, &View::fixed(&objects)) {
        expect_plan(&EndpointsController::default().plan(&world, now()), &expect![[""]]);
    }
}

#[test]
fn ready_pods_and_others_stand_apart() {
    check(
        objects(Some(&service()), &[pod(2), pod(1), unready(pod(3))]),
        expect![[r#"
        create Endpoints default/web
        [{"addresses":[{"ip":"10.0.0.1","nodeName":"n1","targetRef":{"kind":"Pod","name":"web-1","namespace":"default","uid":"pods-web-1"}},{"ip":"10.0.0.2","nodeName":"n1","targetRef":{"kind":"Pod","name":"web-2","namespace":"default","uid":"pods-web-2"}}],"notReadyAddresses":[{"ip":"10.0.0.3","nodeName":"n1","targetRef":{"kind":"Pod","name":"web-3","namespace":"default","uid":"pods-web-3"}}],"ports":[{"port":8080,"protocol":"TCP"}]}]"#]],
    );
}

#[test]
fn pods_that_go_or_are_over_or_have_no_address_are_left_out() {
    let pods = [fixtures::deleting(pod(1)), fixtures::phase(pod(2), "Succeeded"), fixtures::pod("web-3", "web")];
    check(
        objects(Some(&service()), &pods),
        expect![[r#"
        create Endpoints default/web
        null"#]],
    );
}

#[test]
fn who_asks_for_addresses_that_are_not_ready_gets_them_as_ready() {
    let mut service = service();
    service.spec.as_mut().unwrap().publish_not_ready_addresses = Some(true);
    check(
        objects(Some(&service), &[unready(pod(1)), fixtures::deleting(pod(2))]),
        expect![[r#"
        create Endpoints default/web
        [{"addresses":[{"ip":"10.0.0.1","nodeName":"n1","targetRef":{"kind":"Pod","name":"web-1","namespace":"default","uid":"pods-web-1"}},{"ip":"10.0.0.2","nodeName":"n1","targetRef":{"kind":"Pod","name":"web-2","namespace":"default","uid":"pods-web-2"}}],"ports":[{"port":8080,"protocol":"TCP"}]}]"#]],
    );
}

#[test]
fn a_headless_service_is_labelled() {
    let mut service = service();
    let spec = service.spec.as_mut().unwrap();
    (spec.cluster_ip, spec.ports) = (Some("None".into()), None);
    let mut objects = objects(Some(&service), &[pod(1)]);
    let world = EndpointsController::default().observe(&service.key(), &View::fixed(&objects)).unwrap();
    objects.apply(&EndpointsController::default().plan(&world, now()), now());
    let made = objects.typed::<Endpoints>(&service.key()).unwrap();
    assert!(made.metadata.labels.as_ref().unwrap().contains_key(HEADLESS));
    assert_eq!(made.subsets.as_ref().unwrap()[0].ports, None);
}

#[test]
fn endpoints_of_a_service_that_is_gone_are_deleted_if_they_are_its_own() {
    let of = |labels: &[(&str, &str)]| Endpoints {
        metadata: fixtures::labelled(
            Endpoints { metadata: fixtures::meta("default", "web", ""), subsets: None },
            labels,
        )
        .metadata,
        subsets: None,
    };
    check(
        objects(None, &[]).with(&of(&[(MANAGED_BY, MANAGER)])),
        expect![[r#"
        delete Endpoints default/web
        null"#]],
    );
    let by_hand = objects(None, &[]).with(&of(&[]));
    assert!(EndpointsController::default().observe(&Key::new("default", "web"), &View::fixed(&by_hand)).is_none());
}

#[test]
fn too_many_addresses_are_cut_and_that_is_said() {
    let many: Vec<Pod> = (0..1100)
        .map(|i| {
            fixtures::with_ip(
                fixtures::ready(fixtures::pod(&format!("web-{i}"), "web"), minutes_ago(1)),
                &format!("10.0.{}.{}", i / 250, i % 250 + 1),
            )
        })
        .collect();
    let mut objects = objects(Some(&service()), &many);
    let world = EndpointsController::default().observe(&service().key(), &View::fixed(&objects)).unwrap();
    objects.apply(&EndpointsController::default().plan(&world, now()), now());
    let made = objects.typed::<Endpoints>(&service().key()).unwrap();
    assert_eq!(made.metadata.annotations.as_ref().unwrap()[OVER_CAPACITY], "truncated");
    assert_eq!(made.subsets.as_ref().unwrap()[0].addresses.as_ref().unwrap().len(), 1000);
}

/// Endpoints that somebody made by hand.
fn hand_made(annotations: &[(&str, &str)]) -> Endpoints {
    let mut endpoints = Endpoints { metadata: fixtures::meta("default", "web", "e"), ..Endpoints::default() };
    endpoints.metadata.annotations = Some(fixtures::labels(annotations)).filter(|all| !all.is_empty());
    endpoints
}

/// What is planned for endpoints whose service was there, selecting nothing, and has gone.
#[track_caller]
fn when_the_service_goes(endpoints: &Endpoints, expect: Expect) {
    let (controller, mut service) = (EndpointsController::default(), service());
    service.spec.as_mut().unwrap().selector = None;
    let mut objects = objects(Some(&service), &[]).with(endpoints);
    let world = controller.observe(&service.key(), &View::fixed(&objects)).unwrap();
    expect_plan(&controller.plan(&world, now()), &expect![[""]]);
    controller.remember(&world, now(), None);
    objects.remove::<Service>(&service.key());
    let world = controller.observe(&service.key(), &View::fixed(&objects));
    expect_plan(&world.map(|world| controller.plan(&world, now())).unwrap_or_default(), &expect);
}

#[test]
fn endpoints_made_by_hand_go_with_their_service_but_not_before_it_comes() {
    when_the_service_goes(
        &hand_made(&[]),
        expect![[r#"
        delete Endpoints default/web
    "#]],
    );
    when_the_service_goes(&hand_made(&[(LEADER, "{}")]), expect![[""]]);
    let alone = objects(None, &[]).with(&hand_made(&[]));
    assert!(EndpointsController::default().observe(&service().key(), &View::fixed(&alone)).is_none());
}

#[test]
fn a_service_whose_selector_is_empty_selects_nothing() {
    let mut service = service();
    service.spec.as_mut().unwrap().selector = Some(Default::default());
    let objects = objects(Some(&service), &[pod(1)]).with(&hand_made(&[]));
    let world = EndpointsController::default().observe(&service.key(), &View::fixed(&objects)).unwrap();
    expect_plan(&EndpointsController::default().plan(&world, now()), &expect![[""]]);
}

#[test]
fn endpoints_tell_since_when_a_change_was_due() {
    let (controller, key) = (EndpointsController::default(), service().key());
    let mut objects = objects(Some(&service()), &[pod(1)]);
    let trigger = |objects: &mut Objects| {
        let world = controller.observe(&key, &View::fixed(objects)).unwrap();
        objects.apply(&controller.plan(&world, now()), now());
        controller.remember(&world, now(), None);
        let made = objects.typed::<Endpoints>(&key).unwrap();
        made.metadata.annotations.clone().and_then(|all| all.get(crate::common::trigger_time::TRIGGER_TIME).cloned())
    };
    // Of a service that is new, its creation; then when the pod became ready.
    assert_eq!(trigger(&mut objects), Some(minutes_ago(120).to_string()));
    objects.insert(&pod(2));
    assert_eq!(trigger(&mut objects), Some(minutes_ago(1).to_string()));
    objects.remove::<Pod>(&pod(1).key());
    assert_eq!(trigger(&mut objects), None);
}
