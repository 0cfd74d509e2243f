//! [`Cluster`]: the binary, started once for many tests.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A running binary. It ends when its parent does, and its directory goes with it.
pub(crate) struct Cluster {
    pub(crate) kubeconfig: PathBuf,
    _directory: tempfile::TempDir,
    child: Child,
}

#[allow(dead_code)] // Each test program uses some of these.
impl Cluster {
    /// Starts a cluster that keeps its objects in memory.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::launch(&[], arguments, |_| {})
    }

    /// The same through a launcher, such as `unshare --net`, once the data directory is prepared. The launcher must become
    /// what it starts.
    pub(crate) fn launch(launcher: &[&str], arguments: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let directory = tempfile::Builder::new().prefix("orch-shared-").tempdir().unwrap();
        prepare(directory.path());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // The shell ends the cluster when the pipe from this process closes, and removes what it ran.
        let script = r#"exec 3<&0
            "$0" up "$@" & child=$!
            cat >/dev/null <&3
            kill $child; wait $child
            "$0" down >/dev/null 2>&1; rm -rf "$ORCH_DATA_DIR""#;
        let words = [launcher, &["bash", "-c", script, env!("CARGO_BIN_EXE_orch"), "--store", "memory"]].concat();
        let mut child = Command::new(words[0])
            .args(&words[1..])
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
        Self { kubeconfig: directory.path().join("kubeconfig"), _directory: directory, child }
    }

    /// The network in which the cluster is.
    pub(crate) fn network(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.child.id()).into()
    }
}
