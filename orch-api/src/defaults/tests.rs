//! What is filled, kind by kind. `check` also holds that filling twice is filling once.

use super::{apply, container::pull_policy};
use crate::validation::fixtures::kind;
use serde_json::{Value, json};

/// Defaults an object and compares the part that a pointer names.
#[track_caller]
fn check(kind_name: &'static str, mut object: Value, pointer: &str, expected: Value) {
    let kind = kind(kind_name);
    apply(&kind, &mut object);
    assert_eq!(object.pointer(pointer), Some(&expected), "{object}");
    let once = object.clone();
    apply(&kind, &mut object);
    assert_eq!(object, once, "defaulting twice");
}

#[test]
fn a_pod_of_one_container_gets_every_default() {
    check(
        "Pod",
        json!({"spec": {"containers": [{"name": "c", "image": "nginx:1"}]}}),
        "/spec",
        json!({
            "containers": [{
                "name": "c", "image": "nginx:1", "imagePullPolicy": "IfNotPresent", "resources": {},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            }],
            "dnsPolicy": "ClusterFirst", "enableServiceLinks": true, "restartPolicy": "Always",
            "schedulerName": "default-scheduler", "securityContext": {}, "terminationGracePeriodSeconds": 30,
        }),
    );
}

#[test]
fn an_image_is_pulled_always_only_when_its_tag_moves() {
    for (image, policy) in [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("host:5000/nginx", "Always"),
        ("host:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:abc", "IfNotPresent"),
        ("nginx:1@sha256:abc", "IfNotPresent"),
    ] {
        assert_eq!(pull_policy(image), policy, "{image}");
    }
}

#[test]
fn requests_come_from_limits_in_pods_and_not_in_templates() {
    let container =
        json!({"name": "c", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}});
    check(
        "Pod",
        json!({"spec": {"containers": [container]}}),
        "/spec/containers/0/resources/requests",
        json!({"cpu": "500m", "memory": "1Gi"}),
    );
    check(
        "ReplicaSet",
        json!({"spec": {"template": {"spec": {"containers": [container]}}}}),
        "/spec/template/spec/containers/0/resources/requests",
        json!({"cpu": "500m"}),
    );
}

#[test]
fn probes_ports_and_references_are_completed() {
    let container = json!({
        "name": "c", "ports": [{"containerPort": 80}],
        "livenessProbe": {"httpGet": {"port": 80}, "periodSeconds": 5},
        "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    });
    let object = json!({"spec": {"hostNetwork": true, "containers": [container]}});
    check(
        "Pod",
        object.clone(),
        "/spec/containers/0/ports/0",
        json!({"containerPort": 80, "hostPort": 80, "protocol": "TCP"}),
    );
    check(
        "Pod",
        object.clone(),
        "/spec/containers/0/livenessProbe",
        json!({
            "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
            "periodSeconds": 5, "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3,
        }),
    );
    check("Pod", object, "/spec/containers/0/env/0/valueFrom/fieldRef/apiVersion", json!("v1"));
}

#[test]
fn volumes_get_modes_and_a_source() {
    let volumes = json!([
        {"name": "a"},
        {"name": "b", "secret": {"secretName": "s"}},
        {"name": "c", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
        {"name": "d", "hostPath": {"path": "/p"}},
    ]);
    check(
        "Pod",
        json!({"spec": {"volumes": volumes}}),
        "/spec/volumes",
        json!([
            {"name": "a", "emptyDir": {}},
            {"name": "b", "secret": {"secretName": "s", "defaultMode": 420}},
            {"name": "c", "projected": {
                "defaultMode": 420, "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}]}},
            {"name": "d", "hostPath": {"path": "/p", "type": ""}},
        ]),
    );
}

#[test]
fn a_service_targets_its_own_port() {
    check(
        "Service",
        json!({"spec": {"ports": [{"port": 80}]}}),
        "/spec",
        json!({
            "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
            "ports": [{"port": 80, "targetPort": 80, "protocol": "TCP"}],
        }),
    );
    check("Service", json!({"spec": {"type": "LoadBalancer"}}), "/spec/allocateLoadBalancerNodePorts", json!(true));
    check(
        "Service",
        json!({"spec": {"sessionAffinity": "ClientIP"}}),
        "/spec/sessionAffinityConfig/clientIP/timeoutSeconds",
        json!(10800),
    );
}

#[test]
fn workloads_roll_by_their_own_pace() {
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}});
    check("Deployment", json!({"spec": {}}), "/spec/strategy", strategy);
    check(
        "Deployment",
        json!({"spec": {"strategy": {"type": "Recreate"}}}),
        "/spec/strategy",
        json!({"type": "Recreate"}),
    );
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}});
    check("DaemonSet", json!({"spec": {}}), "/spec/updateStrategy", strategy);
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}});
    check("StatefulSet", json!({"spec": {}}), "/spec/updateStrategy", strategy);
}

