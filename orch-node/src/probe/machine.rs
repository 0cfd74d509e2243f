//! Thresholds, as `prober/worker.go` counts them.

use k8s_openapi::api::core::v1::Probe;
use std::time::Duration;

/// What a probe decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Whether the container has started; the others wait for it.
    Startup,
    /// Whether it must be restarted.
    Liveness,
    /// Whether it gets traffic.
    Readiness,
}

impl Kind {
    /// The word of the `Unhealthy` event.
    pub fn word(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }
}

/// When and how often a probe is made, with the API's defaults for what is unset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Wait after the container started.
    pub initial_delay: Duration,
    /// Between two probes.
    pub period: Duration,
    /// Until a probe counts as failed.
    pub timeout: Duration,
    /// Successes in a row that are needed.
    pub successes: u32,
    /// Failures in a row that are needed.
    pub failures: u32,
}

impl Settings {
    /// Reads a probe's settings.
    pub fn of(probe: &Probe) -> Self {
        let seconds = |value: Option<i32>, default: u64| {
            Duration::from_secs(value.and_then(|v| u64::try_from(v).ok()).unwrap_or(default))
        };
        let count = |value: Option<i32>, default| value.and_then(|v| u32::try_from(v).ok()).unwrap_or(default).max(1);
        Self {
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10).max(Duration::from_secs(1)),
            timeout: seconds(probe.timeout_seconds, 1).max(Duration::from_secs(1)),
            successes: count(probe.success_threshold, 1),
            failures: count(probe.failure_threshold, 3),
        }
    }
}

/// Counts results in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    last: Option<bool>,
    run: u32,
}

impl Machine {
    /// Takes one result; the verdict when a threshold is reached.
    pub fn feed(&mut self, success: bool, settings: &Settings) -> Option<bool> {
        self.run = if self.last == Some(success) { self.run.saturating_add(1) } else { 1 };
        self.last = Some(success);
        let needed = if success { settings.successes } else { settings.failures };
        (self.run >= needed).then_some(success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(results: &str, expected: &str) {
        let probe = Probe { success_threshold: Some(2), failure_threshold: Some(3), ..Probe::default() };
        let (mut machine, settings) = (Machine::default(), Settings::of(&probe));
        let verdicts: String = results
            .chars()
            .map(|c| match machine.feed(c == '+', &settings) {
                None => '.',
                Some(true) => '+',
                Some(false) => '-',
            })
            .collect();
        assert_eq!(verdicts, expected);
    }

    #[test]
    fn verdicts_need_a_full_run_of_equal_results() {
        check("++", ".+");
        check("+-+-+", ".....");
        check("---", "..-");
        check("----++-+", "..--.+..");
    }

    #[test]
    fn unset_fields_have_the_defaults_of_the_api() {
        let settings = Settings::of(&Probe::default());
        assert_eq!((settings.period.as_secs(), settings.timeout.as_secs()), (10, 1));
        assert_eq!((settings.successes, settings.failures), (1, 3));
    }
}
