//! The binary, run as a user runs it.

use kube::{
    Client,
    config::{KubeConfigOptions, Kubeconfig},
};
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

/// The binary under test.
pub(crate) const ORCH: &str = env!("CARGO_BIN_EXE_orch");
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `orch up`; removes its pods when a test fails.
pub(crate) struct Orch {
    child: Child,
    dir: PathBuf,
}

impl Orch {
    /// Starts a cluster with real containers in a data directory, and waits until it is ready.
    pub(crate) fn up(dir: &Path) -> Self {
        let mut child = Command::new(ORCH)
            .args(["up", "--listen", "127.0.0.1:16443", "--runtime", "oci", "--data-dir"])
            .arg(dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("orch is ready"), "{line:?}");
        Self { child, dir: dir.to_owned() }
    }

    /// `kill -9`
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// An orderly end.
    pub(crate) fn end(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    /// An orderly end, and `orch down`.
    pub(crate) fn down(&mut self) {
        self.end();
        let down = Command::new(ORCH).args(["down", "--data-dir"]).arg(&self.dir).output().unwrap();
        assert!(down.status.success(), "{down:?}");
    }

    /// What kubectl prints; it must succeed.
    pub(crate) fn kubectl(&self, line: &str) -> String {
        let output = self.try_kubectl(line);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "kubectl {line}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// What kubectl does.
    pub(crate) fn try_kubectl(&self, line: &str) -> Output {
        let mut command = Command::new(crate::tools::kubectls().first().expect("kubectl"));
        command.arg("--kubeconfig").arg(self.dir.join("kubeconfig")).args(line.split(' ')).output().unwrap()
    }
}

impl Drop for Orch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            let _ = Command::new(ORCH).args(["down", "--data-dir"]).arg(&self.dir).status();
        }
    }
}

/// A client of the cluster of a data directory.
pub(crate) async fn connect(dir: &Path) -> Client {
    let file = Kubeconfig::read_from(dir.join("kubeconfig")).unwrap();
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

/// Asks until the answer is yes.
pub(crate) async fn until(what: &str, mut test: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !test().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what} never came"));
}
