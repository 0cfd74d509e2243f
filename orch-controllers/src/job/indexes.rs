//! [`Indexes`]: completion indexes as a Job's status writes them, `0,2-4,7` (`pkg/controller/job/indexed_job_utils.go`).

use std::{collections::BTreeSet, fmt};

/// A set of completion indexes, as intervals. Its size depends on the gaps, not on the indexes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes(
    /// First and last, increasing; neighbours are one interval.
    Vec<(usize, usize)>,
);

impl Indexes {
    /// Reads a text. What is not an interval is skipped, and what is not below `completions` is left out.
    pub(super) fn read(text: &str, completions: usize) -> Self {
        let mut read = Self::default();
        for interval in text.split(',') {
            let (first, last) = interval.split_once('-').unwrap_or((interval, interval));
            let (Ok(first), Ok(last)) = (first.parse(), last.parse::<usize>()) else { continue };
            if first < completions {
                read.push((first, last.min(completions - 1)));
            }
        }
        read
    }

    /// What either has.
    pub(super) fn union(&self, other: &Self) -> Self {
        let mut all: Vec<_> = self.0.iter().chain(&other.0).copied().collect();
        all.sort_unstable();
        let mut union = Self::default();
        all.into_iter().for_each(|interval| union.push(interval));
        union
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an index is among them.
    pub(super) fn has(&self, index: usize) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < index);
        self.0.get(at).is_some_and(|(first, _)| *first <= index)
    }

    /// How many both have.
    pub(super) fn shared(&self, other: &Self) -> usize {
        let (mut shared, mut left, mut right) = (0, 0, 0);
        while let (Some((a, b)), Some((c, d))) = (self.0.get(left), other.0.get(right)) {
            shared += (b.min(d) + 1).saturating_sub(*a.max(c));
            if b < d { left += 1 } else { right += 1 }
        }
        shared
    }

    /// The first so many indexes below `completions` that are not among them.
    pub(super) fn missing(&self, completions: usize, count: usize) -> Vec<usize> {
        let (mut missing, mut next) = (Vec::new(), 0);
        for (first, last) in self.0.iter().copied().chain([(completions, completions)]) {
            missing.extend((next..first.min(completions)).take(count - missing.len()));
            next = last + 1;
        }
        missing
    }

    /// Adds an interval that begins no earlier than the last one.
    fn push(&mut self, (first, last): (usize, usize)) {
        match self.0.last_mut() {
            Some((_, end)) if first <= *end + 1 => *end = last.max(*end),
            _ if first <= last => self.0.push((first, last)),
            _ => {}
        }
    }
}

impl From<BTreeSet<usize>> for Indexes {
    fn from(indexes: BTreeSet<usize>) -> Self {
        let mut all = Self::default();
        indexes.into_iter().for_each(|index| all.push((index, index)));
        all
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                1 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(indexes: &[usize]) -> Indexes {
        Indexes::from(indexes.iter().copied().collect::<BTreeSet<_>>())
    }

    #[test]
    fn three_in_a_row_are_written_as_a_range() {
        for (indexes, text) in
            [(&[][..], ""), (&[3], "3"), (&[0, 1], "0,1"), (&[0, 1, 2], "0-2"), (&[0, 2, 3, 4, 7, 8], "0,2-4,7,8")]
        {
            assert_eq!(of(indexes).to_string(), text);
            assert_eq!(Indexes::read(text, 100), of(indexes), "{text}");
        }
    }

    #[test]
    fn what_is_corrupt_or_out_of_range_is_left_out() {
        assert_eq!(Indexes::read("0,x,2-y,4-9", 6), of(&[0, 4, 5]));
        assert_eq!(Indexes::read("9,10", 6), of(&[]));
        assert_eq!(Indexes::read("5-2,7", 9), of(&[7]));
    }

    #[test]
    fn missing_indexes_are_the_lowest_ones() {
        let done = of(&[0, 1, 3, 6]);
        assert_eq!(done.missing(8, 9), [2, 4, 5, 7]);
        assert_eq!(done.missing(8, 2), [2, 4]);
        assert_eq!(done.missing(2, 2), [] as [usize; 0]);
        assert_eq!(of(&[]).missing(2, 5), [0, 1]);
    }

    #[test]
    fn sets_are_joined_and_compared() {
        let (a, b) = (of(&[0, 1, 5, 6, 9]), of(&[1, 2, 6, 7, 8]));
        assert_eq!(a.union(&b), of(&[0, 1, 2, 5, 6, 7, 8, 9]));
        assert_eq!((a.shared(&b), b.shared(&a)), (2, 2));
        assert!(a.has(5) && !a.has(4) && !a.has(10));
        assert_eq!(a.count(), 5);
    }
}
