//! [`Pool`]: numbers from a range, each given out once.

use orch_store::Chance;
use std::{collections::BTreeSet, ops::RangeInclusive};

/// How often a random number is tried before the range is searched in order.
const RANDOM_TRIES: usize = 16;

/// Numbers from a range, each given out once.
#[derive(Debug)]
pub(super) struct Pool {
    range: RangeInclusive<u32>,
    used: BTreeSet<u32>,
}

impl Pool {
    pub(super) fn new(range: RangeInclusive<u32>) -> Self {
        Self { range, used: BTreeSet::new() }
    }

    pub(super) fn contains(&self, number: u32) -> bool {
        self.range.contains(&number)
    }

    /// Takes this number; false if it is taken or outside of the range.
    pub(super) fn take(&mut self, number: u32) -> bool {
        self.contains(number) && self.used.insert(number)
    }

    /// Takes any free number: a random one, so that a number is not given again soon after its release.
    pub(super) fn take_any(&mut self, chance: &Chance) -> Option<u32> {
        let (first, last) = (*self.range.start(), *self.range.end());
        let size = u64::from(last.checked_sub(first)?) + 1;
        for _ in 0..RANDOM_TRIES {
            let number = first + u32::try_from(chance.below(size)).unwrap_or(0);
            if self.used.insert(number) {
                return Some(number);
            }
        }
        let free = self.range.clone().find(|number| !self.used.contains(number))?;
        self.used.insert(free);
        Some(free)
    }

    pub(super) fn give_back(&mut self, number: u32) {
        self.used.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_given_out_once_and_again_after_its_return() {
        let mut pool = Pool::new(10..=12);
        let chance = Chance::from_seed(1);
        let mut all: Vec<_> = (0..3).filter_map(|_| pool.take_any(&chance)).collect();
        all.sort_unstable();
        assert_eq!(all, [10, 11, 12]);
        assert_eq!(pool.take_any(&chance), None);
        pool.give_back(11);
        assert!(!pool.take(10) && !pool.take(9) && pool.take(11));
    }
}
