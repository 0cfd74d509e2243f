use orch_runtime::node::container::Resources;

/// A file to write.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Write {
    pub(super) controller: &'static str,
    pub(super) file: &'static str,
    pub(super) value: String,
    /// Whether the limit matters: some files only exist with swap or newer kernels.
    pub(super) required: bool,
}

/// What to write for some limits, in order.
pub(super) fn writes(resources: &Resources, unified: bool) -> Vec<Write> {
    let mut writes = Vec::new();
    let mut add = |controller, file, value: String, required| writes.push(Write { controller, file, value, required });
    if let Some(bytes) = resources.memory_bytes {
        if unified {
            add("memory", "memory.max", or_max(bytes), true);
            add("memory", "memory.swap.max", "0".into(), false);
            // Like the kubelet: a container out of memory dies as a whole.
            add("memory", "memory.oom.group", "1".into(), false);
        } else {
            add("memory", "memory.limit_in_bytes", bytes.to_string(), true);
            add("memory", "memory.memsw.limit_in_bytes", bytes.to_string(), false);
        }
    }
    if let Some(shares) = resources.cpu_shares {
        let shares = shares.clamp(2, 262_144);
        match unified {
            // runc's mapping of 2..=262144 to 1..=10000.
            true => add("cpu", "cpu.weight", (1 + (shares - 2) * 9999 / 262_142).to_string(), true),
            false => add("cpu", "cpu.shares", shares.to_string(), true),
        }
    }
    let period = resources.cpu_period_us.filter(|period| *period > 0);
    if unified && (resources.cpu_quota_us.is_some() || period.is_some()) {
        let quota = or_max(resources.cpu_quota_us.unwrap_or(-1));
        add("cpu", "cpu.max", format!("{quota} {}", period.unwrap_or(100_000)), true);
    } else if !unified {
        if let Some(period) = period {
            add("cpu", "cpu.cfs_period_us", period.to_string(), true);
        }
        if let Some(quota) = resources.cpu_quota_us {
            add("cpu", "cpu.cfs_quota_us", quota.to_string(), true);
        }
    }
    if let Some(pids) = resources.pids {
        add("pids", "pids.max", or_max(pids), true);
    }
    writes
}

fn or_max(limit: i64) -> String {
    if limit <= 0 { "max".to_owned() } else { limit.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(unified: bool, expected: &[&str]) {
        let resources = Resources {
            cpu_shares: Some(1024),
            cpu_quota_us: Some(50_000),
            cpu_period_us: Some(100_000),
            memory_bytes: Some(1 << 20),
            pids: Some(-1),
            oom_score_adj: None,
        };
        let writes = writes(&resources, unified);
        let lines: Vec<_> = writes.iter().map(|w| format!("{}={}", w.file, w.value)).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn version_1_has_a_file_per_limit() {
        check(
            false,
            &[
                "memory.limit_in_bytes=1048576",
                "memory.memsw.limit_in_bytes=1048576",
                "cpu.shares=1024",
                "cpu.cfs_period_us=100000",
                "cpu.cfs_quota_us=50000",
                "pids.max=max",
            ],
        );
    }

    #[test]
    fn version_2_maps_shares_to_weight() {
        check(
            true,
            &[
                "memory.max=1048576",
                "memory.swap.max=0",
                "memory.oom.group=1",
                "cpu.weight=39",
                "cpu.max=50000 100000",
                "pids.max=max",
            ],
        );
    }

    #[test]
    fn nothing_is_written_for_what_is_not_limited() {
        assert!(writes(&Resources::default(), true).is_empty() && writes(&Resources::default(), false).is_empty());
    }
}
