use super::*;
use crate::fixtures::{self, expect_plan, minutes_ago, now};
use expect_test::{Expect, expect};
use k8s_openapi::{
    api::core::v1::{ContainerPort, ServicePort},
    apimachinery::pkg::util::intstr::IntOrString,
};
use orch_runtime::testing::Objects;
use orch_store::informer::Delta;

fn service() -> Service {
    Service {
        metadata: fixtures::meta("default", "web", "service-web"),
        spec: Some(ServiceSpec {
            cluster_ip: Some("10.96.0.7".into()),
            selector: Some(fixtures::labels(&[("app", "web")])),
            ports: Some(vec![ServicePort {
                name: Some("http".into()),
                port: 80,
                target_port: Some(IntOrString::Int(8080)),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn with(service: &Service, pods: &[Pod]) -> Objects {
    let mut objects = Objects::new(&EndpointSliceController::default().watches()).with(service).with(&node("n1", ""));
    pods.iter().for_each(|pod| objects.insert(pod));
    objects
}

fn plan(objects: &Objects) -> Plan {
    let controller = EndpointSliceController::default();
    let world = controller.observe(&service().key(), &View::fixed(objects)).unwrap();
    controller.plan(&world, now())
}

/// The slices that there are once the plan was performed, a line each.
#[track_caller]
fn check(service: &Service, pods: &[Pod], expect: Expect) {
    let mut objects = with(service, pods);
    objects.apply(&plan(&objects), now());
    assert_eq!(plan(&objects).to_string(), "", "the second plan is empty");
    expect.assert_eq(&slices(&objects));
}

fn slices(objects: &Objects) -> String {
    let stored = objects.list(&EndpointSlice::gvr(), "");
    stored.iter().map(|s| describe(&s.decode().unwrap())).collect()
}

fn describe(slice: &EndpointSlice) -> String {
    let ports: Vec<String> = slice.ports.iter().flatten().map(|p| p.port.unwrap().to_string()).collect();
    let mut out = format!("{} {} ports {}\n", slice.address_type, labels(slice), ports.join(","));
    for endpoint in slice.endpoints.iter().flatten() {
        let conditions = endpoint.conditions.clone().unwrap();
        let flag = |set: Option<bool>, name: &str| if set == Some(true) { format!(" {name}") } else { String::new() };
        out += &format!(
            "  {}{}{}{}{}\n",
            endpoint.addresses.join(","),
            endpoint.hostname.as_ref().map(|h| format!(" {h}")).unwrap_or_default(),
            flag(conditions.ready, "ready"),
            flag(conditions.serving, "serving"),
            flag(conditions.terminating, "terminating"),
        );
    }
    out
}

fn labels(slice: &EndpointSlice) -> String {
    slice.metadata.labels.iter().flatten().map(|(k, v)| format!("{k}={v} ")).collect::<String>().trim().to_owned()
}

fn pod(name: &str, ip: &str) -> Pod {
    fixtures::with_ip(fixtures::ready(fixtures::pod(name, "web"), minutes_ago(5)), ip)
}

fn many(range: std::ops::Range<usize>) -> Vec<Pod> {
    range.map(|i| pod(&format!("p{i:03}"), &format!("10.0.{}.{}", i / 250, i % 250 + 1))).collect()
}

#[test]
fn a_service_without_pods_has_an_empty_slice() {
    check(
        &service(),
        &[],
        expect![[r#"
        IPv4 endpointslice.kubernetes.io/managed-by=endpointslice-controller.k8s.io kubernetes.io/service-name=web ports 
    "#]],
    );
}

#[test]
fn pods_are_told_as_ready_serving_and_terminating() {
    let unready = fixtures::with_ip(fixtures::on_node(fixtures::pod("b", "web"), "n1"), "10.0.0.2");
    let ending = fixtures::deleting(pod("c", "10.0.0.3"));
    let without_address = fixtures::pod("d", "web");
    let finished = fixtures::phase(pod("e", "10.0.0.5"), "Succeeded");
    check(
        &service(),
        &[pod("a", "10.0.0.1"), unready, ending, without_address, finished],
        expect![[r#"
        IPv4 endpointslice.kubernetes.io/managed-by=endpointslice-controller.k8s.io kubernetes.io/service-name=web ports 8080
          10.0.0.1 ready serving
          10.0.0.2
          10.0.0.3 serving terminating
    "#]],
    );
}

#[test]
fn unready_addresses_are_ready_if_the_service_publishes_them() {
    let mut service = service();
    service.spec.as_mut().unwrap().publish_not_ready_addresses = Some(true);
    let unready = fixtures::with_ip(fixtures::on_node(fixtures::pod("b", "web"), "n1"), "10.0.0.2");
    check(
        &service,
        &[unready],
        expect![[r#"
        IPv4 endpointslice.kubernetes.io/managed-by=endpointslice-controller.k8s.io kubernetes.io/service-name=web ports 8080
          10.0.0.2 ready
    "#]],
    );
}

#[test]
fn a_headless_service_says_so_and_names_hosts() {
    let mut service = service();
    service.spec.as_mut().unwrap().cluster_ip = Some("None".into());
    let mut named = pod("a", "10.0.0.1");
    named.spec.as_mut().unwrap().hostname = Some("first".into());
    named.spec.as_mut().unwrap().subdomain = Some("web".into());
    check(
        &service,
        &[named],
        expect![[r#"
        IPv4 endpointslice.kubernetes.io/managed-by=endpointslice-controller.k8s.io kubernetes.io/service-name=web service.kubernetes.io/headless= ports 8080
          10.0.0.1 first ready serving
    "#]],
    );
}

#[test]
fn a_named_port_may_have_another_number_in_another_pod() {
    let mut service = service();
    service.spec.as_mut().unwrap().ports.as_mut().unwrap()[0].target_port = Some(IntOrString::String("web".into()));
    let on = |mut pod: Pod, port: i32| {
        let port = ContainerPort { name: Some("web".into()), container_port: port, ..ContainerPort::default() };
        pod.spec.as_mut().unwrap().containers[0].ports = Some(vec![port]);
        pod
    };
    check(
        &service,
        &[on(pod("a", "10.0.0.1"), 8080), on(pod("b", "10.0.0.2"), 9090)],
        expect![[r#"
        IPv4 endpointslice.kubernetes.io/managed-by=endpointslice-controller.k8s.io kubernetes.io/service-name=web ports 8080
          10.0.0.1 ready serving
        IPv4 endpointslice.kubernetes.io/managed-by=endpointslice-controller.k8s.io kubernetes.io/service-name=web ports 9090
          10.0.0.2 ready serving
    "#]],
    );
}

#[test]
fn two_families_have_slices_of_their_own() {
    let mut service = service();
    service.spec.as_mut().unwrap().ip_families = Some(vec!["IPv4".into(), "IPv6".into()]);
    let mut both = pod("a", "10.0.0.1");
    let ips = both.status.as_mut().unwrap().pod_ips.as_mut().unwrap();
    ips.push(k8s_openapi::api::core::v1::PodIP { ip: "fd00::1".into() });
    check(
        &service,
        &[both],
        expect![[r#"
        IPv4 endpointslice.kubernetes.io/managed-by=endpointslice-controller.k8s.io kubernetes.io/service-name=web ports 8080
          10.0.0.1 ready serving
        IPv6 endpointslice.kubernetes.io/managed-by=endpointslice-controller.k8s.io kubernetes.io/service-name=web ports 8080
          fd00::1 ready serving
    "#]],
    );
}

#[test]
fn slices_hold_a_hundred_and_change_little() {
    let mut objects = with(&service(), &many(0..150));
    objects.apply(&plan(&objects), now());
    let sizes = |objects: &Objects| -> Vec<usize> {
        let stored = objects.list(&EndpointSlice::gvr(), "");
        stored.iter().map(|s| s.decode::<EndpointSlice>().unwrap().endpoints.clone().unwrap().len()).collect()
    };
    assert_eq!(sizes(&objects), [100, 50]);
    // One more pod goes where there is room; the full slice is not touched.
    many(150..151).iter().for_each(|pod| objects.insert(pod));
    let next = plan(&objects);
    assert_eq!(next.actions.len(), 1);
    objects.apply(&next, now());
    assert_eq!(sizes(&objects), [100, 51]);
    // A pod that leaves the full slice makes room, which only a change of that slice fills.
    objects.remove::<Pod>(&Key::new("default", "p000"));
    let next = plan(&objects);
    assert_eq!(next.actions.len(), 1);
    objects.apply(&next, now());
    assert_eq!(sizes(&objects), [99, 51]);
}

#[test]
fn a_slice_of_other_ports_is_reused() {
    let mut objects = with(&service(), &[pod("a", "10.0.0.1")]);
    objects.apply(&plan(&objects), now());
    let mut changed = service();
    changed.spec.as_mut().unwrap().ports.as_mut().unwrap()[0].target_port = Some(IntOrString::Int(9090));
    objects.insert(&changed);
    expect_plan(
        &plan(&objects),
        &expect![[r#"
            update EndpointSlice default/web-3 ports[http].port=9090
        "#]],
    );
}

#[test]
fn a_service_without_a_selector_is_left_to_its_user() {
    for selector in [None, Some(Default::default())] {
        let mut service = service();
        service.spec.as_mut().unwrap().selector = selector;
        let objects = with(&service, &[]);
        assert!(EndpointSliceController::default().observe(&service.key(), &View::fixed(&objects)).is_none());
    }
}

#[test]
fn a_pod_asks_for_the_services_that_select_it() {
    let objects = with(&service(), &[pod("a", "10.0.0.1")]);
    let stored = objects.get(&Pod::gvr(), &Key::new("default", "a"));
    let delta = Delta { old: None, new: stored };
    assert_eq!(services_of_pod(&delta, &View::fixed(&objects)), [service().key()]);
    let unchanged = Delta { old: delta.new.clone(), ..delta };
    assert_eq!(services_of_pod(&unchanged, &View::fixed(&objects)), []);
}

#[test]
fn pods_of_a_node_that_is_gone_are_left_out_unless_everything_is_published() {
    let mut objects = with(&service(), &[pod("a", "10.0.0.1"), fixtures::on_node(pod("b", "10.0.0.2"), "n2")]);
    let node_delta = Delta { old: objects.get(&Node::gvr(), &Key::cluster("n1")), new: None };
    assert_eq!(wakes::services_of_node(&node_delta, &View::fixed(&objects)), [service().key()]);
    let first = plan(&objects);
    expect_plan(
        &first,
        &expect![[r#"
        event Warning FailedToUpdateEndpointSlices: Error updating Endpoint Slices for Service default/web: skipping Pod b for Service default/web: Node n2 Not Found
        create EndpointSlice default/web-*
    "#]],
    );
    objects.apply(&first, now());
    let addresses = |objects: &Objects| slices(objects).lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(addresses(&objects), ["  10.0.0.1 ready serving"]);
    objects.remove::<Node>(&Key::cluster("n1"));
    let both = plan(&objects);
    assert!(
        both.to_string().contains("[skipping Pod a for Service default/web: Node n1 Not Found, skipping Pod b for ")
    );
    objects.apply(&both, now());
    assert_eq!(addresses(&objects), [""; 0]);
    let mut published = service();
    published.spec.as_mut().unwrap().publish_not_ready_addresses = Some(true);
    objects.insert(&published);
    objects.apply(&plan(&objects), now());
    assert_eq!(addresses(&objects), ["  10.0.0.1 ready serving", "  10.0.0.2 ready serving"]);
}

#[test]
fn slices_of_an_earlier_service_of_the_name_go_once_others_are_there() {
    let mut objects = with(&service(), &[pod("a", "10.0.0.1")]);
    objects.apply(&plan(&objects), now());
    let mut again = service();
    again.metadata.uid = Some("service-web-2".into());
    objects.insert(&again);
    let replacing = plan(&objects);
    expect_plan(
        &replacing,
        &expect![[r#"
            create EndpointSlice default/web-*
            delete EndpointSlice default/web-3
        "#]],
    );
    objects.apply(&replacing, now());
    assert!(plan(&objects).is_empty());
}

fn node(name: &str, zone: &str) -> Node {
    let status = serde_json::json!({"allocatable": {"cpu": "4"}, "conditions": [{"type": "Ready", "status": "True"}]});
    let node = Node {
        metadata: fixtures::meta("", name, ""),
        status: serde_json::from_value(status).unwrap(),
        ..Node::default()
    };
    fixtures::labelled(node, &[(ZONE, zone)])
}

#[test]
fn zones_get_endpoints_by_what_they_have_where_the_service_asks_for_it_and_that_is_told() {
    let hinted = fixtures::annotated(service(), "service.kubernetes.io/topology-mode", "Auto");
    let on = |name: &str, ip: &str, node: &str| fixtures::on_node(pod(name, ip), node);
    let pods =
        [on("a", "10.0.0.1", "n1"), on("b", "10.0.0.2", "n1"), on("c", "10.0.0.3", "n1"), on("d", "10.0.0.4", "n2")];
    let mut objects = with(&hinted, &pods).with(&node("n1", "east")).with(&node("n2", "west"));
    let first = plan(&objects);
    expect_plan(
        &first,
        &expect![[r#"
        event Normal TopologyAwareHintsEnabled: Topology Aware Hints has been enabled, addressType: IPv4
        create EndpointSlice default/web-*
    "#]],
    );
    objects.apply(&first, now());
    let hints = |objects: &Objects| -> Vec<String> {
        let slice: Arc<EndpointSlice> = objects.list(&EndpointSlice::gvr(), "")[0].decode().unwrap();
        let zones =
            |e: &k8s_openapi::api::discovery::v1::Endpoint| Some(e.hints.as_ref()?.for_zones.as_ref()?[0].name.clone());
        slice.endpoints.iter().flatten().filter_map(zones).collect()
    };
    let mut found = hints(&objects);
    found.sort();
    assert_eq!(found, ["east", "east", "west", "west"]);
    assert!(plan(&objects).is_empty());
    objects.insert(&node("n2", ""));
    let second = plan(&objects);
    assert!(
        second.to_string().contains("event Warning TopologyAwareHintsDisabled: Insufficient Node information"),
        "{second}"
    );
    objects.apply(&second, now());
    assert!(hints(&objects).is_empty());
}

/// What is told of a service, whose earlier state has been looked at, on nodes in these zones.
fn told(earlier: Option<&Service>, service: &Service, zones: &[&str]) -> Vec<String> {
    let (controller, key) = (EndpointSliceController::default(), service.key());
    let mut objects = with(service, &[pod("a", "10.0.0.1"), pod("b", "10.0.0.2")]);
    for (number, zone) in zones.iter().enumerate() {
        objects.insert(&node(&format!("n{}", number + 1), zone));
    }
    for looked in earlier.into_iter().chain([service]) {
        objects.insert(looked);
        let world = controller.observe(&key, &View::fixed(&objects)).unwrap();
        let plan = controller.plan(&world, now());
        if looked == service {
            return plan.to_string().lines().filter(|line| line.starts_with("event")).map(str::to_owned).collect();
        }
        objects.apply(&plan, now());
        controller.remember(&world, now(), None);
    }
    Vec::new()
}

#[test]
fn why_there_are_no_hints_is_told_each_time_and_that_they_end_once() {
    let of = |mode: &str| fixtures::annotated(service(), "service.kubernetes.io/topology-mode", mode);
    let too_few = "event Warning TopologyAwareHintsDisabled: Insufficient number of endpoints (2 endpoints, 3 zones), addressType: IPv4";
    assert_eq!(told(None, &of("Auto"), &["a", "b", "c"]), [too_few]);
    let labelled = fixtures::labelled(of("Auto"), &[("a", "b")]);
    assert_eq!(told(Some(&labelled), &of("Auto"), &["a", "b", "c"]), [too_few]);
    let ended = "event Warning TopologyAwareHintsDisabled: Topology Aware Hints has been disabled, addressType: IPv4";
    assert_eq!(told(Some(&of("Auto")), &service(), &["a", "b"]), [ended]);
    assert_eq!(told(Some(&of("Auto")), &service(), &["a", "b", "c"]), [""; 0]);
    assert_eq!(told(Some(&of("Disabled")), &service(), &["a", "b"]), [""; 0]);
}

#[test]
fn of_both_annotations_that_ask_for_hints_the_old_one_wins() {
    let hinted = fixtures::annotated(service(), "service.kubernetes.io/topology-mode", "Auto");
    let not = fixtures::annotated(hinted.clone(), "service.kubernetes.io/topology-aware-hints", "Disabled");
    let all = |service: &Service| hints::are_wanted(service.metadata.annotations.as_ref());
    assert_eq!((all(&hinted), all(&not)), (true, false));
}

#[test]
fn slices_tell_since_when_a_change_was_due() {
    let (controller, key) = (EndpointSliceController::default(), service().key());
    let pod = |number: u8| {
        let pod = fixtures::ready(fixtures::pod(&format!("web-{number}"), "web"), minutes_ago(1));
        fixtures::with_ip(pod, &format!("10.0.0.{number}"))
    };
    let mut objects = with(&service(), &[pod(1)]);
    let trigger = |objects: &mut Objects| {
        let world = controller.observe(&key, &View::fixed(objects)).unwrap();
        objects.apply(&controller.plan(&world, now()), now());
        controller.remember(&world, now(), None);
        let made: Arc<EndpointSlice> = objects.list(&EndpointSlice::gvr(), "")[0].decode().unwrap();
        made.metadata.annotations.clone().and_then(|all| all.get(crate::common::trigger_time::TRIGGER_TIME).cloned())
    };
    assert_eq!(trigger(&mut objects), Some(minutes_ago(120).to_string()));
    objects.insert(&pod(2));
    assert_eq!(trigger(&mut objects), Some(minutes_ago(1).to_string()));
    objects.remove::<Pod>(&pod(1).key());
    assert_eq!(trigger(&mut objects), None);
}
