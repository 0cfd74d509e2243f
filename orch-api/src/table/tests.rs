use super::*;
use crate::{
    Gvr, kinds,
    testing::{CREATED, Fixture, NamespaceFixture, NodeFixture, PodFixture, ServiceFixture, WorkloadFixture},
};
use jiff::ToSpan;
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{Namespace, Node, Pod, Service},
};
use std::borrow::Cow;

/// Five minutes after everything was created.
fn now() -> Timestamp {
    CREATED + 5.minutes()
}

/// The cells of an object, joined by ` | `; those of `-o wide` behind ` ‖ `.
fn check(resource: (&'static str, &'static str), object: impl serde::Serialize, expected: &str) {
    let kind = kinds::find(&Gvr::of(resource.0, "v1", resource.1)).unwrap();
    let object = serde_json::to_value(object).unwrap();
    let row = Printer::new(kind, IncludeObject::None).row(&object, now());
    let cells = row["cells"].as_array().unwrap().iter().zip(kind.columns.iter());
    let shown = |wide: bool| -> Vec<String> {
        cells.clone().filter(|(_, c)| (c.priority > 0) == wide).map(|(cell, _)| printed(cell)).collect()
    };
    let text = match shown(true) {
        wide if wide.is_empty() => shown(false).join(" | "),
        wide => format!("{} ‖ {}", shown(false).join(" | "), wide.join(" | ")),
    };
    assert_eq!(text, expected);
}

fn check_pod(pod: Pod, expected: &str) {
    check(("", "pods"), pod, &format!("{expected} | 5m ‖ <none> | <none> | <none> | <none>"));
}

fn web() -> Pod {
    Pod::test("web").container("a", "i:1").container("b", "i:2")
}

#[test]
fn the_status_of_a_pod_is_what_kubectl_shows() {
    check_pod(web().pending(), "web | 0/2 | Pending | 0");
    check_pod(web().running(), "web | 0/2 | Running | 0");
    check_pod(web().ready(), "web | 2/2 | Running | 0");
    check_pod(web().ready().waiting("b", "CrashLoopBackOff"), "web | 1/2 | CrashLoopBackOff | 0");
    check_pod(web().ready().exited("b", 1, 3), "web | 1/2 | Error | 3");
    check_pod(web().ready().exited("b", 0, 0), "web | 1/2 | Running | 0");
    check_pod(web().ready().condition("Ready", "False", "").exited("b", 0, 0), "web | 1/2 | NotReady | 0");
    check_pod(web().ready().deleting(60), "web | 2/2 | Terminating | 0");
    check_pod(web().failed().deleting(60), "web | 0/2 | Failed | 0");
    check_pod(web().condition("PodScheduled", "False", "SchedulingGated"), "web | 0/2 | SchedulingGated | 0");
    let mut evicted = web().failed();
    evicted.status.as_mut().unwrap().reason = Some("Evicted".into());
    check_pod(evicted, "web | 0/2 | Evicted | 0");
}

