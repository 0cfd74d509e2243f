//! The first of README's two commands by somebody who is not root: pods are processes, and Services lead to them.

use crate::{
    cluster::until,
    hammer::Hammer,
    namespaces::{inside, need},
    tools::kubectls,
};
use std::{
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

/// The user `nobody`, without groups.
const NOBODY: &[&str] = &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/web.yaml");

/// A Service at a port that only root may listen on.
const LOW: &str = r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"low"},
    "spec":{"selector":{"app":"web"},"ports":[{"port":80,"targetPort":"http"}]}}"#;

#[test]
fn without_root_services_lead_to_pods_that_are_processes() {
    let name = "unprivileged::without_root_services_lead_to_pods_that_are_processes";
    let is_root = nix::unistd::geteuid().is_root();
    if (!is_root || inside(name)) && need(&["kubectl"]) && (!is_root || need(&["setpriv"])) {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        tokio.block_on(story());
    }
}

async fn story() {
    let user = User::new();
    let (orch, said) = user.up();
    assert!(said.iter().any(|line| line.contains("nothing is isolated")), "{said:?}");
    assert_eq!(user.kubectl("apply -f examples/web.yaml"), "deployment.apps/web created\nservice/web created\n");
    user.kubectl("rollout status deployment/web --timeout=60s");
    let ip = user.kubectl("get service web -o jsonpath={.spec.clusterIP}");
    let ip: Ipv4Addr = ip.parse().unwrap();
    assert!(ip.is_loopback(), "{ip}");

    let hammer = Hammer::start(SocketAddr::from((ip, 8080)), 2, 0, pod_of);
    until("answers of all three pods", async || hammer.tally().answers.len() == 3).await;
    // The pods drain for two seconds and the proxy passes on to the others at once.
    user.kubectl("rollout restart deployment/web");
    user.kubectl("rollout status deployment/web --timeout=90s");
    until("the end of the old pods", async || user.kubectl("get pods -o name").lines().count() == 3).await;
    let tally = hammer.stop().await;
    println!("{} requests, {} failures", tally.requests, tally.failures.len());
    assert!(tally.failures.is_empty(), "{:#?}", tally.failures);

    std::fs::write(user.home.path().join("low.json"), LOW).unwrap();
    user.kubectl("apply -f low.json");
    let events = "get events -o jsonpath={.items[?(@.involvedObject.name==\"low\")].message}";
    until("an event", async || user.kubectl(events).contains("Services are reached at ports from 1024 on")).await;
    let dns = user.kubectl("get service -n kube-system kube-dns -o jsonpath={.spec.clusterIP}:{.spec.ports[0].port}");
    until("an answer of the DNS", async || resolve(&dns, "web.default.svc.cluster.local") == Some(ip)).await;

    // Killed and started again it goes on with the same pods.
    let pods = user.kubectl("get pods -o jsonpath={.items[*].status.containerStatuses[*].containerID}");
    drop(orch);
    let (orch, _) = user.up();
    let hammer = Hammer::start(SocketAddr::from((ip, 8080)), 1, 0, pod_of);
    until("answers of all three pods", async || hammer.tally().answers.len() == 3).await;
    hammer.stop().await;
    assert_eq!(user.kubectl("get pods -o jsonpath={.items[*].status.containerStatuses[*].containerID}"), pods);
    assert!(orch.interrupted().success());
    let down = user.command(&user.orch, &["down"]).output().unwrap();
    assert!(down.status.success() && String::from_utf8_lossy(&down.stdout).contains('3'), "{down:?}");
}

/// Somebody who is not root, with a home and the binary.
struct User {
    home: tempfile::TempDir,
    orch: PathBuf,
}

impl User {
    fn new() -> Self {
        let home = tempfile::Builder::new().prefix("orch-user-").tempdir().unwrap();
        // The build directory may be closed to others.
        let orch = home.path().join("orch");
        std::fs::copy(crate::cluster::ORCH, &orch).unwrap();
        std::fs::create_dir(home.path().join("examples")).unwrap();
        std::fs::copy(EXAMPLE, home.path().join("examples/web.yaml")).unwrap();
        if nix::unistd::geteuid().is_root() {
            std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
            std::os::unix::fs::chown(home.path(), Some(65534), Some(65534)).unwrap();
        }
        Self { home, orch }
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let words = if nix::unistd::geteuid().is_root() { NOBODY } else { &["env"] };
        let (first, rest) = words.split_first().unwrap();
        let mut command = Command::new(first);
        command.args(rest).arg(program).args(arguments).current_dir(self.home.path());
        command.env("HOME", self.home.path()).env_remove("XDG_DATA_HOME").env_remove("ORCH_DATA_DIR");
        command
    }

    /// `orch up`, and what it said until it was ready.
    fn up(&self) -> (Running, Vec<String>) {
        let mut command = self.command(&self.orch, &["up", "--listen", "127.0.0.1:16443"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert!(ready.starts_with("orch is ready"), "{ready:?}");
        let said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        (Running(child), said.take(2).collect())
    }

    fn kubectl(&self, line: &str) -> String {
        let kubeconfig = self.home.path().join(".local/share/orch/kubeconfig");
        let program = kubectls().first().cloned().unwrap();
        let output = Command::new(program)
            .current_dir(self.home.path())
            .env("KUBECONFIG", kubeconfig)
            .args(line.split(' '))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "kubectl {line}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }
}

/// What a failed test leaves.
impl Drop for User {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.command(&self.orch, &["down"]).output();
        }
    }
}

/// A running orch, killed when nobody needs it any longer.
struct Running(Child);

impl Running {
    /// Control-C
    fn interrupted(mut self) -> ExitStatus {
        let pid = nix::unistd::Pid::from_raw(self.0.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
        self.0.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn pod_of(answer: &str) -> String {
    serde_json::from_str::<serde_json::Value>(answer).unwrap()["pod"].as_str().unwrap().to_owned()
}

/// The address that a name server gives for a name.
fn resolve(server: &str, name: &str) -> Option<Ipv4Addr> {
    let mut question = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).unwrap());
        question.extend_from_slice(label.as_bytes());
    }
    question.extend_from_slice(&[0, 0, 1, 0, 1]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    socket.send_to(&question, server).ok()?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).ok()?;
    // One answer, whose last four bytes are the address; no other records follow.
    let address: [u8; 4] = answer[..length].last_chunk().copied()?;
    (answer[7] == 1 && length > question.len()).then(|| address.into())
}
