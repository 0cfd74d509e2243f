//! The `nft` and `conntrack` programs.

use std::process::Stdio;
use tokio::{io::AsyncWriteExt, process::Command};

/// Runs a script as one transaction: all of it happens or nothing.
pub(crate) async fn run(script: &str) -> Result<(), String> {
    feed(script).await.map(drop)
}

/// What the kernel holds under a map's key, such as `10.244.0.7 . 80`; `None` when the key or the map is not there.
pub(crate) async fn element(table: &str, map: &str, key: &str) -> Option<String> {
    let output = feed(&format!("get element ip {table} {map} {{ {key} }}\n")).await.ok()?;
    let (_, elements) = output.split_once("elements = {")?;
    let (_, found) = elements.split_once(" : ")?;
    Some(found.split(['}', ',']).next()?.trim().to_owned())
}

/// Deletes what the kernel remembers of connections that match. Nothing matching, or no such program, is no error:
/// the entries then end by their own age.
pub(crate) async fn forget_connections(matching: &[&str]) {
    let output = Command::new("conntrack").arg("-D").args(matching).output().await;
    if let Err(error) = output {
        tracing::debug!(%error, "conntrack");
    }
}

/// Whether a program is on the path.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

async fn feed(script: &str) -> Result<String, String> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| format!("nft: {e}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes()).await.map_err(|e| format!("nft: {e}"))?;
    }
    let output = child.wait_with_output().await.map_err(|e| format!("nft: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("nft: {}", errors.lines().next().unwrap_or("failed")))
}
