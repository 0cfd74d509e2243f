//! Which capabilities a container gets.

use orch_runtime::node::container::Security;
use std::{collections::BTreeSet, fs};

/// In the kernel's order.
const NAMES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What containerd and Docker give.
const DEFAULT: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// Names without `CAP_`, of what a container gets when the node itself has `ours`.
///
/// `devices_guarded` says whether the device cgroup works: without it, whoever may make device nodes
/// owns the node's disks.
pub(super) fn granted(security: &Security, ours: u64, devices_guarded: bool) -> Result<Vec<&'static str>, String> {
    let mut set: BTreeSet<&str> = DEFAULT.iter().copied().collect();
    if !devices_guarded {
        set.remove("MKNOD");
    }
    if security.privileged {
        set = NAMES.iter().copied().collect();
    } else {
        let (added, dropped) = (names(&security.add_capabilities)?, names(&security.drop_capabilities)?);
        if has_all(&security.add_capabilities) {
            set = NAMES.iter().copied().collect();
            set.retain(|name| !dropped.contains(name));
        } else {
            if has_all(&security.drop_capabilities) {
                set.clear();
            }
            set.retain(|name| !dropped.contains(name));
            set.extend(added);
        }
    }
    // Nobody can give what they have not.
    Ok(NAMES
        .iter()
        .enumerate()
        .filter(|(bit, name)| ours >> bit & 1 == 1 && set.contains(*name))
        .map(|(_, n)| *n)
        .collect())
}

/// The capabilities of this process, a bit each.
pub(super) fn ours() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let hex = status.lines().find_map(|line| line.strip_prefix(name))?.trim();
        u64::from_str_radix(hex, 16).ok()
    };
    field("CapPrm:").unwrap_or(0) & field("CapBnd:").unwrap_or(0)
}

/// Whether `ours` has CAP_SYS_RESOURCE.
pub(super) fn may_raise_limits(ours: u64) -> bool {
    NAMES.iter().position(|name| *name == "SYS_RESOURCE").is_some_and(|bit| ours >> bit & 1 == 1)
}

fn has_all(list: &[String]) -> bool {
    list.iter().any(|name| name.eq_ignore_ascii_case("ALL"))
}

fn names(list: &[String]) -> Result<Vec<&'static str>, String> {
    let wanted = list.iter().filter(|name| !name.eq_ignore_ascii_case("ALL"));
    wanted
        .map(|name| {
            let upper = name.to_ascii_uppercase();
            let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
            NAMES.iter().find(|known| **known == bare).copied().ok_or_else(|| format!("unknown capability {name:?}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(add: &[&str], drop: &[&str], expected: &[&str]) {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let security = Security { add_capabilities: list(add), drop_capabilities: list(drop), ..Default::default() };
        assert_eq!(granted(&security, u64::MAX, true).unwrap(), expected);
    }

    #[test]
    fn drop_all_then_add_one_leaves_one() {
        check(&["NET_BIND_SERVICE"], &["ALL"], &["NET_BIND_SERVICE"]);
        check(&[], &["all"], &[]);
    }

    #[test]
    fn what_the_node_lacks_is_not_given() {
        let security = Security { privileged: true, ..Default::default() };
        assert_eq!(granted(&security, 0b11, true).unwrap(), ["CHOWN", "DAC_OVERRIDE"]);
    }

    #[test]
    fn unknown_names_are_refused_and_nodes_need_a_guard() {
        let bad = Security { add_capabilities: vec!["FLY".into()], ..Default::default() };
        assert_eq!(granted(&bad, u64::MAX, true).unwrap_err(), "unknown capability \"FLY\"");
        assert!(!granted(&Security::default(), u64::MAX, false).unwrap().contains(&"MKNOD"));
    }
}
