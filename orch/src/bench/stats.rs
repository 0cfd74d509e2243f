//! [`Samples`]: what many measurements of the same thing say together.

use std::time::Duration;

/// Durations of the same thing.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Samples in any order.
    pub fn new(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        Self(all)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The smallest sample that at least this fraction of all samples does not exceed (nearest rank); zero when
    /// there are none.
    pub fn quantile(&self, fraction: f64) -> Duration {
        let rank = (fraction * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.clamp(1, self.0.len().max(1)) - 1).copied().unwrap_or_default()
    }

    /// Half of the samples are not longer.
    pub fn median(&self) -> Duration {
        self.quantile(0.5)
    }

    /// `p50 … ms, p99 … ms`
    pub fn words(&self) -> String {
        format!("p50 {}, p99 {}", milliseconds(self.median()), milliseconds(self.quantile(0.99)))
    }
}

/// A duration in milliseconds, with as many digits as mean something.
pub(super) fn milliseconds(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    let digits = if ms < 1.0 {
        3
    } else if ms < 100.0 {
        1
    } else {
        0
    };
    format!("{ms:.digits$} ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(ms: &[u64]) -> Samples {
        Samples::new(ms.iter().map(|ms| Duration::from_millis(*ms)).collect())
    }

    #[test]
    fn quantiles_are_samples_by_nearest_rank() {
        let hundred: Vec<u64> = (1..=100).rev().collect();
        let check = |fraction, ms| assert_eq!(samples(&hundred).quantile(fraction), Duration::from_millis(ms));
        check(0.0, 1);
        check(0.5, 50);
        check(0.99, 99);
        check(1.0, 100);
        assert_eq!(samples(&[7]).quantile(0.99), Duration::from_millis(7));
    }

    #[test]
    fn no_samples_take_no_time() {
        assert!(samples(&[]).is_empty());
        assert_eq!(samples(&[]).quantile(0.99), Duration::ZERO);
    }

    #[test]
    fn milliseconds_show_what_matters() {
        let check = |micros, words: &str| assert_eq!(milliseconds(Duration::from_micros(micros)), words);
        check(12, "0.012 ms");
        check(1_250, "1.2 ms");
        check(123_456, "123 ms");
        assert_eq!(samples(&[1, 2, 3]).words(), "p50 2.0 ms, p99 3.0 ms");
    }
}
