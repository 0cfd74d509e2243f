//! What the conformance suite asks of kubectl (`test/e2e/kubectl/kubectl.go`).

use crate::{
    cluster::processes,
    run::{Kubectl, with_each},
};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

const IMAGE: &str = "orch.local/toolbox:latest";
const OTHER: &str = "orch.local/toolbox:other";

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
            prints_rows(&shown, &[&["Name:", "agnhost-primary-"], namespace, &["Node:"], &["Labels:", "app=agnhost"],
                &["role=primary"], &["Annotations:"], &["Status:", "Running"], &["IP:"],
                &["Controlled By:", "ReplicationController/agnhost-primary"], &["Image:", IMAGE],
                &["State:", "Running"], &["QoS Class:", "BestEffort"]]);
        }
        prints_rows(&describe("rc agnhost-primary"), &[&["Name:", "agnhost-primary"], namespace,
            &["Selector:", "app=agnhost,role=primary"], &["Labels:", "app=agnhost"], &["role=primary"],
            &["Annotations:"], &["Replicas:", "1 current", "1 desired"],
            &["Pods Status:", "1 Running", "0 Waiting", "0 Succeeded", "0 Failed"], &["Pod Template:"],
            &["Image:", IMAGE], &["Events:"]]);
        prints_rows(&describe("service agnhost-primary"), &[&["Name:", "agnhost-primary"], namespace,
            &["Labels:", "app=agnhost"], &["role=primary"], &["Annotations:"],
            &["Selector:", "app=agnhost", "role=primary"], &["Type:", "ClusterIP"], &["IP:"],
            &["Port:", "<unset>", "6379/TCP"], &["Endpoints:"], &["Session Affinity:", "None"]]);
        let node = k.run("get nodes --field-selector spec.unschedulable=false -o jsonpath={.items[0].metadata.name}");
        let node = node.stdout();
        prints_rows(&describe(&format!("node {node}")), &[&["Name:", &node], &["Labels:"], &["Annotations:"],
            &["CreationTimestamp:"], &["Conditions:"],
            &["Type", "Status", "LastHeartbeatTime", "LastTransitionTime", "Reason", "Message"], &["Addresses:"],
            &["Capacity:"], &["Kernel Version:"], &["OS Image:"], &["Container Runtime Version:"],
            &["Kubelet Version:"], &["Pods:"]]);
        prints_rows(&describe(&format!("namespace {}", k.namespace)),
            &[&["Name:", &k.namespace], &["Labels:"], &["Annotations:"], &["Status:", "Active"]]);
    });
}

const POD: &str = "e2e-test-agnhost-pod";

/// The image of the pod's container.
fn image(k: &Kubectl) -> String {
    k.run(&format!("get pod {POD} -o jsonpath={{.spec.containers[*].image}}")).succeeds().stdout()
}

/// [sig-cli] Kubectl client Kubectl server-side dry-run should check if kubectl can dry-run update Pods [Conformance]
#[test]
fn a_dry_run_changes_no_pod() {
    with_each(processes, "dry-run", |k| {
        k.run(&format!("run {POD} --image={IMAGE} --pod-running-timeout=2m0s --labels=run={POD} -- sleep 600")).succeeds();
        let patch = format!(r#"{{"spec":{{"containers":[{{"name":"{POD}","image":"{OTHER}"}}]}}}}"#);
        k.run(&format!("patch pod {POD} -p {patch} --dry-run=server")).succeeds();
        assert_eq!(image(k), IMAGE);
        k.run(&format!("delete pods {POD} --now")).succeeds();
    });
}

/// [sig-cli] Kubectl client Kubectl run pod should create a pod from an image when restart is Never [Conformance]
#[test]
fn a_pod_is_run_once() {
    with_each(processes, "run-once", |k| {
        let ran = format!("run {POD} --restart=Never --pod-running-timeout=2m0s --image={IMAGE} -- sleep 600");
        k.run(&ran).prints(&format!("pod/{POD} created\n"));
        assert_eq!(image(k), IMAGE);
        k.run(&format!("get pod {POD} -o jsonpath={{.spec.restartPolicy}}")).prints("Never");
        k.run(&format!("delete pods {POD} --now")).succeeds();
    });
}

/// [sig-cli] Kubectl client Kubectl replace should update a single-container pod's image [Conformance]
#[test]
fn the_image_of_a_pod_is_replaced() {
    with_each(processes, "replace", |k| {
        k.run(&format!("run {POD} --image={IMAGE} --pod-running-timeout=2m0s --labels=run={POD} -- sleep 600")).succeeds();
        k.run(&format!("wait --for=jsonpath={{.status.phase}}=Running pod -l run={POD} --timeout=60s")).succeeds();
        let json = k.run(&format!("get pod {POD} -o json"));
        json.contains(POD);
        k.with_input("replace -f -", &json.stdout().replacen(IMAGE, OTHER, 1)).prints(&format!("pod/{POD} replaced\n"));
        assert_eq!(image(k), OTHER);
        k.run(&format!("delete pods {POD} --now")).succeeds();
    });
}

/// [sig-cli] Kubectl client Kubectl label should update the label on a resource [Conformance]
#[test]
fn a_running_pod_is_labelled() {
    with_each(processes, "label", |k| {
        k.run(&format!("run pause --image={IMAGE} -- sleep 600")).succeeds();
        k.run("wait --for=condition=Ready pod/pause --timeout=60s").succeeds();
        k.run("label pods pause testing-label=testing-label-value").succeeds();
        k.run("get pod pause -L testing-label").contains("testing-label-value");
        k.run("label pods pause testing-label-").succeeds();
        k.run("get pod pause -L testing-label").lacks("testing-label-value");
        k.run("delete pod pause --now").succeeds();
    });
}

/// Reads `/api/` as JSON from a server that speaks plain HTTP.
fn api_versions(mut stream: impl Read + Write) -> serde_json::Value {
    write!(stream, "GET /api/ HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("200 OK"), "{head}");
    serde_json::from_str(body).unwrap()
}

/// Starts `kubectl proxy`; the process, and the first line that it prints.
fn proxy(k: &Kubectl, option: &str) -> (Child, String) {
    let mut child = k.start(&["proxy", option], Stdio::null());
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    (child, first)
}

/// [sig-cli] Kubectl client Proxy server should support proxy with --port 0 [Conformance]
#[test]
fn a_proxy_listens_on_a_free_port() {
    with_each(processes, "proxy-port", |k| {
        let (mut child, first) = proxy(k, "--port=0");
        let address = first.trim().strip_prefix("Starting to serve on ").unwrap_or_else(|| panic!("{first}"));
        let versions = api_versions(TcpStream::connect(address).unwrap());
        assert_eq!(versions["versions"][0], "v1");
        child.kill().unwrap();
        child.wait().unwrap();
    });
}

/// [sig-cli] Kubectl client Proxy server should support --unix-socket=/path [Conformance]
#[test]
fn a_proxy_listens_on_a_socket() {
    with_each(processes, "proxy-socket", |k| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test");
        let (mut child, first) = proxy(k, &format!("--unix-socket={}", path.display()));
        assert!(first.starts_with("Starting to serve on "), "{first}");
        let versions = api_versions(UnixStream::connect(&path).unwrap());
        assert_eq!(versions["versions"][0], "v1");
        child.kill().unwrap();
        child.wait().unwrap();
    });
}
