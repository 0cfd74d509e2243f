//! What the kernel says of a process.

use super::Result;
use std::{path::PathBuf, time::Duration};

/// Clock ticks per second in `/proc`; fixed by Linux's interface to programs.
const TICKS: u32 = 100;

/// A process to look at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process(u32);

impl Process {
    pub(super) fn of(pid: u32) -> Self {
        Self(pid)
    }

    pub(super) fn this() -> Self {
        Self(std::process::id())
    }

    /// Resident memory in bytes.
    pub(super) fn resident(self) -> Result<u64> {
        self.status("VmRSS:")
    }

    /// Resident memory in bytes that is the process' own, without the text of the program: that is the kernel's to share and
    /// to drop.
    pub(super) fn own(self) -> Result<u64> {
        self.status("RssAnon:")
    }

    /// The most resident memory in bytes since [`Process::forget_peak`].
    pub(super) fn peak(self) -> Result<u64> {
        self.status("VmHWM:")
    }

    /// Starts to look for the peak anew.
    pub(super) fn forget_peak(self) -> Result<()> {
        Ok(std::fs::write(self.file("clear_refs"), "5")?)
    }

    /// Processor time that was used.
    pub(super) fn cpu(self) -> Result<Duration> {
        let text = std::fs::read_to_string(self.file("stat"))?;
        let ticks = cpu_ticks(&text).ok_or("the kernel's words are not understood")?;
        Ok(Duration::from_secs(ticks) / TICKS)
    }

    fn status(self, field: &str) -> Result<u64> {
        let text = std::fs::read_to_string(self.file("status"))?;
        Ok(kilobytes(&text, field).ok_or_else(|| format!("the kernel does not say {field}"))? * 1024)
    }

    fn file(self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.0).into()
    }
}

fn kilobytes(status: &str, field: &str) -> Option<u64> {
    status.lines().find_map(|l| l.strip_prefix(field))?.split_whitespace().next()?.parse().ok()
}

/// User and system time: fields 14 and 15, counted behind the name, which may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_by_its_name() {
        assert_eq!(kilobytes("Name:\tx\nVmRSS:\t  123 kB\n", "VmRSS:"), Some(123));
        assert_eq!(kilobytes("Name:\tx\n", "VmRSS:"), None);
    }

    #[test]
    fn a_name_with_spaces_does_not_shift_the_fields() {
        let stat = "7 (a b) c) S 1 1 1 0 -1 4194560 1 2 3 4 40 2 0 0 20 0 9 0";
        assert_eq!(cpu_ticks(stat), Some(42));
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(Process::this().resident().unwrap() > 0);
        assert!(Process::this().cpu().is_ok());
    }
}
