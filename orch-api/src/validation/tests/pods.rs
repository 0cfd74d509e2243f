//! Pods and what is in them.

use super::*;

#[test]
fn a_plain_pod_is_fine() {
    check("Pod", pod(json!({})), &[]);
}

#[test]
fn a_pod_has_containers_with_names_and_images() {
    check("Pod", json!({"spec": {}}), &["spec.containers: Required value"]);
    check(
        "Pod",
        json!({"spec": {"containers": [{"name": "c"}, {"name": "c", "image": "i"}]}}),
        &["spec.containers[0].image: Required value", "spec.containers[1].name: Duplicate value: \"c\""],
    );
    check(
        "Pod",
        json!({"spec": {"containers": [{"name": "c", "image": " i "}]}}),
        &["spec.containers[0].image: Invalid value: \" i \": must not have leading or trailing whitespace"],
    );
}

#[test]
fn ports_have_numbers_names_and_no_rivals() {
    let container = json!({"name": "c", "image": "i", "ports": [
        {"containerPort": 0}, {"containerPort": 70000}, {"containerPort": 80, "hostPort": 80, "name": "web"},
        {"containerPort": 80, "hostPort": 80, "name": "web"},
    ]});
    check(
        "Pod",
        json!({"spec": {"containers": [container]}}),
        &[
            "spec.containers[0].ports[0].containerPort: Required value",
            "spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            "spec.containers[0].ports[3].name: Duplicate value: \"web\"",
            "spec.containers[0].ports[3].hostPort: Duplicate value: \"TCP//80\"",
        ],
    );
}

#[test]
fn mounts_name_volumes() {
    let container = json!({"name": "c", "image": "i", "volumeMounts": [
        {"name": "v", "mountPath": "/a"}, {"name": "w", "mountPath": "/a"},
    ]});
    check(
        "Pod",
        json!({"spec": {"containers": [container], "volumes": [{"name": "v"}]}}),
        &[
            "spec.containers[0].volumeMounts[1].name: Not found: \"w\"",
            "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique",
        ],
    );
}

#[test]
fn a_volume_has_one_source() {
    check(
        "Pod",
        pod(json!({"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/a/../b"}}]})),
        &["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
    );
    check(
        "Pod",
        pod(json!({"volumes": [{"name": "v", "hostPath": {"path": "/a/../b"}}, {"name": "w", "secret": {}}]})),
        &[
            "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
            "spec.volumes[1].secret.secretName: Required value",
        ],
    );
}

