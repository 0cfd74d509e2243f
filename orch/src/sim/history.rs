//! [`History`]: what happened, one line each, with the virtual time. The same seed gives the same lines.

use std::{fmt, fmt::Write, time::Duration};

/// Lines in the order in which things happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    lines: Vec<String>,
}

impl History {
    /// Adds a line.
    pub fn add(&mut self, at: Duration, words: impl fmt::Display) {
        self.lines.push(format!("{} {words}", Clock(at)));
    }

    /// All lines.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The last lines, for a report: without the heartbeats of nodes.
    pub fn tail(&self, count: usize) -> Vec<String> {
        let beats = |line: &str| line.contains(" Lease ") || line.contains("].lastHeartbeatTime=");
        let mut last: Vec<String> = self.lines.iter().rev().filter(|line| !beats(line)).take(count).cloned().collect();
        last.reverse();
        last
    }

    /// The first line in which two histories differ, with what each says there.
    pub fn differs(&self, other: &Self) -> Option<String> {
        let longest = self.lines.len().max(other.lines.len());
        let at = (0..longest).find(|i| self.lines.get(*i) != other.lines.get(*i))?;
        let line = |history: &Self| history.lines.get(at).cloned().unwrap_or_else(|| "(the end)".into());
        Some(format!("line {}:\n  {}\n  {}", at + 1, line(self), line(other)))
    }

    /// A number that two equal histories share (FNV-1a), to compare runs of two processes.
    pub fn fingerprint(&self) -> u64 {
        let bytes = self.lines.iter().flat_map(|line| line.bytes().chain([b'\n']));
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A duration as hours, minutes, seconds and milliseconds.
struct Clock(Duration);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ms) = (self.0.as_secs(), self.0.subsec_millis());
        write!(f, "{:02}:{:02}:{:02}.{ms:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

/// The words of a change: the changed leaves, with long values cut, since keys and certificates differ between runs.
pub(super) fn change(before: &serde_json::Value, after: &serde_json::Value) -> String {
    let mut words = String::new();
    let mut left_out = 0;
    for leaf in orch_runtime::plan::changes(&without_noise(before), &without_noise(after)) {
        if words.len() > 300 {
            left_out += 1;
            continue;
        }
        let cut = leaf.char_indices().nth(80).map_or(leaf.len(), |(at, _)| at);
        let key_or_certificate = leaf.contains("-----BEGIN");
        let leaf = if key_or_certificate { leaf.split('=').next().unwrap_or_default() } else { &leaf[..cut] };
        let _ = write!(words, " {leaf}");
    }
    if left_out > 0 {
        let _ = write!(words, " and {left_out} more");
    }
    words
}

/// Without what every write changes.
fn without_noise(value: &serde_json::Value) -> serde_json::Value {
    let mut value = value.clone();
    if let Some(meta) = value.get_mut("metadata").and_then(serde_json::Value::as_object_mut) {
        for name in ["managedFields", "resourceVersion", "creationTimestamp"] {
            meta.remove(name);
        }
    }
    value
}
