//! Namespaces for tests that change the network of their machine.

use std::process::Command;

/// Set inside of the namespaces.
const INSIDE: &str = "ORCH_TEST_INSIDE";

/// Whether this is the run inside of namespaces of its own. If not, runs the test of that name there and
/// passes its verdict on; or skips it for want of root.
pub(crate) fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let required = std::env::var_os("ORCH_REQUIRE_REAL").is_some_and(|value| value == "1");
    if let Some(reason) = missing() {
        assert!(!required, "{reason}");
        println!("skipped: {reason}");
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

fn missing() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("not root".into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = |program: &&str| std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    let wanted = ["unshare", "ip", "nft"].into_iter().find(|program| !has(program));
    wanted.map(|program| format!("{program} is not installed"))
}
