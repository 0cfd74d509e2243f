//! What the server writes into objects, and what it takes back.

use super::*;
use crate::validation::fixtures::kind;
use serde_json::json;

#[track_caller]
fn check_create(kind_name: &'static str, mut object: Value, pointer: &str, expected: Value) {
    prepare_create(&kind(kind_name), &mut object);
    assert_eq!(object.pointer(pointer).cloned().unwrap_or_default(), expected, "{object}");
}

/// Updates `old` to `new` and compares the generation.
#[track_caller]
fn check_generation(kind_name: &'static str, old: Value, mut new: Value, expected: i64) {
    let mut before = old;
    before["metadata"]["generation"] = json!(3);
    prepare_update(&kind(kind_name), &mut new, &before);
    assert_eq!(new.pointer("/metadata/generation"), Some(&json!(expected)));
}

#[test]
fn a_new_pod_is_pending_and_has_a_class() {
    let pod =
        json!({"status": {"phase": "Running"}, "spec": {"containers": [{"resources": {"requests": {"cpu": "1"}}}]}});
    check_create("Pod", pod.clone(), "/status", json!({"phase": "Pending", "qosClass": "Burstable"}));
    check_create("Pod", pod, "/metadata/generation", json!(1));
    let gated = json!({"spec": {"schedulingGates": [{"name": "g"}]}});
    check_create("Pod", gated, "/status/conditions/0/reason", json!("SchedulingGated"));
}

#[test]
fn status_of_a_client_is_dropped_but_for_nodes() {
    check_create("Deployment", json!({"status": {"replicas": 9}}), "/status", json!({}));
    check_create("Node", json!({"status": {"capacity": {"cpu": "1"}}}), "/status/capacity/cpu", json!("1"));
    check_create("Namespace", json!({"status": {"phase": "Terminating"}}), "/status/phase", json!("Active"));
    check_create("Namespace", json!({}), "/spec/finalizers", json!(["kubernetes"]));
    check_create(
        "ConfigMap",
        json!({"metadata": {"deletionTimestamp": "now"}}),
        "/metadata/deletionTimestamp",
        json!(null),
    );
}

#[test]
fn a_job_selects_its_pods_by_its_uid() {
    let job = json!({"metadata": {"name": "j", "uid": "u"}, "spec": {"template": {}}});
    check_create("Job", job.clone(), "/spec/selector/matchLabels", json!({"batch.kubernetes.io/controller-uid": "u"}));
    check_create("Job", job, "/spec/template/metadata/labels/job-name", json!("j"));
}

#[test]
fn label_keys_become_expressions() {
    let term = json!({"labelSelector": {}, "matchLabelKeys": ["v"], "mismatchLabelKeys": ["absent"]});
    let pod = json!({"metadata": {"labels": {"v": "1"}}, "spec": {"topologySpreadConstraints": [term]}});
    check_create(
        "Pod",
        pod,
        "/spec/topologySpreadConstraints/0/labelSelector/matchExpressions",
        json!([{"key": "v", "operator": "In", "values": ["1"]}]),
    );
}

#[test]
fn generation_counts_changes_of_what_is_wanted() {
    check_generation("Deployment", json!({"spec": {"replicas": 1}}), json!({"spec": {"replicas": 1}}), 3);
    check_generation("Deployment", json!({"spec": {"replicas": 1}}), json!({"spec": {"replicas": 2}}), 4);
    check_generation("Deployment", json!({}), json!({"metadata": {"annotations": {"a": "b"}}}), 4);
    check_generation("ReplicaSet", json!({}), json!({"metadata": {"annotations": {"a": "b"}}}), 3);
    check_generation("EndpointSlice", json!({}), json!({"endpoints": [{}]}), 4);
    check_generation("Widget", json!({}), json!({"data": 1}), 4);
    check_generation("Widget", json!({}), json!({"status": 1}), 3);
    check_generation("ConfigMap", json!({}), json!({"data": {"a": "b"}}), 3);
}

#[test]
fn an_update_keeps_status_and_what_the_server_wrote() {
    let old = json!({"metadata": {"uid": "u", "creationTimestamp": "t", "deletionTimestamp": "d"}, "status": {"a": 1}});
    let mut new = json!({"metadata": {"creationTimestamp": "other"}, "status": {"a": 2}});
    prepare_update(&kind("Deployment"), &mut new, &old);
    assert_eq!(new, old);
}

#[test]
fn an_update_of_the_status_keeps_everything_else() {
    let old = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"replicas": 1}, "status": {}});
    let mut new = json!({"metadata": {"labels": {"c": "d"}}, "spec": {"replicas": 2}, "status": {"replicas": 1}});
    prepare_status_update(&kind("Deployment"), &mut new, &old);
    assert_eq!(new, json!({"metadata": {"labels": {"a": "b"}}, "spec": {"replicas": 1}, "status": {"replicas": 1}}));
    let mut node = json!({"metadata": {"labels": {"c": "d"}}, "status": {}});
    prepare_status_update(&kind("Node"), &mut node, &old);
    assert_eq!(node.pointer("/metadata/labels"), Some(&json!({"c": "d"})));
}

