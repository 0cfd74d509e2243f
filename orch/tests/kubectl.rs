//! The real kubectl against the binary: with simulated nodes, and for what has streams with plain processes. One
//! cluster of each serves every test; each test has a namespace of its own. Without kubectl the tests say so and are skipped; `ORCH_REQUIRE_REAL=1` makes that
//! a failure.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, unreachable_pub)] // All of this program is tests.

#[path = "kubectl/streams.rs"]
mod streams;

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
};

const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "orch.local/toolbox:latest", args: [sleep, "600"]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
"#;

#[test]
fn a_deployment_is_applied_read_in_every_form_and_applied_again() {
    let Some(kubectl) = namespace("apply") else { return };
    kubectl.with_input("apply -f -", WEB).prints("deployment.apps/web created\nservice/web created\n");
    kubectl.run("rollout status deploy/web --timeout=30s").contains("successfully rolled out");
    kubectl.with_input("apply -f -", WEB).prints("deployment.apps/web unchanged\nservice/web unchanged\n");
    kubectl.run("get deploy web -o jsonpath={.status.readyReplicas}").prints("2");
    kubectl.run("get pods -l app=web -o wide").contains("NOMINATED NODE");
    kubectl.run("get deploy web -o yaml").contains("kind: Deployment");
    kubectl.run("get pods -o name --field-selector status.phase=Running --chunk-size=1").contains("pod/web-");
    kubectl.run("get deploy web -o custom-columns=N:.metadata.name --no-headers").prints("web\n");
    kubectl.run("get deploy web --subresource=scale").contains("DESIRED");
    kubectl.run("describe deploy web").contains("2 desired | 2 updated | 2 total | 2 available");
}

#[test]
fn a_rollout_is_watched_paused_undone_and_restarted() {
    let Some(kubectl) = namespace("rollout") else { return };
    kubectl.with_input("apply -f -", WEB).succeeds();
    kubectl.run("rollout status deploy/web --timeout=30s").succeeds();
    kubectl.run("set image deploy/web web=orch.local/toolbox:v2").prints("deployment.apps/web image updated\n");
    kubectl.run("rollout status deploy/web --timeout=30s").succeeds();
    kubectl.run("rollout history deploy/web").contains("2         <none>");
    kubectl.run("rollout undo deploy/web").prints("deployment.apps/web rolled back\n");
    kubectl.run("rollout status deploy/web --timeout=30s").succeeds();
    kubectl.run("rollout pause deploy/web").succeeds();
    kubectl.run("rollout restart deploy/web").fails("can't restart paused deployment");
    kubectl.run("rollout resume deploy/web").succeeds();
    kubectl.run("rollout undo deploy/web --to-revision=99").fails("unable to find specified revision 99 in history");
    kubectl.run("scale deploy/web --replicas=3").prints("deployment.apps/web scaled\n");
    kubectl.run("wait --for=jsonpath={.status.readyReplicas}=3 deploy/web --timeout=30s").succeeds();
}

