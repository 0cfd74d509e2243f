//! Namespaces for tests that change the network of their machine.

use crate::tools::{find, kubectls, skip};
use std::process::Command;

/// Set inside of the namespaces.
const INSIDE: &str = "ORCH_TEST_INSIDE";

/// Whether this is the run inside of namespaces of its own. If not, runs the test of that name there and
/// passes its verdict on; or skips it for want of root.
pub(crate) fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    if !nix::unistd::geteuid().is_root() {
        skip("not root");
        return false;
    }
    if !need(&["unshare", "ip", "nft"]) {
        return false;
    }
    let inner = format!("ip link set lo up && exec \"$0\" --exact {test} --nocapture");
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "shared", "sh", "-c", &inner])
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed inside of its namespaces");
    false
}

/// Whether these programs are there; if not, says that the test is skipped.
pub(crate) fn need(programs: &[&str]) -> bool {
    let there = |program: &str| match program {
        "kubectl" => !kubectls().is_empty(),
        other => find(other).is_some(),
    };
    match programs.iter().find(|program| !there(program)) {
        Some(missing) => {
            skip(&format!("{missing} is not installed"));
            false
        }
        None => true,
    }
}
