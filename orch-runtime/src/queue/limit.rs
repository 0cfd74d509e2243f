//! A token bucket over a whole queue, as client-go's `BucketRateLimiter`.

use std::time::Duration;
use tokio::time::Instant;

/// How many keys a queue hands out: `burst` at once, then one every `every`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How long it takes to earn one key.
    pub every: Duration,
    /// How many keys can be saved up; at least one.
    pub burst: u32,
}

/// A bucket, by the instant at which it would be full again: that says all there is to know (GCRA).
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    limit: RateLimit,
    full_at: Option<Instant>,
}

impl Bucket {
    pub(super) fn new(limit: RateLimit) -> Self {
        Self { limit, full_at: None }
    }

    /// When the next token can be taken; `None` for now.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let saved = self.limit.every.saturating_mul(self.limit.burst.max(1) - 1);
        let at = self.full_at?.checked_sub(saved)?;
        (at > now).then_some(at)
    }

    /// Takes a token, which must be there.
    pub(super) fn take(&mut self, now: Instant) {
        let since = self.full_at.map_or(now, |at| at.max(now));
        self.full_at = Some(since + self.limit.every);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_at_once_and_then_one_by_one() {
        let (mut bucket, now) = (
            Bucket::new(RateLimit { every: Duration::from_secs(1), burst: 3 }),
            Instant::now() + Duration::from_secs(99),
        );
        for _ in 0..3 {
            assert_eq!(bucket.next(now), None);
            bucket.take(now);
        }
        assert_eq!(bucket.next(now), Some(now + Duration::from_secs(1)));
        let later = now + Duration::from_secs(1);
        assert_eq!(bucket.next(later), None);
        bucket.take(later);
        assert_eq!(bucket.next(later), Some(later + Duration::from_secs(1)));
        assert_eq!(bucket.next(later + Duration::from_secs(60)), None);
    }
}
