//! Which system call filter a container gets.

use serde_json::Value;

/// Whether this build can filter.
pub(super) const AVAILABLE: bool = cfg!(feature = "seccomp");

/// The `linux.seccomp` of a profile; `None` for none.
///
/// `RuntimeDefault` is refused by nobody: where the build cannot filter it runs unfiltered, as
/// `RuntimeInfo::limitations` says. A profile that was named is never silently left out.
pub(super) fn filter(profile: Option<&str>, privileged: bool) -> Result<Option<Value>, String> {
    match profile {
        _ if privileged => Ok(None),
        None | Some("" | "Unconfined") => Ok(None),
        Some("RuntimeDefault") => Ok(AVAILABLE.then(runtime_default)),
        Some(path) if AVAILABLE => {
            let text = std::fs::read(path).map_err(|error| format!("seccomp profile {path}: {error}"))?;
            let profile = serde_json::from_slice(&text).map_err(|error| format!("seccomp profile {path}: {error}"))?;
            Ok(Some(profile))
        }
        Some(path) => {
            Err(format!("seccomp profile {path} cannot be applied: this build has no libseccomp (feature `seccomp`)"))
        }
    }
}

/// Refuses the system calls that Docker's documentation lists as blocked by its default profile and that
/// no capability of the default set is for; everything else is left to capabilities and namespaces.
fn runtime_default() -> Value {
    const BLOCKED: &[&str] = &[
        "acct",
        "add_key",
        "bpf",
        "clock_adjtime",
        "clock_settime",
        "delete_module",
        "finit_module",
        "init_module",
        "ioperm",
        "iopl",
        "kcmp",
        "kexec_file_load",
        "kexec_load",
        "keyctl",
        "lookup_dcookie",
        "mount",
        "move_mount",
        "move_pages",
        "name_to_handle_at",
        "nfsservctl",
        "open_by_handle_at",
        "open_tree",
        "perf_event_open",
        "personality",
        "pivot_root",
        "process_vm_readv",
        "process_vm_writev",
        "quotactl",
        "reboot",
        "request_key",
        "setns",
        "settimeofday",
        "swapoff",
        "swapon",
        "sysfs",
        "umount2",
        "unshare",
        "uselib",
        "userfaultfd",
        "ustat",
        "vhangup",
        "fsopen",
        "fsmount",
        "fsconfig",
        "fspick",
        "mount_setattr",
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
    ];
    serde_json::json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": BLOCKED, "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_profile_is_applied_or_refused_but_never_ignored() {
        assert_eq!(filter(Some("Unconfined"), false), Ok(None));
        assert_eq!(filter(Some("RuntimeDefault"), false).unwrap().is_some(), AVAILABLE);
        assert_eq!(filter(Some("/profile"), true), Ok(None), "privileged containers are not filtered");
        assert!(filter(Some("/no/such/profile.json"), false).is_err());
    }
}
