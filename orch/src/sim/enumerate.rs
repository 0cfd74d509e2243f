//! Enumeration, as Sieve does it: a clean run is recorded, and then the loop under test dies before and after each of its
//! writes, comes back to the past at each, loses the answer to each, and misses each event that it was sent. Each write is
//! also held up while the others go on; and where a scenario is about several loops, each decides without having seen
//! what another does from each of its writes on. Every run must end as the clean one.

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
    over(scenario, &[who.to_owned()], seed, budget)
}

/// The same of every loop that a scenario puts to the test: `budget` for each, and one clean run for all.
pub fn enumerate_all(scenario: &Scenario, seed: u64, budget: usize) -> Enumerated {
    over(scenario, &scenario.controllers, seed, budget)
}

fn over(scenario: &Scenario, whom: &[String], seed: u64, budget: usize) -> Enumerated {
    let clean_case = scenario.case(seed, Check::Alone, FaultPlan::none());
    let clean = scenario.play(&clean_case);
    let mut done = Enumerated { runs: 1, possible: 1, elapsed: clean.elapsed, failed: Vec::new() };
    if !clean.is_good() {
        done.failed.push(scenario.failed(&clean_case, &clean, clean.failures.clone()));
        return done;
    }
    for who in whom {
        let all = perturbations(scenario, who, seed, &clean.traffic);
        done.possible += all.iter().map(Vec::len).sum::<usize>();
        let kinds = all.iter().filter(|cases| !cases.is_empty()).count();
        let share = (budget / kinds.max(1)).max(1);
        for (kind, cases) in all.iter().enumerate() {
            for case in thin(cases, share, kind) {
                let outcome = scenario.play(case);
                done.runs += 1;
                done.elapsed += outcome.elapsed;
                let failures = scenario.compare(case, &outcome, Some(&clean));
                if !failures.is_empty() {
                    done.failed.push(scenario.failed(case, &outcome, failures));
                    return done;
                }
            }
        }
    }
    done
}

/// For how long a write is held up, and what another does is not seen: longer than what a loop does takes.
const HELD_MS: u64 = 2_500;

/// The cases, by kind of perturbation.
fn perturbations(scenario: &Scenario, who: &str, seed: u64, traffic: &[(String, u64, u64)]) -> Vec<Vec<Case>> {
    let of = |who: &str| traffic.iter().find(|(name, ..)| name == who).map_or((0, 0), |(_, w, e)| (*w, *e));
    let (writes, events) = of(who);
    let case = |check, fault| scenario.case(seed, check, FaultPlan::of([fault]));
    let name = || who.to_owned();
    let each = |fault: &dyn Fn(u64) -> Fault| (1..=writes).map(|write| case(Check::Clean, fault(write))).collect();
    let counted = if scenario.timed { Check::Clean } else { Check::Exact };
    let crash = |after| {
        let fault = move |write| Fault::Crash { who: name(), write, after, down_ms: 100 };
        (1..=writes).map(|write| case(counted, fault(write))).collect()
    };
    let mut all = vec![
        crash(false),
        crash(true),
        each(&|write| Fault::Stale { who: name(), write, back: 3 * write.min(4), for_ms: 2_000 }),
        each(&|nth| Fault::Nth { who: name(), class: Class::Write, nth, how: Failing::Lost }),
        (1..=events).map(|event| case(Check::Clean, Fault::Miss { who: name(), event, for_ms: HELD_MS })).collect(),
        each(&|write| Fault::Late { who: name(), write, by_ms: HELD_MS }),
    ];
    for other in scenario.controllers.iter().filter(|other| *other != who) {
        let blind = |write| Fault::Blind { who: name(), whose: other.clone(), write, for_ms: HELD_MS };
        all.push((1..=of(other).0).map(|write| case(Check::Clean, blind(write))).collect());
    }
    all
}

/// At most so many, spread evenly; where there is one for many, each kind has another one.
fn thin<T>(items: &[T], most: usize, kind: usize) -> impl Iterator<Item = &T> {
    let step = items.len().div_ceil(most.max(1)).max(1);
    items.iter().skip(kind % step).step_by(step)
}