#[test]
fn a_service_leaves_behind_what_its_new_type_cannot_have() {
    let old = json!({"spec": {"type": "NodePort", "externalTrafficPolicy": "Cluster", "ports": [{"port": 80, "nodePort": 30000}]}});
    let mut new = old.clone();
    new["spec"]["type"] = json!("ClusterIP");
    prepare_update(&kind("Service"), &mut new, &old);
    assert_eq!(new["spec"], json!({"type": "ClusterIP", "ports": [{"port": 80}]}));
}

#[test]
fn classes_of_pods_follow_their_requests_and_limits() {
    let class = |resources: Value| qos_class(&json!({"containers": [{"resources": resources}]}));
    let full = json!({"cpu": "1", "memory": "1Gi"});
    assert_eq!(class(json!({})), QosClass::BestEffort);
    assert_eq!(class(json!({"requests": {"cpu": "0"}})), QosClass::BestEffort);
    assert_eq!(class(json!({"requests": {"cpu": "1"}})), QosClass::Burstable);
    assert_eq!(class(json!({"requests": full, "limits": full})), QosClass::Guaranteed);
    assert_eq!(class(json!({"requests": {"cpu": "1000m", "memory": "1024Mi"}, "limits": full})), QosClass::Guaranteed);
    assert_eq!(class(json!({"limits": {"cpu": "1"}, "requests": {"cpu": "1"}})), QosClass::Burstable);
}

#[test]
fn only_a_pod_that_runs_has_grace() {
    let pod = |node: &str, phase: &str| json!({"spec": {"nodeName": node, "terminationGracePeriodSeconds": 30}, "status": {"phase": phase}});
    for (object, requested, expected) in [
        (pod("n", "Running"), None, 30),
        (pod("n", "Running"), Some(5), 5),
        (pod("n", "Running"), Some(-5), 1),
        (pod("", "Pending"), None, 0),
        (pod("n", "Succeeded"), Some(9), 0),
    ] {
        assert_eq!(graceful_delete(&kind("Pod"), &object, requested), Some(expected));
    }
    assert_eq!(graceful_delete(&kind("Service"), &json!({}), Some(3)), None);
}

#[test]
fn kinds_differ_in_how_they_are_deleted_and_written() {
    assert_eq!(default_propagation(&kind("Job")), Some(Propagation::Orphan));
    assert_eq!(default_propagation(&kind("Deployment")), Some(Propagation::Background));
    assert_eq!(default_propagation(&kind("Event")), None);
    assert!(allows_unconditional_update(&kind("ConfigMap")) && !allows_unconditional_update(&kind("Lease")));
    assert!(!allows_unconditional_update(&kind("Widget")));
    assert!(allows_create_on_update(&kind("Lease")) && !allows_create_on_update(&kind("Pod")));
}

#[test]
fn a_writer_is_warned_of_what_it_may_not_have_meant() {
    let warned = |kind_name: &'static str, object: Value| warnings(&kind(kind_name), &object, None);
    let container = json!({"name": "c", "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}],
        "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 80, "protocol": "TCP"}]});
    let pod = json!({"metadata": {"name": "a"}, "spec": {"terminationGracePeriodSeconds": -1, "containers": [container],
        "nodeSelector": {"beta.kubernetes.io/os": "linux"}}});
    assert_eq!(
        warned("Pod", pod),
        [
            "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
            "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply",
            "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
            "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
        ]
    );
    let template =
        json!({"metadata": {"name": "a"}, "spec": {"template": {"spec": {"volumes": [{"name": "v", "gitRepo": {}}]}}}});
    assert_eq!(
        warned("Deployment", template),
        ["spec.template.spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+"]
    );
    assert_eq!(
        warned("Service", json!({"spec": {"type": "ClusterIP", "externalName": "x"}})),
        ["spec.externalName is ignored when spec.type is not \"ExternalName\""]
    );
}

#[test]
fn the_server_counts_the_templates_of_a_daemon_set() {
    const COUNT: &str = "/metadata/annotations/deprecated.daemonset.template.generation";
    check_create("DaemonSet", json!({"spec": {"template": {}}}), COUNT, json!("1"));
    let mut old = json!({"spec": {"template": {"spec": {}}}, "metadata": {}});
    prepare_create(&kind("DaemonSet"), &mut old);
    let updated = |template: Value| {
        // What the client says of the count does not count.
        let mut new = json!({"spec": {"template": template}, "metadata": {"annotations": {"a": "b"}}});
        prepare_update(&kind("DaemonSet"), &mut new, &old);
        new.pointer(COUNT).cloned()
    };
    assert_eq!(updated(json!({"spec": {}})), Some(json!("1")));
    assert_eq!(updated(json!({"spec": {"hostNetwork": true}})), Some(json!("2")));
}
