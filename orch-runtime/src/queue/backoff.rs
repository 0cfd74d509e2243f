//! Exponential backoff, as client-go's `ItemExponentialFailureRateLimiter`.

use std::time::Duration;

/// How long a key waits after its n-th failure in a row: `base` × 2ⁿ⁻¹, at most `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub base: Duration,
    /// The longest wait.
    pub max: Duration,
    /// For how long at most events are held back as well. They may be what the key waits for, so they do not wait for
    /// `max`; and they may be spurious, so a key that fails is never worked on more often than this.
    pub hold: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_millis(5), max: Duration::from_secs(1000), hold: Duration::from_secs(1) }
    }
}

impl Backoff {
    /// The wait after so many failures in a row.
    pub fn after(&self, failures: u32) -> Duration {
        let factor = 2_u32.checked_pow(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.max)
    }
}
