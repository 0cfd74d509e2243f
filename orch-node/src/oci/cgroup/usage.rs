use orch_runtime::node::container::Stats;
use std::time::Duration;

/// Reads a file of the group: (controller, file name) to text.
type Read<'a> = &'a dyn Fn(&str, &str) -> Option<String>;

/// CPU time, memory without what could be reclaimed at once, processes.
pub(super) fn stats(read: Read<'_>) -> Stats {
    let number = |controller, file| read(controller, file)?.trim().parse::<u64>().ok();
    let field = |controller, file, key| field(&read(controller, file)?, key);
    let cpu = number("cpuacct", "cpuacct.usage")
        .map(Duration::from_nanos)
        .or_else(|| field("cpu", "cpu.stat", "usage_usec").map(Duration::from_micros));
    let used = number("memory", "memory.usage_in_bytes").or_else(|| number("memory", "memory.current"));
    let cache = field("memory", "memory.stat", "total_inactive_file")
        .or_else(|| field("memory", "memory.stat", "inactive_file"));
    Stats {
        cpu: cpu.unwrap_or_default(),
        memory_bytes: used.unwrap_or_default().saturating_sub(cache.unwrap_or_default()),
        pids: number("pids", "pids.current").unwrap_or_default(),
    }
}

/// How many processes were killed for want of memory.
pub(super) fn oom_kills(read: Read<'_>) -> u64 {
    let field = |file| field(&read("memory", file)?, "oom_kill");
    field("memory.oom_control").or_else(|| field("memory.events")).unwrap_or_default()
}

fn field(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &'static [(&'static str, &'static str)]) -> impl Fn(&str, &str) -> Option<String> {
        move |_, name| list.iter().find(|(file, _)| *file == name).map(|(_, text)| (*text).to_owned())
    }

    #[test]
    fn both_versions_are_measured_alike() {
        let v1 = files(&[
            ("cpuacct.usage", "1500000000\n"),
            ("memory.usage_in_bytes", "1000\n"),
            ("memory.stat", "inactive_file 1\ntotal_inactive_file 400\n"),
            ("pids.current", "3\n"),
        ]);
        let v2 = files(&[
            ("cpu.stat", "usage_usec 1500000\nuser_usec 1\n"),
            ("memory.current", "1000\n"),
            ("memory.stat", "anon 5\ninactive_file 400\n"),
            ("pids.current", "3\n"),
        ]);
        let expected = Stats { cpu: Duration::from_millis(1500), memory_bytes: 600, pids: 3 };
        assert_eq!(stats(&v1), expected);
        assert_eq!(stats(&v2), expected);
    }

    #[test]
    fn kills_for_memory_are_counted() {
        let v1 = files(&[("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")]);
        let v2 = files(&[("memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 1\n")]);
        assert_eq!((oom_kills(&v1), oom_kills(&v2), oom_kills(&files(&[]))), (2, 2, 0));
    }
}