#[test]
fn env_has_names_and_one_source() {
    let container = json!({"name": "c", "image": "i", "env": [
        {"name": "a=b", "value": "1"},
        {"name": "X", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "Y", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels"}}},
        {"name": "Z", "valueFrom": {}},
    ]});
    check(
        "Pod",
        json!({"spec": {"containers": [container]}}),
        &[
            "spec.containers[0].env[0].name: Invalid value: \"a=b\": a valid environment variable name must consist only of printable ASCII characters other than '='",
            "spec.containers[0].env[1].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
            "spec.containers[0].env[2].valueFrom.fieldRef.fieldPath: Unsupported value: \"metadata.labels\": supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"",
            "spec.containers[0].env[3].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        ],
    );
}

#[test]
fn requests_stay_below_limits() {
    let container =
        |resources: Value| json!({"spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]}});
    check(
        "Pod",
        container(json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}})),
        &[
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1500m",
        ],
    );
    check(
        "Pod",
        container(json!({"limits": {"cpu": "-1", "gpu": "1", "example.com/gpu": "500m"}})),
        &[
            "spec.containers[0].resources.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
            "spec.containers[0].resources.limits[example.com/gpu]: Invalid value: \"500m\": must be an integer",
            "spec.containers[0].resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource type or fully qualified",
            "spec.containers[0].resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource for containers",
            "spec.containers[0].resources.requests[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
            "spec.containers[0].resources.requests[example.com/gpu]: Invalid value: \"500m\": must be an integer",
            "spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource type or fully qualified",
            "spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource for containers",
        ],
    );
}

#[test]
fn a_probe_has_one_handler() {
    let container = json!({"name": "c", "image": "i", "livenessProbe": {"successThreshold": 2},
        "readinessProbe": {"httpGet": {"port": 0}, "exec": {"command": ["a"]}, "periodSeconds": -1}});
    check(
        "Pod",
        json!({"spec": {"containers": [container]}}),
        &[
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
            "spec.containers[0].readinessProbe.httpGet: Forbidden: may not specify more than 1 handler type",
            "spec.containers[0].readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
        ],
    );
}

#[test]
fn init_containers_have_no_probes_unless_they_keep_running() {
    let init = json!({"name": "i", "image": "i", "livenessProbe": {"exec": {"command": ["a"]}}});
    check(
        "Pod",
        pod(json!({"initContainers": [init]})),
        &[
            "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
        ],
    );
    let mut sidecar = init;
    sidecar["restartPolicy"] = json!("Always");
    check("Pod", pod(json!({"initContainers": [sidecar]})), &[]);
}

#[test]
fn policies_of_a_pod_are_words_that_kubernetes_knows() {
    check(
        "Pod",
        pod(json!({"restartPolicy": "Sometimes", "dnsPolicy": "Maybe"})),
        &[
            "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
            "spec.dnsPolicy: Unsupported value: \"Maybe\": supported values: \"ClusterFirstWithHostNet\", \"ClusterFirst\", \"Default\", \"None\"",
        ],
    );
    check(
        "Pod",
        pod(
            json!({"tolerations": [{"operator": "Equal"}, {"key": "k", "operator": "Exists", "tolerationSeconds": 1}]}),
        ),
        &[
            "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            "spec.tolerations[1].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
        ],
    );
    check(
        "Pod",
        pod(
            json!({"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "", "whenUnsatisfiable": "X", "labelSelector": {}}]}),
        ),
        &[
            "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
            "spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty",
            "spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: \"X\": supported values: \"DoNotSchedule\", \"ScheduleAnyway\"",
        ],
    );
}

#[test]
fn security_has_ranges() {
    check(
        "Pod",
        pod(json!({"securityContext": {"runAsUser": -1, "sysctls": [{"name": "a..b"}]}})),
        &[
            "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            "spec.securityContext.sysctls[0].name: Invalid value: \"a..b\": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
        ],
    );
}

#[test]
fn only_images_and_a_few_fields_of_a_pod_change() {
    let object = || pod(json!({}));
    let image = json!({"spec": {"containers": [{"name": "c", "image": "j"}]}});
    let kind = kind("Pod");
    let old = prepared(&kind, object());
    let mut new = old.clone();
    new["spec"]["containers"][0]["image"] = image["spec"]["containers"][0]["image"].clone();
    assert_eq!(lines(&update(&kind, &new, &old, Setting::default()).0), [""; 0]);
    check_update("Pod", object(), json!({"spec": {"activeDeadlineSeconds": 5}}), &[]);
    check_update("Pod", object(), json!({"spec": {"tolerations": [{"key": "k", "operator": "Exists"}]}}), &[]);
    check_update(
        "Pod",
        object(),
        json!({"spec": {"hostname": "h"}}),
        &[
            "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n+ \"hostname\": \"h\"\n",
        ],
    );
    check_update(
        "Pod",
        object(),
        json!({"spec": {"containers": []}}),
        &[
            "spec.containers: Required value",
            "spec.containers: Forbidden: pod updates may not add or remove containers",
        ],
    );
}

#[test]
fn a_pod_at_a_gate_may_become_more_choosy() {
    let gated = || pod(json!({"schedulingGates": [{"name": "a/b"}], "nodeSelector": {"x": "y"}}));
    check_update("Pod", gated(), json!({"spec": {"nodeSelector": {"z": "w"}}}), &[]);
    check_update(
        "Pod",
        gated(),
        json!({"spec": {"nodeSelector": {"x": "other"}}}),
        &[
            "spec.nodeSelector: Invalid value: {\"x\":\"other\"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)",
        ],
    );
}

#[test]
fn a_container_that_ended_for_good_does_not_run_again() {
    let kind = kind("Pod");
    let mut old = prepared(&kind, pod(json!({"restartPolicy": "Never"})));
    old["status"]["containerStatuses"] = json!([{"name": "c", "state": {"terminated": {"exitCode": 0}}}]);
    let mut new = old.clone();
    new["status"]["containerStatuses"] = json!([{"name": "c", "state": {"running": {}}}]);
    assert_eq!(
        lines(&status_update(&kind, &new, &old).0),
        ["status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"]
    );
}
