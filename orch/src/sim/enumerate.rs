//! Enumeration, as Sieve does it: a clean run is recorded, and then the loop under test dies before and after each of its
//! writes, comes back to the past at each, loses the answer to each, and misses each event that it was sent. Every run
//! must end as the clean one.

use super::{
    case::{Case, Check, Failed},
    fault::{Class, Failing, Fault, FaultPlan},
    scenario::Scenario,
};
use std::{fmt, time::Duration};

/// What came of an enumeration.
#[derive(Clone, Debug, Default)]
pub struct Enumerated {
    /// How many runs there were.
    pub runs: usize,
    /// How many there would have been without a budget.
    pub possible: usize,
    /// Virtual time of all.
    pub elapsed: Duration,
    /// What failed.
    pub failed: Vec<Failed>,
}

impl Enumerated {
    /// Panics with a report unless everything went well.
    ///
    /// # Panics
    /// When something is wrong.
    #[track_caller]
    pub fn assert(&self) {
        assert!(self.failed.is_empty(), "{self}");
    }
}

impl fmt::Display for Enumerated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, possible, failed, .. } = self;
        writeln!(f, "{runs} of {possible} runs, {} failed", failed.len())?;
        failed.iter().take(3).try_for_each(|failed| writeln!(f, "{failed}"))
    }
}

/// Every perturbation of `who` in a scenario; at most `budget` of them, spread evenly over each kind. Ends with
/// the first failure.
pub fn enumerate(scenario: &Scenario, who: &str, seed: u64, budget: usize) -> Enumerated {
    let clean_case = scenario.case(seed, Check::Alone, FaultPlan::none());
    let clean = scenario.play(&clean_case);
    let mut done = Enumerated { runs: 1, possible: 1, elapsed: clean.elapsed, failed: Vec::new() };
    if !clean.is_good() {
        done.failed.push(scenario.failed(&clean_case, &clean, clean.failures.clone()));
        return done;
    }
    let (writes, events) = clean.traffic.iter().find(|(name, ..)| name == who).map_or((0, 0), |(_, w, e)| (*w, *e));
    let all = perturbations(scenario, who, seed, writes, events);
    done.possible += all.iter().map(Vec::len).sum::<usize>();
    let share = (budget / all.len().max(1)).max(1);
    for case in all.iter().flat_map(|cases| thin(cases, share)) {
        let outcome = scenario.play(case);
        done.runs += 1;
        done.elapsed += outcome.elapsed;
        let failures = scenario.compare(case, &outcome, Some(&clean));
        if !failures.is_empty() {
            done.failed.push(scenario.failed(case, &outcome, failures));
            return done;
        }
    }
    done
}

/// The cases, by kind of perturbation.
fn perturbations(scenario: &Scenario, who: &str, seed: u64, writes: u64, events: u64) -> Vec<Vec<Case>> {
    let case = |check, fault| scenario.case(seed, check, FaultPlan::of([fault]));
    let name = || who.to_owned();
    let crash = |write, after| case(Check::Exact, Fault::Crash { who: name(), write, after, down_ms: 100 });
    vec![
        (1..=writes).map(|write| crash(write, false)).collect(),
        (1..=writes).map(|write| crash(write, true)).collect(),
        (1..=writes)
            .map(|write| case(Check::Clean, Fault::Stale { who: name(), write, back: 3 * write.min(4), for_ms: 2_000 }))
            .collect(),
        (1..=writes)
            .map(|nth| case(Check::Clean, Fault::Nth { who: name(), class: Class::Write, nth, how: Failing::Lost }))
            .collect(),
        (1..=events).map(|event| case(Check::Clean, Fault::Miss { who: name(), event, for_ms: 2_500 })).collect(),
    ]
}

/// At most so many, spread evenly.
fn thin<T>(items: &[T], most: usize) -> impl Iterator<Item = &T> {
    let step = items.len().div_ceil(most.max(1)).max(1);
    items.iter().step_by(step)
}
