//! The clients of others that tests drive: where they are, and what a test does without them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Every kubectl to test with: those of `ORCH_KUBECTL` (paths with `:` between them), else the one on `PATH`.
#[allow(dead_code)] // Each test program uses some of these.
pub(crate) fn kubectls() -> Vec<PathBuf> {
    match std::env::var_os("ORCH_KUBECTL") {
        Some(paths) => std::env::split_paths(&paths).collect(),
        None => find("kubectl").into_iter().collect(),
    }
}

/// helm: that of `ORCH_HELM`, else the one on `PATH`.
#[allow(dead_code)]
pub(crate) fn helm() -> Option<PathBuf> {
    std::env::var_os("ORCH_HELM").map(PathBuf::from).or_else(|| find("helm"))
}

/// A Python that has the official client: that of `ORCH_PYTHON`, else `python3` if it has.
#[allow(dead_code)]
pub(crate) fn python() -> Option<PathBuf> {
    let chosen = std::env::var_os("ORCH_PYTHON").map(PathBuf::from).or_else(|| find("python3"))?;
    let imports = Command::new(&chosen).args(["-c", "import kubernetes"]).output();
    imports.is_ok_and(|output| output.status.success()).then_some(chosen)
}

/// A program on `PATH`, or where administrators keep theirs.
#[allow(dead_code)]
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    places.map(|dir| dir.join(program)).find(|file: &PathBuf| Path::is_file(file))
}

/// Says that a test is skipped for want of something; where everything is required, fails instead.
#[allow(dead_code)]
pub(crate) fn skip(reason: &str) {
    let required = std::env::var_os("ORCH_REQUIRE_REAL").is_some_and(|value| value == "1");
    assert!(!required, "{reason}");
    println!("skipped: {reason}");
}
