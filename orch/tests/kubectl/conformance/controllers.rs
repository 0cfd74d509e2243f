//! ReplicationControllers whose pods serve, as kubectl makes, exposes, scales and describes them.

use super::IMAGE;
use crate::{
    cluster::processes,
    run::{Kubectl, with_each},
};
use std::time::{Duration, Instant};

/// A ReplicationController whose pods serve on a port.
fn controller(name: &str, replicas: u32, port: u16) -> String {
    let labels = r#"{"app": "agnhost", "role": "primary"}"#;
    format!(
        r#"{{"apiVersion": "v1", "kind": "ReplicationController", "metadata": {{"name": "{name}", "labels": {labels}}},
        "spec": {{"replicas": {replicas}, "selector": {labels}, "template": {{"metadata": {{"labels": {labels}}}, "spec":
            {{"terminationGracePeriodSeconds": 0, "containers": [{{"name": "{name}", "image": "{IMAGE}",
                "args": ["serve", "--port", "{port}"], "ports": [{{"name": "server", "containerPort": {port}}}]}}]}}}}}}}}"#
    )
}

fn pods(k: &Kubectl) -> Vec<String> {
    let names = k.run("get pods -l app=agnhost -o jsonpath={.items[*].metadata.name}");
    names.succeeds().stdout().split_whitespace().map(str::to_owned).collect()
}