#[test]
fn init_containers_and_sidecars_show_in_the_status() {
    let pod = |init_statuses: Value| {
        json!({
            "metadata": {"name": "web", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {
                "containers": [{"name": "main"}],
                "initContainers": [{"name": "one"}, {"name": "side", "restartPolicy": "Always"}],
            },
            "status": {"phase": "Pending", "initContainerStatuses": init_statuses},
        })
    };
    let check = |statuses, expected: &str| {
        let expected = format!("web | {expected} | 5m ‖ <none> | <none> | <none> | <none>");
        self::check(("", "pods"), pod(statuses), &expected);
    };
    check(json!([{"name": "one", "restartCount": 0, "state": {"running": {}}}]), "0/2 | Init:0/2 | 0");
    check(
        json!([{"name": "one", "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"finishedAt": "2026-01-01T00:03:00Z"}}}]),
        "0/2 | Init:CrashLoopBackOff | 2 (2m ago)",
    );
    check(
        json!([{"name": "one", "restartCount": 0, "state": {"terminated": {"exitCode": 3}}}]),
        "0/2 | Init:ExitCode:3 | 0",
    );
    check(
        json!([
            {"name": "one", "restartCount": 1, "state": {"terminated": {"exitCode": 0}}},
            {"name": "side", "restartCount": 4, "started": true, "ready": true, "state": {"running": {}}},
        ]),
        "1/2 | Pending | 4",
    );
}

#[test]
fn wide_columns_name_node_address_and_gates() {
    let mut pod = web().on_node("n1").ip("10.0.0.1").ready().condition("Extra", "True", "");
    let gates = serde_json::from_value(json!([{"conditionType": "Extra"}, {"conditionType": "Other"}])).unwrap();
    pod.spec.as_mut().unwrap().readiness_gates = gates;
    check(("", "pods"), pod, "web | 2/2 | Running | 0 | 5m ‖ 10.0.0.1 | n1 | <none> | 1/2");
}

#[test]
fn workloads_show_counts_containers_and_selectors() {
    let deployment = Deployment::test("web")
        .replicas(3)
        .selecting([("app", "web"), ("tier", "front")])
        .template_container("a", "i:1")
        .template_container("b", "i:2")
        .settled(2);
    check(("apps", "deployments"), deployment, "web | 2/3 | 2 | 2 | 5m ‖ a,b | i:1,i:2 | app=web,tier=front");
    let set =
        ReplicaSet::test("web-1").replicas(3).selecting([("app", "web")]).template_container("a", "i:1").settled(1);
    check(("apps", "replicasets"), set, "web-1 | 3 | 1 | 1 | 5m ‖ a | i:1 | app=web");
    let revision = json!({"metadata": {"name": "r", "ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "controller": true}]}, "revision": 2});
    check(("apps", "controllerrevisions"), revision, "r | daemonset.apps/d | 2 | <unknown>");
}

#[test]
fn jobs_show_progress_and_duration() {
    let job = json!({
        "metadata": {"name": "j", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"completions": 3, "template": {"spec": {"containers": [{"name": "a", "image": "i"}]}}},
        "status": {"succeeded": 3, "startTime": "2026-01-01T00:00:05Z", "completionTime": "2026-01-01T00:01:05Z",
            "conditions": [{"type": "Complete", "status": "True"}]},
    });
    check(("batch", "jobs"), job, "j | Complete | 3/3 | 60s | 5m ‖ a | i | <none>");
    let cron = json!({"metadata": {"name": "c"}, "spec": {"schedule": "* * * * *", "suspend": false},
        "status": {"active": [{}], "lastScheduleTime": "2026-01-01T00:04:00Z"}});
    check(("batch", "cronjobs"), cron, "c | * * * * * | <none> | False | 1 | 60s | <unknown> ‖  |  | <none>");
}

#[test]
fn nodes_show_readiness_roles_and_system() {
    let mut node = Node::test("n1")
        .ready()
        .cordoned()
        .address("10.0.0.1")
        .labels([("node-role.kubernetes.io/worker", ""), ("node-role.kubernetes.io/control-plane", "")]);
    let info = json!({"kubeletVersion": "v1.37.0", "osImage": "Debian", "kernelVersion": "6.1", "architecture": "amd64",
        "bootID": "", "containerRuntimeVersion": "orch://1", "kubeProxyVersion": "", "machineID": "",
        "operatingSystem": "linux", "systemUUID": ""});
    node.status.as_mut().unwrap().node_info = serde_json::from_value(info).unwrap();
    check(
        ("", "nodes"),
        node,
        "n1 | Ready,SchedulingDisabled | control-plane,worker | 5m | v1.37.0 ‖ \
         10.0.0.1 | <none> | Debian | 6.1 (amd64) | orch://1",
    );
    check(
        ("", "nodes"),
        Node::test("n2"),
        "n2 | Unknown | <none> | 5m |  ‖ <none> | <none> | <unknown> | <unknown> | <unknown>",
    );
    check(("", "namespaces"), Namespace::test("a").terminating(), "a | Terminating | 5m");
}

#[test]
fn services_show_addresses_and_ports() {
    let service = Service::test("web").selecting([("app", "web")]).port(80, 8080).cluster_ip("10.96.0.1");
    check(("", "services"), service.clone(), "web | ClusterIP | 10.96.0.1 | <none> | 80/TCP | 5m ‖ app=web");
    let balanced = service.of_type("LoadBalancer");
    check(("", "services"), balanced, "web | LoadBalancer | 10.96.0.1 | <pending> | 80/TCP | 5m ‖ app=web");
    let slice = json!({"metadata": {"name": "s"}, "addressType": "IPv4", "ports": [{"port": 80}, {"name": "x"}],
        "endpoints": [{"addresses": ["a", "b"]}, {"addresses": ["c", "d"]}]});
    check(("discovery.k8s.io", "endpointslices"), slice, "s | IPv4 | 80,x | a,b,c + 1 more... | <unknown>");
    let endpoints = json!({"metadata": {"name": "e"}, "subsets": [
        {"addresses": [{"ip": "1.1.1.1"}, {"ip": "::1"}], "ports": [{"port": 80}]}]});
    check(("", "endpoints"), endpoints, "e | 1.1.1.1:80,[::1]:80 | <unknown>");
}

#[test]
fn events_of_both_groups_read_alike() {
    let core = json!({"metadata": {"name": "e"}, "type": "Normal", "reason": "Pulled", "message": "done ",
        "involvedObject": {"kind": "Pod", "name": "web"}, "source": {"component": "agent", "host": "n1"},
        "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:04:00Z", "count": 3});
    check(("", "events"), core, "60s | Normal | Pulled | pod/web | done ‖  | agent, n1 | 5m | 3 | e");
    let new = json!({"metadata": {"name": "e"}, "type": "Normal", "reason": "Pulled", "note": "done",
        "regarding": {"kind": "Pod", "name": "web"}, "reportingController": "agent", "reportingInstance": "n1",
        "eventTime": "2026-01-01T00:00:00.000000Z"});
    check(("events.k8s.io", "events"), new, "5m | Normal | Pulled | pod/web | done ‖  | agent, n1 | 5m | 1 | e");
}

#[test]
fn volumes_and_claims_show_capacity_and_modes() {
    let volume = json!({"metadata": {"name": "v"}, "spec": {"capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteMany", "ReadWriteOnce"], "claimRef": {"namespace": "a", "name": "c"},
        "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "fast", "volumeMode": "Block"},
        "status": {"phase": "Bound"}});
    check(
        ("", "persistentvolumes"),
        volume,
        "v | 1Gi | RWO,RWX | Delete | Bound | a/c | fast | <unset> |  | <unknown> ‖ Block",
    );
    let claim =
        json!({"metadata": {"name": "c"}, "spec": {"storageClassName": "fast"}, "status": {"phase": "Pending"}});
    check(("", "persistentvolumeclaims"), claim, "c | Pending |  |  |  | fast | <unset> | <unknown> ‖ <unset>");
}

#[test]
fn a_table_carries_what_was_asked_for() {
    let kind = kinds::find(&Gvr::of("", "v1", "pods")).unwrap();
    let pod = serde_json::to_value(web().succeeded()).unwrap();
    let table = |include| Printer::new(kind, include).table(std::slice::from_ref(&pod), json!({}), now());
    let metadata = table(IncludeObject::Metadata);
    assert_eq!(metadata["kind"], "Table");
    assert_eq!(metadata["columnDefinitions"][0]["format"], "name");
    assert_eq!(metadata["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(metadata["rows"][0]["conditions"][0]["type"], "Completed");
    assert_eq!(table(IncludeObject::None)["rows"][0]["object"], Value::Null);
    assert_eq!(table(IncludeObject::Object)["rows"][0]["object"], pod);
}

#[test]
fn columns_of_custom_kinds_take_the_type_they_declare() {
    let column = |kind: &'static str, path: &'static str| Column {
        name: "X".into(),
        kind: kind.into(),
        format: "".into(),
        priority: 0,
        description: "".into(),
        cell: Cell::Path(Cow::Borrowed(path)),
    };
    let mut kind = kinds::find(&Gvr::of("", "v1", "configmaps")).unwrap().clone();
    kind.columns = Cow::Owned(vec![
        column("integer", ".n"),
        column("number", ".n"),
        column("boolean", ".b"),
        column("date", ".at"),
        column("string", ".list[*]"),
        column("string", ".n"),
        column("string", ".missing"),
    ]);
    let object = json!({"n": 2, "b": true, "at": "2026-01-01T00:00:00Z", "list": ["a", "b"]});
    let row = Printer::new(&kind, IncludeObject::None).row(&object, now());
    assert_eq!(row["cells"], json!([2, 2.0, true, "5m", "a b", "2", null]));
}