#[test]
fn a_job_runs_once_unless_it_is_a_work_queue() {
    check("Job", json!({"spec": {}}), "/spec/completions", json!(1));
    let kind = kind("Job");
    let mut queue = json!({"spec": {"parallelism": 3}});
    apply(&kind, &mut queue);
    assert_eq!(queue.pointer("/spec/completions"), None);
    check("Job", json!({"spec": {"backoffLimitPerIndex": 1}}), "/spec/backoffLimit", json!(i32::MAX));
    check("Job", json!({"spec": {"podFailurePolicy": {}}}), "/spec/podReplacementPolicy", json!("Failed"));
    check("CronJob", json!({"spec": {}}), "/spec/successfulJobsHistoryLimit", json!(3));
}

#[test]
fn small_kinds_get_their_words() {
    check("Namespace", json!({"metadata": {"name": "n"}}), "/metadata/labels/kubernetes.io~1metadata.name", json!("n"));
    check("Secret", json!({}), "/type", json!("Opaque"));
    check("PersistentVolumeClaim", json!({"spec": {}}), "/spec/volumeMode", json!("Filesystem"));
    check("StorageClass", json!({}), "/volumeBindingMode", json!("Immediate"));
    check("PriorityClass", json!({}), "/preemptionPolicy", json!("PreemptLowerPriority"));
    check("NetworkPolicy", json!({"spec": {"egress": [{}]}}), "/spec/policyTypes", json!(["Ingress", "Egress"]));
    check(
        "RoleBinding",
        json!({"subjects": [{"kind": "User"}]}),
        "/subjects/0/apiGroup",
        json!("rbac.authorization.k8s.io"),
    );
    check("Node", json!({"status": {"capacity": {"cpu": "1"}}}), "/status/allocatable/cpu", json!("1"));
    check(
        "EndpointSlice",
        json!({"ports": [{"port": 1}]}),
        "/ports/0",
        json!({"port": 1, "name": "", "protocol": "TCP"}),
    );
    check(
        "HorizontalPodAutoscaler",
        json!({"spec": {}}),
        "/spec/metrics/0/resource/target/averageUtilization",
        json!(80),
    );
    check(
        "LimitRange",
        json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}}]}}),
        "/spec/limits/0/defaultRequest",
        json!({"cpu": "2", "memory": "1Mi"}),
    );
    check(
        "ValidatingWebhookConfiguration",
        json!({"webhooks": [{"rules": [{}], "clientConfig": {"service": {}}}]}),
        "/webhooks/0",
        json!({
            "rules": [{"scope": "*"}], "clientConfig": {"service": {"port": 443}}, "failurePolicy": "Fail",
            "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}, "timeoutSeconds": 10,
        }),
    );
}

#[test]
fn parts_of_a_wrong_shape_are_left_alone() {
    let kind = kind("Pod");
    for object in
        [json!(null), json!([]), json!({"spec": 5}), json!({"spec": {"containers": {"a": 1}, "volumes": [3]}})]
    {
        let mut defaulted = object.clone();
        apply(&kind, &mut defaulted);
    }
}

#[test]
fn the_texts_of_a_secret_become_its_data() {
    let secret = json!({"stringData": {"a": "new", "b": "b"}, "data": {"a": "b2xk"}});
    check("Secret", secret, "", json!({"type": "Opaque", "data": {"a": "bmV3", "b": "Yg=="}}));
}
