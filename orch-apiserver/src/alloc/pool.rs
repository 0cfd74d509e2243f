//! [`Pool`]: numbers from some ranges, each given out once.

use orch_store::Chance;
use std::{collections::BTreeSet, ops::RangeInclusive};

/// How often a random number is tried before the range is searched in order.
const RANDOM_TRIES: usize = 16;

/// Numbers from some ranges, each given out once.
#[derive(Debug)]
pub(super) struct Pool {
    /// In the order in which they are drawn from.
    ranges: Vec<RangeInclusive<u32>>,
    used: BTreeSet<u32>,
    /// Numbers that are not to be given out, whoever has them.
    reserved: BTreeSet<u32>,
}

impl Pool {
    pub(super) fn new(range: RangeInclusive<u32>) -> Self {
        Self { ranges: vec![range], used: BTreeSet::new(), reserved: BTreeSet::new() }
    }

    /// Draws from these ranges from now on. What is taken stays taken.
    pub(super) fn set_ranges(&mut self, ranges: Vec<RangeInclusive<u32>>) {
        self.ranges = ranges;
    }

    pub(super) fn contains(&self, number: u32) -> bool {
        self.ranges.iter().any(|range| range.contains(&number))
    }

    /// Takes this number; false if it is taken or outside of the ranges.
    pub(super) fn take(&mut self, number: u32) -> bool {
        self.contains(number) && !self.reserved.contains(&number) && self.used.insert(number)
    }

    /// Notes that somebody has this number, whether it could be taken or not.
    pub(super) fn restore(&mut self, number: u32) {
        self.used.insert(number);
    }

    /// Takes any free number: a random one, so that a number is not given again soon after its release.
    pub(super) fn take_any(&mut self, chance: &Chance) -> Option<u32> {
        let free = self.ranges.iter().find_map(|range| self.free(range, chance))?;
        self.used.insert(free);
        Some(free)
    }

    fn free(&self, range: &RangeInclusive<u32>, chance: &Chance) -> Option<u32> {
        let (first, last) = (*range.start(), *range.end());
        let size = u64::from(last.checked_sub(first)?) + 1;
        let is_free = |number: &u32| !self.used.contains(number) && !self.reserved.contains(number);
        let random = (0..RANDOM_TRIES).map(|_| first + u32::try_from(chance.below(size)).unwrap_or(0));
        random.into_iter().find(is_free).or_else(|| range.clone().find(is_free))
    }

    pub(super) fn give_back(&mut self, number: u32) {
        self.used.remove(&number);
    }

    /// Keeps a number from being given out, or lets it be again.
    pub(super) fn reserve(&mut self, number: u32, is_reserved: bool) {
        match is_reserved {
            true => self.reserved.insert(number),
            false => self.reserved.remove(&number),
        };
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

    #[test]
    fn a_further_range_is_drawn_from_when_the_first_is_empty_and_what_it_gave_stays_taken_without_it() {
        let (mut pool, chance) = (Pool::new(10..=10), Chance::from_seed(1));
        pool.set_ranges(vec![10..=10, 20..=20]);
        assert_eq!(
            (pool.take_any(&chance), pool.take_any(&chance), pool.take_any(&chance)),
            (Some(10), Some(20), None)
        );
        pool.set_ranges(vec![10..=10]);
        pool.give_back(10);
        assert_eq!((pool.take(20), pool.take_any(&chance)), (false, Some(10)));
        pool.set_ranges(vec![10..=10, 20..=20]);
        assert_eq!(pool.take_any(&chance), None);
    }

    #[test]
    fn what_is_reserved_is_not_given_out() {
        let (mut pool, chance) = (Pool::new(10..=11), Chance::from_seed(1));
        pool.reserve(10, true);
        assert!(!pool.take(10));
        assert_eq!((pool.take_any(&chance), pool.take_any(&chance)), (Some(11), None));
        pool.reserve(10, false);
        assert!(pool.take(10));
    }

    #[test]
    fn what_somebody_has_is_taken_although_its_range_is_not_known_yet() {
        let mut pool = Pool::new(10..=10);
        pool.restore(20);
        pool.set_ranges(vec![20..=20]);
        assert!(!pool.take(20));
    }
}
