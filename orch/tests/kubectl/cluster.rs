//! Clusters that tests share: the binary, started once for each kind of node that tests need.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

/// A running binary. It ends when its parent does, and its directory goes with it.
pub(crate) struct Cluster {
    pub(crate) kubeconfig: PathBuf,
    _directory: tempfile::TempDir,
    _child: Child,
}

/// Three nodes whose pods run no processes.
pub(crate) fn simulated() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::start(&["--runtime", "simulated", "--nodes", "3"]))
}

/// The same, for tests that take nodes away from pods.
pub(crate) fn restless() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::start(&["--runtime", "simulated", "--nodes", "3"]))
}

/// This machine as a node whose pods are plain processes.
pub(crate) fn processes() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::start(&["--runtime", "process"]))
}

/// A node, for the tests of operators: each watches all namespaces, so that two would fight.
pub(crate) fn for_operator_on_kube() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::start(&["--runtime", "simulated", "--nodes", "1"]))
}

/// The same for the other operator.
pub(crate) fn for_operator_on_orch() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::start(&["--runtime", "simulated", "--nodes", "1"]))
}

impl Cluster {
    fn start(arguments: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("orch-kubectl-").tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // The shell ends the cluster when the pipe from this process closes, and removes what it ran.
        let script = r#"exec 3<&0
            "$0" up "$@" & child=$!
            cat >/dev/null <&3
            kill $child; wait $child
            "$0" down >/dev/null 2>&1; rm -rf "$ORCH_DATA_DIR""#;
        let mut child = Command::new("bash")
            .args(["-c", script, env!("CARGO_BIN_EXE_orch"), "--store", "memory"])
            .args(arguments)
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .env("ORCH_DATA_DIR", directory.path())
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
