//! Exploration: random changes and random faults from a seed, and the end compared with that of a fresh cluster; a
//! failure is shrunk before it is reported.

use super::{
    case::{Case, Check, Failed},
    edits,
    fault::{EVERYBODY, Failing, Fault, FaultPlan},
    outcome::Failure,
    scenario::Scenario,
    shrink::shrink,
};
use orch_store::Chance;
use std::time::Duration;

/// For how long changes and faults happen, in virtual milliseconds.
const LASTS_MS: u64 = 40_000;

/// What came of a seed.
#[derive(Clone, Debug)]
pub struct Explored {
    /// How many runs it took, shrinking included.
    pub runs: usize,
    /// Virtual time of the first run.
    pub elapsed: Duration,
    /// What failed, shrunk.
    pub failed: Option<Failed>,
}

/// The case that a seed asks for.
pub fn case(scenario: &Scenario, seed: u64) -> Case {
    let chance = Chance::from_seed(seed).child("explore");
    let about_changes = chance.child("changes");
    let changes = edits::changes(scenario, &about_changes, LASTS_MS);
    let faults = faults(scenario, &chance.child("faults"));
    let check = match &scenario.subject {
        Some((kind, _)) if !scenario.repeatable || edits::is_harsh(kind, &about_changes) => Check::Alone,
        Some(_) => Check::Fresh,
        None => Check::Clean,
    };
    // One in four with every loop that there is.
    let whole = chance.child("whole").below(4) == 0;
    Case { scenario: scenario.name.clone(), seed, check, changes, faults, whole }
}

/// Runs what a seed asks for.
pub fn explore(scenario: &Scenario, seed: u64) -> Explored {
    let case = case(scenario, seed);
    let (outcome, failures) = scenario.judge(&case);
    let Some(first) = failures.first() else {
        return Explored { runs: 1, elapsed: outcome.elapsed, failed: None };
    };
    let kind = first.kind.clone();
    let fails = |case: &Case| same(&scenario.judge(case).1, &kind);
    let (small, runs) = shrink(&case, fails);
    let (last, failures) = scenario.judge(&small);
    let failed = scenario.failed(&small, &last, failures);
    Explored { runs: runs + 2, elapsed: outcome.elapsed, failed: Some(failed) }
}

fn same(failures: &[Failure], kind: &str) -> bool {
    failures.iter().any(|failure| failure.kind == kind)
}

/// Up to five random faults. Each ends, so that the cluster can come to rest.
fn faults(scenario: &Scenario, chance: &Chance) -> FaultPlan {
    FaultPlan::of((0..chance.below(6)).map(|_| fault(scenario, chance)))
}

fn fault(scenario: &Scenario, chance: &Chance) -> Fault {
    let who = || match chance.below(4) {
        0 => EVERYBODY.to_owned(),
        1 => super::SCHEDULER.to_owned(),
        _ => scenario
            .controllers
            .get(chance.below(scenario.controllers.len() as u64) as usize)
            .cloned()
            .unwrap_or_default(),
    };
    let one = || match chance.below(4) {
        0 => super::SCHEDULER.to_owned(),
        1 => node(chance),
        _ => scenario
            .controllers
            .get(chance.below(scenario.controllers.len() as u64) as usize)
            .cloned()
            .unwrap_or_default(),
    };
    let at_ms = chance.below(LASTS_MS);
    let for_ms = 500 + chance.below(12_000);
    match chance.below(17) {
        0 => Fault::Slow { who: who(), at_ms, for_ms, up_to_ms: 20 + chance.below(400) },
        1..=3 => {
            let how = [
                Failing::Unavailable,
                Failing::Internal,
                Failing::Conflict,
                Failing::Throttled,
                Failing::Lost,
                Failing::Twice,
            ];
            let how = how[chance.below(how.len() as u64) as usize];
            Fault::Flaky { who: who(), at_ms, for_ms, percent: 5 + chance.below(40) as u8, how }
        }
        4 => Fault::Crash {
            who: one(),
            write: 1 + chance.below(20),
            after: chance.below(2) == 0,
            down_ms: chance.below(3_000),
        },
        5 => Fault::CrashAt { who: one(), at_ms, down_ms: chance.below(8_000) },
        6 => Fault::Stale {
            who: one(),
            write: 1 + chance.below(20),
            back: 1 + chance.below(30),
            for_ms: chance.below(5_000),
        },
        7 => Fault::Miss { who: one(), event: 1 + chance.below(60), for_ms: chance.below(5_000) },
        8 => Fault::Lag { who: who(), at_ms, for_ms: chance.below(6_000) },
        9 => Fault::Cut { who: who(), at_ms, expire: chance.below(2) == 0 },
        10 => Fault::Takeover { who: one(), at_ms },
        11 => Fault::Partition { who: one(), at_ms, for_ms },
        12 => Fault::Exit { node: node(chance), at_ms, code: 1 + chance.below(3) as i32 },
        13 => Fault::Unhealthy { node: node(chance), at_ms, for_ms },
        14 => Fault::NoImages { node: node(chance), at_ms, for_ms },
        15 => Fault::ServerRestart { at_ms, for_ms: 200 + chance.below(4_000) },
        _ => Fault::Disk { at_ms, for_ms: 200 + chance.below(4_000) },
    }
}

fn node(chance: &Chance) -> String {
    format!("node-{}", chance.below(2))
}
