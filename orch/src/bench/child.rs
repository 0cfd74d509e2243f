//! The binary itself, started on loopback over a directory of its own, and what it costs from outside.

use super::{
    Result, Row, Unit,
    http::Endpoint,
    objects,
    proc::Process,
    remote::{self, Scratch},
};
use http::Method;
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::Instant,
};

/// How many objects the full store has.
const STORED: usize = 10_000;
/// How long an idle process is watched.
const IDLE: Duration = Duration::from_secs(5);

/// A running binary; removed with its directory when it is dropped.
pub(super) struct Child {
    process: tokio::process::Child,
    directory: Directory,
    /// How to reach it.
    pub(super) endpoint: Endpoint,
    /// From start to the answer of `/readyz`.
    pub(super) ready_after: Duration,
}

/// A directory that is removed when it is dropped.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.0);
    }
}

impl Child {
    /// Starts the binary over a new directory.
    pub(super) async fn start(nodes: u32) -> Result<Self> {
        let name = format!("orch-bench-{}-{}", std::process::id(), orch_store::Chance::from_os().suffix(5));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)?;
        Self::start_over(Directory(path), nodes).await
    }

    async fn start_over(directory: Directory, nodes: u32) -> Result<Self> {
        let started = Instant::now();
        let mut process = Command::new(std::env::current_exe()?)
            .args([
                "up",
                "--runtime",
                "simulated",
                "--listen",
                "127.0.0.1:0",
                "--nodes",
                &nodes.to_string(),
                "--data-dir",
            ])
            .arg(&directory.0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = process.stdout.take().ok_or("the child has no output")?;
        let mut lines = BufReader::new(output).lines();
        if lines.next_line().await?.is_none() {
            let output = process.wait_with_output().await?;
            return Err(format!("orch up did not start: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
        }
        let pid = process.id().ok_or("orch up ended at once")?;
        let endpoint = Endpoint::of_kubeconfig(&kubeconfig(&directory.0), Some(Process::of(pid))).await?;
        endpoint.connect().await?.send(Method::GET, "/readyz", None).await?;
        Ok(Self { process, directory, endpoint, ready_after: started.elapsed() })
    }

    /// Ends the binary and removes what it kept.
    pub(super) async fn stop(self) -> Result<()> {
        self.end().await.map(drop)
    }

    async fn end(mut self) -> Result<Directory> {
        if let Some(pid) = self.process.id().and_then(|pid| i32::try_from(pid).ok()) {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM)?;
        }
        self.process.wait().await?;
        Ok(self.directory)
    }
}

/// Start and idle costs of the binary, new and with a full store.
pub(super) async fn figures(show: &mut dyn FnMut(Row)) -> Result<()> {
    let child = Child::start(0).await?;
    show(ms("binary: start to /readyz, new", child.ready_after).budget(150.0).kubernetes(2900.0));
    tokio::time::sleep(Duration::from_secs(2)).await;
    idle(&child, show).await?;
    let scratch = Scratch::new(&child.endpoint).await?;
    remote::create_many(&scratch, "configmaps", 32, STORED, &objects::config_map).await?;
    let directory = child.end().await?;
    let child = Child::start_over(directory, 0).await?;
    let name = format!("binary: start to /readyz, {STORED} objects stored");
    show(ms(&name, child.ready_after).budget(150.0));
    child.stop().await
}

async fn idle(child: &Child, show: &mut dyn FnMut(Row)) -> Result<()> {
    let process = child.endpoint.process.ok_or("the child has no process")?;
    let before = process.cpu()?;
    tokio::time::sleep(IDLE).await;
    let share = (process.cpu()? - before).as_secs_f64() / IDLE.as_secs_f64() * 100.0;
    show(Row::new("binary: idle processor", share, Unit::Percent).budget(0.0).kubernetes(5.0));
    let memory = process.resident()? as f64 / 1e6;
    show(Row::new("binary: idle memory", memory, Unit::Megabytes).budget(40.0).kubernetes(504.0));
    Ok(())
}

fn ms(name: &str, duration: Duration) -> Row {
    Row::new(name, duration.as_secs_f64() * 1e3, Unit::Milliseconds)
}

fn kubeconfig(directory: &Path) -> PathBuf {
    directory.join("kubeconfig")
}
