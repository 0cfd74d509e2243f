//! Shrinking: the smallest part of a case's changes and faults that still fails (Zeller's delta debugging).

use super::{case::Case, fault::FaultPlan};

/// After so many runs what has been reached must do.
const RUNS: usize = 80;

/// The smallest case found that still fails, and how many runs that took.
pub fn shrink(case: &Case, fails: impl Fn(&Case) -> bool) -> (Case, usize) {
    let mut small = case.clone();
    let mut runs = 0;
    let mut parts = 2;
    loop {
        let count = small.changes.len() + small.faults.faults.len();
        if count <= 1 || runs >= RUNS {
            return (small, runs);
        }
        let size = count.div_ceil(parts);
        let found = (0..count).step_by(size).map(|from| without(&small, from, from + size)).find(|smaller| {
            runs += 1;
            runs <= RUNS && fails(smaller)
        });
        match found {
            Some(smaller) => {
                small = smaller;
                parts = (parts - 1).max(2);
            }
            None if size == 1 => return (small, runs),
            None => parts = (parts * 2).min(count),
        }
    }
}

/// The case without some of its parts, which are counted over the faults and then the changes.
fn without(case: &Case, from: usize, to: usize) -> Case {
    let gone = |at: usize| (from..to).contains(&at);
    let faults = case.faults.faults.iter().enumerate().filter(|(at, _)| !gone(*at)).map(|(_, fault)| fault.clone());
    let first = case.faults.faults.len();
    let changes = case.changes.iter().enumerate().filter(|(at, _)| !gone(first + at)).map(|(_, change)| change.clone());
    Case { faults: FaultPlan { faults: faults.collect() }, changes: changes.collect(), ..case.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{
        case::{Change, Check, Edit},
        fault::Fault,
    };

    #[test]
    fn only_what_matters_is_left() {
        let faults = FaultPlan::of((0..12).map(|n| Fault::Disk { at_ms: n, for_ms: 1 }));
        let changes = (0..9).map(|nth| Change::at(0, Edit::Evict { app: "web".into(), nth: nth as usize })).collect();
        let case = Case { scenario: "x".into(), seed: 1, check: Check::Alone, changes, faults, whole: false };
        let has = |case: &Case, n| case.faults.faults.contains(&Fault::Disk { at_ms: n, for_ms: 1 });
        let nth = |case: &Case, n| case.changes.iter().any(|c| c.edit == Edit::Evict { app: "web".into(), nth: n });
        let (small, runs) = shrink(&case, |case| has(case, 3) && has(case, 10) && nth(case, 7));
        assert_eq!((small.faults.faults.len(), small.changes.len()), (2, 1));
        assert!(runs <= RUNS);
    }
}