#[test]
fn objects_are_labelled_patched_replaced_and_deleted_with_their_dependents() {
    let Some(kubectl) = namespace("change") else { return };
    kubectl.with_input("apply -f -", WEB).succeeds();
    kubectl.run("wait --for=condition=Available deploy/web --timeout=30s").succeeds();
    kubectl.run("label deploy/web tier=front").prints("deployment.apps/web labeled\n");
    kubectl.run("annotate deploy/web note=one").prints("deployment.apps/web annotated\n");
    kubectl.run(r#"patch svc web -p {"metadata":{"labels":{"a":"b"}}}"#).prints("service/web patched\n");
    kubectl.run(r#"patch svc web --type=merge -p {"metadata":{"labels":{"a":null}}}"#).succeeds();
    kubectl
        .run(r#"patch svc web --type=json -p [{"op":"remove","path":"/none"}]"#)
        .fails("the server rejected our request due to an error in our request");
    kubectl.run("delete deploy web --cascade=foreground").succeeds();
    kubectl.run("get rs,pods -o name").prints("");
}

#[test]
fn generators_create_their_objects() {
    let Some(kubectl) = namespace("generate") else { return };
    kubectl.run("create configmap settings --from-literal=a=b").prints("configmap/settings created\n");
    kubectl.run("create secret generic keys --from-literal=a=b").prints("secret/keys created\n");
    kubectl.run("create serviceaccount bot").prints("serviceaccount/bot created\n");
    kubectl.run("create role reader --verb=get --resource=pods").succeeds();
    kubectl.run("create rolebinding bot --role=reader --serviceaccount=generate:bot").succeeds();
    kubectl.run("auth can-i get pods --as=system:serviceaccount:generate:bot").prints("yes\n");
    kubectl.run("auth can-i delete pods --as=system:serviceaccount:generate:bot").fails("no");
    kubectl.run("create deployment site --image=orch.local/toolbox:latest").succeeds();
    kubectl.run("expose deployment site --port=80").prints("service/site exposed\n");
    kubectl.run("auth whoami").contains("system:masters");
}

#[test]
fn server_side_apply_reports_conflicts_and_can_be_forced() {
    let Some(kubectl) = namespace("ssa") else { return };
    let map = |value: &str| {
        format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"m"}},"data":{{"a":"{value}"}}}}"#)
    };
    kubectl.with_input("apply --server-side -f -", &map("1")).prints("configmap/m serverside-applied\n");
    kubectl
        .with_input("apply --server-side --field-manager=other -f -", &map("2"))
        .fails("Apply failed with 1 conflict: conflict with \"kubectl\": .data.a");
    kubectl
        .with_input("apply --server-side --field-manager=other --force-conflicts -f -", &map("2"))
        .prints("configmap/m serverside-applied\n");
}

#[test]
fn nodes_are_tainted_cordoned_and_drained() {
    let Some(kubectl) = namespace("nodes") else { return };
    kubectl.run("taint node node-2 k=v:NoSchedule").prints("node/node-2 tainted\n");
    kubectl.run("taint node node-2 k=v:NoSchedule").fails("already has k taint(s) with same effect(s)");
    kubectl.run("taint node node-2 k-").prints("node/node-2 untainted\n");
    kubectl.run("cordon node-2").prints("node/node-2 cordoned\n");
    kubectl.run("get node node-2").contains("Ready,SchedulingDisabled");
    kubectl.run("drain node-2 --ignore-daemonsets --force --timeout=30s").contains("node/node-2 drained");
    kubectl.run("uncordon node-2").prints("node/node-2 uncordoned\n");
}

#[test]
fn types_are_listed_and_explained() {
    let Some(kubectl) = namespace("explain") else { return };
    kubectl.run("api-resources --api-group=apps").contains("deployments");
    kubectl.run("api-versions").contains("rbac.authorization.k8s.io/v1");
    kubectl.run("explain pod.spec.containers").contains("FIELD: containers <[]Container>");
    kubectl.run("explain pod --recursive").contains("creationTimestamp");
    kubectl.run("explain pod.spec.nothing").fails("field \"nothing\" does not exist");
}

#[test]
fn bad_input_is_refused_in_the_words_of_kubernetes() {
    let Some(kubectl) = namespace("bad") else { return };
    let apply = |text: &str, words: &str| kubectl.with_input("apply -f -", text).fails(words);
    apply(
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"},"dat":{}}"#,
        "strict decoding error: unknown field \"dat\"",
    );
    apply(
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"},"data":{"a":1}}"#,
        "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
    );
    apply(
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"Bad_Name"}}"#,
        "metadata.name: Invalid value: \"Bad_Name\": a lowercase RFC 1123 subdomain",
    );
    apply(r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"}}"#, "spec.containers: Required value");
    kubectl.run("get nothing").fails("the server doesn't have a resource type \"nothing\"");
    kubectl.run("get pod nothing").fails("Error from server (NotFound): pods \"nothing\" not found");
    kubectl.run("get pods --field-selector spec.none=1").fails("field label not supported: spec.none");
    kubectl.run("get --raw /apis/nothing").fails("the server could not find the requested resource");
    kubectl
        .with_input(
            "create -f -",
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m","namespace":"none"}}"#,
        )
        .fails("does not match the namespace");
}

/// kubectl in a namespace of a cluster.
#[derive(Clone, Copy)]
struct Kubectl {
    cluster: &'static Cluster,
    namespace: &'static str,
    websocket: bool,
}

/// What a command did.
struct Ran {
    line: String,
    output: Output,
}