/// Waits until so many pods of a controller run its image and answer through the API server.
fn serves(k: &Kubectl, name: &str, replicas: usize, port: u16) {
    let begun = Instant::now();
    let state = r#"--template={{range .status.containerStatuses}}{{.name}} {{if .state.running}}true{{end}}{{end}}"#;
    let is_up = |pod: &String| {
        let shown = k.args(&["get", "pod", pod, "-o", "template", state], b"").stdout();
        let image = k.run(&format!("get pod {pod} -o jsonpath={{.spec.containers[*].image}}")).stdout();
        let path = format!("/api/v1/namespaces/{}/pods/{pod}:{port}/proxy/data.json", k.namespace);
        let answer = k.run(&format!("get --raw {path}")).stdout();
        shown == format!("{name} true") && image == IMAGE && answer.contains("/data.json")
    };
    loop {
        let found = pods(k);
        if found.len() == replicas && found.iter().all(is_up) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{replicas} pods of {name} do not serve");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// [sig-cli] Kubectl client Update Demo should create and stop a replication controller [Conformance]
/// [sig-cli] Kubectl client Update Demo should scale a replication controller [Conformance]
#[test]
fn a_replication_controller_is_created_scaled_and_stopped() {
    with_each(processes, "update-demo", |k| {
        let demo = controller("update-demo", 2, 8080);
        k.with_input("create -f -", &demo).prints("replicationcontroller/update-demo created\n");
        serves(k, "update-demo", 2, 8080);
        k.run("scale rc update-demo --replicas=1 --timeout=5m").prints("replicationcontroller/update-demo scaled\n");
        serves(k, "update-demo", 1, 8080);
        k.run("scale rc update-demo --replicas=2 --timeout=5m").succeeds();
        serves(k, "update-demo", 2, 8080);
        k.with_input("delete --grace-period=0 --force -f -", &demo).succeeds();
        k.run("wait --for=delete pod -l app=agnhost --timeout=60s").succeeds();
        k.run("get rc,svc -l app=agnhost --no-headers").contains("No resources found");
    });
}

/// [sig-cli] Kubectl client Kubectl expose should create services for rc [Conformance]
#[test]
fn a_controller_and_a_service_are_exposed() {
    with_each(processes, "expose", |k| {
        k.with_input("create -f -", &controller("agnhost-primary", 1, 6379)).succeeds();
        serves(k, "agnhost-primary", 1, 6379);
        k.run(&format!("logs {}", pods(k)[0])).contains("serving on port 6379");
        for (what, name, port) in [("rc agnhost-primary", "rm2", 1234), ("service rm2", "rm3", 2345)] {
            k.run(&format!("expose {what} --name={name} --port={port} --target-port=6379")).succeeds();
            let slices = format!("get endpointslices -l kubernetes.io/service-name={name} -o");
            k.run(&format!("wait --for=jsonpath={{.endpoints[0].conditions.ready}}=true endpointslices -l kubernetes.io/service-name={name} --timeout=30s")).succeeds();
            k.run(&format!("{slices} jsonpath={{.items[*].ports[*].port}}")).prints("6379");
            k.run(&format!("{slices} jsonpath={{.items[*].endpoints[*].targetRef.kind}}")).prints("Pod");
            k.run(&format!("get service {name} -o jsonpath={{.spec.ports[*].port}}")).prints(&port.to_string());
            k.run(&format!("get service {name} -o jsonpath={{.spec.ports[*].targetPort}}")).prints("6379");
        }
    });
}

/// [sig-cli] Kubectl client Kubectl patch should add annotations for pods in rc [Conformance]
#[test]
fn the_pods_of_a_controller_are_annotated() {
    with_each(processes, "annotate", |k| {
        k.with_input("create -f -", &controller("agnhost-primary", 1, 6379)).succeeds();
        serves(k, "agnhost-primary", 1, 6379);
        for pod in pods(k) {
            k.run(&format!(r#"patch pod {pod} -p {{"metadata":{{"annotations":{{"x":"y"}}}}}}"#)).succeeds();
            k.run(&format!("get pod {pod} -o jsonpath={{.metadata.annotations.x}}")).prints("y");
        }
    });
}

/// Whether each row of words is on one line of what was printed, in any order, and the lines are in order.
#[track_caller]
fn prints_rows(printed: &str, rows: &[&[&str]]) {
    let mut lines = printed.lines();
    for row in rows {
        let found = lines.any(|line| row.iter().all(|word| line.contains(word)));
        assert!(found, "no {row:?} in\n{printed}");
    }
}

/// [sig-cli] Kubectl client Kubectl describe should check if kubectl describe prints relevant information for rc and pods [Conformance]
#[test]
fn describe_tells_of_a_controller_and_what_belongs_to_it() {
    with_each(processes, "describe-rc", |k| {
        k.with_input("create -f -", &controller("agnhost-primary", 1, 6379)).succeeds();
        let service = r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "agnhost-primary",
            "labels": {"app": "agnhost", "role": "primary"}}, "spec": {"ports": [{"port": 6379, "targetPort": "server"}],
            "selector": {"app": "agnhost", "role": "primary"}}}"#;
        k.with_input("create -f -", service).succeeds();
        serves(k, "agnhost-primary", 1, 6379);
        let describe = |what: &str| k.run(&format!("describe {what}")).succeeds().stdout();
        let namespace: &[&str] = &["Namespace:", &k.namespace];
        for pod in pods(k) {
            let shown = describe(&format!("pod {pod}"));
            prints_rows(
                &shown,
                &[
                    &["Name:", "agnhost-primary-"],
                    namespace,
                    &["Node:"],
                    &["Labels:", "app=agnhost"],
                    &["role=primary"],
                    &["Annotations:"],
                    &["Status:", "Running"],
                    &["IP:"],
                    &["Controlled By:", "ReplicationController/agnhost-primary"],
                    &["Image:", IMAGE],
                    &["State:", "Running"],
                    &["QoS Class:", "BestEffort"],
                ],
            );
        }
        prints_rows(
            &describe("rc agnhost-primary"),
            &[
                &["Name:", "agnhost-primary"],
                namespace,
                &["Selector:", "app=agnhost,role=primary"],
                &["Labels:", "app=agnhost"],
                &["role=primary"],
                &["Annotations:"],
                &["Replicas:", "1 current", "1 desired"],
                &["Pods Status:", "1 Running", "0 Waiting", "0 Succeeded", "0 Failed"],
                &["Pod Template:"],
                &["Image:", IMAGE],
                &["Events:"],
            ],
        );
        prints_rows(
            &describe("service agnhost-primary"),
            &[
                &["Name:", "agnhost-primary"],
                namespace,
                &["Labels:", "app=agnhost"],
                &["role=primary"],
                &["Annotations:"],
                &["Selector:", "app=agnhost", "role=primary"],
                &["Type:", "ClusterIP"],
                &["IP:"],
                &["Port:", "<unset>", "6379/TCP"],
                &["Endpoints:"],
                &["Session Affinity:", "None"],
            ],
        );
        let node = k.run("get nodes --field-selector spec.unschedulable=false -o jsonpath={.items[0].metadata.name}");
        let node = node.stdout();
        prints_rows(
            &describe(&format!("node {node}")),
            &[
                &["Name:", &node],
                &["Labels:"],
                &["Annotations:"],
                &["CreationTimestamp:"],
                &["Conditions:"],
                &["Type", "Status", "LastHeartbeatTime", "LastTransitionTime", "Reason", "Message"],
                &["Addresses:"],
                &["Capacity:"],
                &["Kernel Version:"],
                &["OS Image:"],
                &["Container Runtime Version:"],
                &["Kubelet Version:"],
                &["Pods:"],
            ],
        );
        prints_rows(
            &describe(&format!("namespace {}", k.namespace)),
            &[&["Name:", &k.namespace], &["Labels:"], &["Annotations:"], &["Status:", "Active"]],
        );
    });
}
