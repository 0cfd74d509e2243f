//! exec, attach, cp and port-forward against plain processes, over WebSocket and over SPDY.

use crate::{
    cluster::processes,
    run::{Kubectl, Ran, with_each},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Config,
    api::AttachParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use nix::{sys::stat::Mode, unistd::mkfifo};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    path::Path,
    process::{Child, Stdio},
    thread,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Whether kubectl is to use WebSocket.
const BOTH: [bool; 2] = [true, false];

fn pod(name: &str, container: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}"}},"spec":{{"terminationGracePeriodSeconds":0,
        "containers":[{{"name":"main","image":"orch.local/toolbox:latest",{container}}}]}}}}"#
    )
}

/// Makes a pod called `web` that is ready and does what a script says.
fn web(kubectl: &Kubectl, script: &str) {
    web_with(kubectl, &format!(r#""command":["sh","-c","{script}"]"#));
}

/// The same, with these fields of its container.
fn web_with(kubectl: &Kubectl, container: &str) {
    kubectl.with_input("create -f -", &pod("web", container)).succeeds();
    kubectl.run("wait --for=condition=Ready pod/web --timeout=30s").succeeds();
}

fn status(ran: &Ran) -> i32 {
    ran.output.status.code().unwrap()
}

#[test]
fn commands_have_their_streams_and_exit_codes() {
    with_each(processes, "stream-exec", |k| {
        web(k, "sleep 1000");
        for kubectl in BOTH.map(|websocket| k.speaking(websocket)) {
            let ran = kubectl.args(&["exec", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 3"], b"");
            assert_eq!((status(&ran), ran.stdout().as_str()), (3, "out\n"), "{}", ran.all());
            assert!(ran.all().contains("err\ncommand terminated with exit code 3"), "{}", ran.all());
            let big = vec![b'x'; 3 << 20];
            let ran = kubectl.args(&["exec", "-i", "web", "--", "cat"], &big);
            assert!(ran.output.status.success() && ran.output.stdout == big, "{}", ran.line);
            // The command ends before its input does.
            let ran = kubectl.args(&["exec", "-i", "web", "--", "sh", "-c", "read line; echo $line; exit 4"], &big);
            assert_eq!(status(&ran), 4, "{}", ran.line);
            kubectl.run("exec web -- nope").fails("exec: \"nope\": executable file not found in $PATH");
            kubectl.run("exec web -c other -- true").fails("container other is not valid for pod web");
            kubectl.run("exec none -- true").fails("pods \"none\" not found");
        }
    });
}

#[test]
fn a_pod_is_run_with_input_and_its_exit_code() {
    with_each(processes, "stream-attach", |k| {
        web(k, "read line < /dev/null; while sleep 0.05; do echo tick; done");
        for (name, kubectl) in ["one", "two"].into_iter().zip(BOTH.map(|websocket| k.speaking(websocket))) {
            let script = "while read line; do echo got $line; done; printf end; exit 5";
            let run = ["run", name, "-i", "--rm", "--image=orch.local/toolbox:latest", "--restart=Never", "--command"];
            let ran = kubectl.args(&[&run[..], &["--", "sh", "-c", script]].concat(), b"a\nb\n");
            assert_eq!(status(&ran), 5, "{}", ran.all());
            assert!(ran.stdout().contains("got a\ngot b\nend"), "{}", ran.all());
            let mut attached = kubectl.start(&["attach", "web"], Stdio::null());
            let mut lines = BufReader::new(attached.stdout.take().unwrap()).lines();
            assert_eq!([lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap()], ["tick", "tick"]);
            end(attached);
        }
    });
}

#[test]
fn files_are_copied_both_ways() {
    with_each(processes, "stream-cp", |k| {
        web(k, "sleep 1000");
        if std::process::Command::new("tar").arg("--version").output().is_err() {
            println!("skipped: tar is not installed");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let bytes: Vec<u8> = (0..3u32 << 18).flat_map(u32::to_le_bytes).collect();
        fs::write(path("a"), &bytes).unwrap();
        for kubectl in BOTH.map(|websocket| k.speaking(websocket)) {
            kubectl.run(&format!("cp {} web:{}", path("a"), path("b"))).succeeds();
            kubectl.run(&format!("cp web:{} {}", path("b"), path("c"))).succeeds();
            assert!(fs::read(path("c")).unwrap() == bytes, "what comes back is what was sent");
            [path("b"), path("c")].iter().for_each(|path| fs::remove_file(path).unwrap());
        }
    });
}

#[test]
fn ports_are_forwarded_for_many_connections_and_what_does_not_listen_is_told() {
    let serving = r#""args":["serve","--port","8080"],"readinessProbe":{"tcpSocket":{"port":8080},"periodSeconds":1}"#;
    with_each(processes, "stream-forward", |k| {
        web_with(k, serving);
        for kubectl in BOTH.map(|websocket| k.speaking(websocket)) {
            let mut forward = kubectl.start(&["port-forward", "pod/web", ":8080", ":8081"], Stdio::null());
            let mut lines = BufReader::new(forward.stdout.take().unwrap()).lines();
            let mut port = |inside: &str| {
                let line = lines.find(|l| l.as_ref().is_ok_and(|l| l.contains("127.0.0.1:") && l.ends_with(inside)));
                let line = line.unwrap().unwrap();
                line.split("127.0.0.1:").nth(1).unwrap().split(' ').next().unwrap().parse::<u16>().unwrap()
            };
            let (serving, silent) = (port("8080"), port("8081"));
            let get = move || {
                let mut stream = TcpStream::connect(("127.0.0.1", serving)).unwrap();
                stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
                // A half that has ended leaves the other as it is.
                stream.shutdown(Shutdown::Write).unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).unwrap();
                answer
            };
            let all: Vec<_> = (0..20).map(|_| thread::spawn(get)).collect();
            for one in all {
                let answer = one.join().unwrap();
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
            }
            let mut stream = TcpStream::connect(("127.0.0.1", silent)).unwrap();
            let _ = stream.read(&mut [0; 1]);
            let mut told = String::new();
            forward.stderr.take().unwrap().read_to_string(&mut told).unwrap();
            assert!(told.contains("an error occurred forwarding"), "{told}");
            assert!(
                told.contains("error forwarding port 8081 to pod") && told.contains("connection refused"),
                "{told}"
            );
            end(forward);
        }
    });
}

#[test]
fn a_client_that_vanishes_takes_its_command_along() {
    with_each(processes, "stream-vanish", |k| {
        web(k, "sleep 1000");
        let dir = tempfile::tempdir().unwrap();
        // Half of them flood their command, which reads nothing, so that nobody reads from the client either.
        thread::scope(|scope| {
            for (websocket, flood) in [(true, false), (false, false), (true, true), (false, true)] {
                let fifo = dir.path().join(format!("{websocket}{flood}"));
                scope.spawn(move || vanish(k.speaking(websocket), &fifo, flood));
            }
        });
    });
}

fn vanish(kubectl: Kubectl, fifo: &Path, flood: bool) {
    mkfifo(fifo, Mode::S_IRWXU).unwrap();
    let script = format!("exec sleep 1000 > {}", fifo.display());
    let input = if flood { File::open("/dev/zero").unwrap().into() } else { Stdio::piped() };
    let mut client = kubectl.start(&["exec", "-i", "web", "--", "sh", "-c", &script], input);
    // Waits until the command has opened the other end.
    let mut running = File::open(fifo).unwrap();
    client.kill().unwrap();
    client.wait().unwrap();
    assert_eq!(running.read(&mut [0; 1]).unwrap(), 0, "the command has ended");
}

#[test]
fn kube_rs_speaks_over_https() {
    with_each(processes, "stream-kube-rs", |k| {
        web(k, "sleep 1000");
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio.block_on(speak_kube_rs(k));
    });
}

async fn speak_kube_rs(k: &Kubectl) {
    let file = Kubeconfig::read_from(&k.kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(kube::Client::try_from(config).unwrap(), &k.namespace);
    let params = AttachParams::default().stdin(true).stderr(false);
    let mut session = pods.exec("web", ["cat"], &params).await.unwrap();
    let (mut stdin, mut stdout) = (session.stdin().unwrap(), session.stdout().unwrap());
    let status = session.take_status().unwrap();
    stdin.write_all(b"typed").await.unwrap();
    stdin.shutdown().await.unwrap();
    drop(stdin);
    let mut out = String::new();
    stdout.read_to_string(&mut out).await.unwrap();
    assert_eq!((out.as_str(), status.await.unwrap().status.as_deref()), ("typed", Some("Success")));
    let mut forwarder = pods.portforward("web", &[9]).await.unwrap();
    let error = forwarder.take_error(9).unwrap().await.unwrap();
    assert!(error.contains("connection refused"), "{error}");
}

fn end(mut child: Child) {
    let _ = child.kill();
    child.wait().unwrap();
}