impl Kubectl {
    fn run(&self, line: &str) -> Ran {
        self.with_input(line, "")
    }

    fn with_input(&self, line: &str, input: &str) -> Ran {
        self.args(&line.split(' ').collect::<Vec<_>>(), input.as_bytes())
    }

    /// Runs a command whose arguments may have spaces in them. It need not read all of its input.
    fn args(&self, args: &[&str], input: &[u8]) -> Ran {
        let mut child = self.start(args, Stdio::piped());
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || drop(stdin.write_all(input)));
            child.wait_with_output().unwrap()
        });
        Ran { line: args.join(" "), output }
    }

    fn start(&self, args: &[&str], stdin: Stdio) -> Child {
        let websocket = self.websocket.to_string();
        Command::new("kubectl")
            .args(["--kubeconfig", self.cluster.kubeconfig.to_str().unwrap(), "--namespace", self.namespace])
            .args(args)
            .env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", &websocket)
            .env("KUBECTL_PORT_FORWARD_WEBSOCKETS", &websocket)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// The same with WebSocket, or with SPDY, for what has streams.
    fn speaking(self, websocket: bool) -> Self {
        Self { websocket, ..self }
    }
}

impl Ran {
    fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    fn all(&self) -> String {
        self.stdout() + &String::from_utf8_lossy(&self.output.stderr)
    }

    #[track_caller]
    fn succeeds(&self) {
        assert!(self.output.status.success(), "kubectl {}: {}", self.line, self.all());
    }

    #[track_caller]
    fn prints(&self, expected: &str) {
        self.succeeds();
        assert_eq!(self.stdout(), expected, "kubectl {}", self.line);
    }

    #[track_caller]
    fn contains(&self, words: &str) {
        self.succeeds();
        assert!(self.all().contains(words), "kubectl {}: no {words:?} in {}", self.line, self.all());
    }

    #[track_caller]
    fn fails(&self, words: &str) {
        assert!(!self.output.status.success(), "kubectl {} succeeded: {}", self.line, self.all());
        assert!(self.all().contains(words), "kubectl {}: no {words:?} in {}", self.line, self.all());
    }
}

/// A new namespace of the cluster with simulated nodes.
fn namespace(name: &'static str) -> Option<Kubectl> {
    namespace_in(cluster, name)
}

/// A new namespace of a cluster; `None` where there is no kubectl.
fn namespace_in(cluster: fn() -> &'static Cluster, name: &'static str) -> Option<Kubectl> {
    if Command::new("kubectl").args(["version", "--client"]).output().is_err() {
        assert!(std::env::var_os("ORCH_REQUIRE_REAL").is_none_or(|v| v != "1"), "kubectl is not installed");
        println!("skipped: kubectl is not installed");
        return None;
    }
    let kubectl = Kubectl { cluster: cluster(), namespace: name, websocket: true };
    let body = format!(r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{name}"}}}}"#);
    let created = Kubectl { namespace: "", ..kubectl }.with_input("create -f -", &body);
    created.succeeds();
    // Pods need the account that a controller makes.
    kubectl.run("wait --for=create serviceaccount/default --timeout=30s").succeeds();
    Some(kubectl)
}

/// A running binary. It ends when its parent does, and its directory goes with it.
struct Cluster {
    kubeconfig: PathBuf,
    _directory: tempfile::TempDir,
    _child: Child,
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::start(&["--runtime", "simulated", "--nodes", "3"]))
}

/// One whose pods are processes of this machine.
fn processes() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::start(&["--runtime", "process"]))
}

impl Cluster {
    fn start(nodes: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // The shell ends the cluster when the pipe from this process closes.
        let script = r#""$0" "$@" & child=$!; cat >/dev/null <&3; kill $child; wait $child; rm -rf "$DIR""#;
        let mut child = Command::new("bash")
            .args(["-c", &format!("exec 3<&0; {script}"), env!("CARGO_BIN_EXE_orch"), "up"])
            .args(nodes)
            .args(["--store", "memory", "--data-dir"])
            .arg(directory.path())
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .env("DIR", directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert!(ready.starts_with("orch is ready"), "{ready}");
        Self { kubeconfig: directory.path().join("kubeconfig"), _directory: directory, _child: child }
    }
}
