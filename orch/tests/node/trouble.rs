//! What goes wrong with the machine under a cluster, and how orch says it.

use crate::{
    cluster::{ORCH, until},
    namespaces::inside,
};
use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

/// `orch up` with simulated nodes, which needs no rights.
fn up(dir: &Path, port: u16) -> Command {
    let mut command = Command::new(ORCH);
    command.args(["up", "--runtime", "simulated", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"]).arg(dir);
    command
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The last line that a command complained with; it must fail.
fn complaint(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{text}");
    text.lines().last().unwrap_or_default().to_owned()
}

fn ready(command: &mut Command) -> Running {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("orch is ready"), "{line:?}");
    Running(child)
}

/// Killed when nobody needs it any longer.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_port_or_a_directory_in_use_says_so() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let port = free_port();
    let _running = ready(&mut up(one.path(), port));
    let path = one.path().canonicalize().unwrap();
    assert_eq!(
        complaint(&mut up(one.path(), free_port())),
        format!("orch: the data directory {} is in use by another orch; choose one with --data-dir", path.display())
    );
    assert_eq!(
        complaint(&mut up(two.path(), port)),
        format!("orch: 127.0.0.1:{port} is in use; choose another address with --listen")
    );
    let down = complaint(Command::new(ORCH).args(["down", "--data-dir"]).arg(one.path()));
    assert!(down.contains("is in use by another orch"), "{down}");
}

#[test]
fn a_damaged_store_names_its_file() {
    let dir = tempfile::tempdir().unwrap();
    drop(ready(&mut up(dir.path(), free_port())));
    let mut files: Vec<_> = fs::read_dir(dir.path().join("store")).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|file| fs::metadata(file).unwrap().len() > 4096);
    let file = files.first().expect("a file with objects");
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(file, bytes).unwrap();
    let said = complaint(&mut up(dir.path(), free_port()));
    assert!(said.contains(&file.file_name().unwrap().to_string_lossy().into_owned()), "{said}");
}

#[test]
fn a_full_disk_refuses_writes_and_says_where() {
    if !inside("trouble::a_full_disk_refuses_writes_and_says_where") {
        return;
    }
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    tokio.block_on(full_disk());
}

async fn full_disk() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(dir.path()).status().unwrap();
    assert!(mount.success());
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut child = up(dir.path(), 16443).stdout(Stdio::null()).stderr(log.reopen().unwrap()).spawn().unwrap();
    until("the kubeconfig", async || dir.path().join("kubeconfig").exists()).await;
    let maps = kube::Api::<k8s_openapi::api::core::v1::ConfigMap>::default_namespaced(
        crate::cluster::connect(dir.path()).await,
    );
    let map = |n: usize| {
        let data = serde_json::json!({"metadata": {"name": format!("m{n}")}, "data": {"a": "x".repeat(200_000)}});
        serde_json::from_value(data).unwrap()
    };
    let mut refusal = None;
    for n in 0..40 {
        if let Err(error) = maps.create(&Default::default(), &map(n)).await {
            refusal = Some((n, error.to_string()));
            break;
        }
    }
    let (n, refusal) = refusal.expect("a full disk refuses");
    assert!(refusal.contains("No space left on device") && refusal.contains("store"), "{refusal}");
    // What is read is not harmed, and with room there is no need to start again.
    assert!(maps.get("m0").await.is_ok());
    let more = Command::new("mount").args(["-o", "remount,size=64m"]).arg(dir.path()).status().unwrap();
    assert!(more.success());
    until("a write", async || maps.create(&Default::default(), &map(n)).await.is_ok()).await;
    let _ = child.kill();
    let _ = child.wait();
    let _ = Command::new("umount").arg(dir.path()).status();
}

#[test]
fn two_clusters_share_a_machine() {
    if inside("trouble::two_clusters_share_a_machine") {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        tokio.block_on(neighbours());
    }
}

async fn neighbours() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut running = Vec::new();
    for (n, dir) in dirs.iter().enumerate() {
        let mut command = Command::new(ORCH);
        command.args(["up", "--runtime", "oci", "--listen", &format!("127.0.0.1:{}", 16443 + n), "--data-dir"]);
        running.push(ready(command.arg(dir.path())));
        let kubectl = |line: &str| kubectl(dir.path(), line);
        kubectl(concat!("apply -f ", env!("CARGO_MANIFEST_DIR"), "/../examples/web.yaml"));
    }
    let mut networks = Vec::new();
    for dir in &dirs {
        kubectl(dir.path(), "rollout status deployment/web --timeout=60s");
        let ip: std::net::Ipv4Addr = kubectl(dir.path(), "get svc web -o jsonpath={.spec.clusterIP}").parse().unwrap();
        let hammer = crate::hammer::Hammer::start((ip, 8080).into(), 2, 0, pod_of);
        until("answers of all pods", async || hammer.tally().answers.len() == 3).await;
        let pods = kubectl(dir.path(), "get pods -o jsonpath={.items[*].metadata.name}");
        let tally = hammer.stop().await;
        assert!(tally.failures.is_empty(), "{:?}", tally.failures);
        for name in tally.answers.keys() {
            assert!(pods.contains(name.as_str()), "{name} is none of this cluster's {pods}");
        }
        networks.push(fs::read_to_string(dir.path().join("networks.json")).unwrap());
    }
    assert_ne!(networks[0], networks[1]);
    drop(running);
    for dir in &dirs {
        assert!(Command::new(ORCH).args(["down", "--data-dir"]).arg(dir.path()).status().unwrap().success());
    }
    let left = Command::new("ip").args(["-o", "link"]).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&left.stdout).lines().filter(|line| !line.contains(": lo:")).count(),
        0,
        "{left:?}"
    );
}

fn pod_of(answer: &str) -> String {
    serde_json::from_str::<serde_json::Value>(answer).unwrap()["pod"].as_str().unwrap().to_owned()
}

fn kubectl(dir: &Path, line: &str) -> String {
    let program = crate::tools::kubectls().first().cloned().expect("kubectl");
    let output =
        Command::new(program).arg("--kubeconfig").arg(dir.join("kubeconfig")).args(line.split(' ')).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "kubectl {line}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}
