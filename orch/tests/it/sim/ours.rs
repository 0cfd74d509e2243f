//! Our own controllers, put to the test: every row of the table of scenarios as it is, enumerated and explored.

use orch::sim::{Case, Check, FaultPlan, Scenario, enumerate_all, explore, fault::PRESETS, scenarios};
use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

/// How many perturbations of each kind of each controller. `ORCH_SIM_BUDGET` for more.
fn budget() -> usize {
    std::env::var("ORCH_SIM_BUDGET").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Every scenario with its number, on as many threads as the machine has processors. `ORCH_SIM_ONLY` for those alone whose
/// names begin so.
///
/// # Panics
/// With what a test said was wrong.
fn each(test: impl Fn(usize, &Scenario) -> Option<String> + Sync) {
    let only = std::env::var("ORCH_SIM_ONLY").unwrap_or_default();
    let mut all = scenarios::all();
    all.retain(|scenario| scenario.name.starts_with(&only));
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(scenario) = all.get(number) else { return };
            let found = test(number, scenario);
            wrong.lock().unwrap().extend(found);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} scenarios failed\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_controller_has_a_scenario() {
    let tested: Vec<String> = scenarios::all().into_iter().flat_map(|scenario| scenario.controllers).collect();
    for name in orch::sim::loops() {
        assert!(tested.contains(&name), "{name} has no row in orch/src/sim/scenarios");
    }
}

#[test]
fn every_scenario_ends_well_whatever_goes_wrong_around_it() {
    each(|number, scenario| {
        // Each scenario without faults and with every loop that there is, and with presets in its turn; all of them with a
        // larger budget.
        let whole = Case { whole: true, ..scenario.case(11, Check::Alone, FaultPlan::none()) };
        let presets = PRESETS.iter().enumerate().filter(|(at, _)| budget() > 1 || at % 3 == number % 3);
        let presets = presets.map(|(_, preset)| scenario.case(11, Check::Alone, FaultPlan::preset(preset).unwrap()));
        [whole].into_iter().chain(presets).find_map(|case| {
            let (outcome, failures) = scenario.judge(&case);
            (!failures.is_empty()).then(|| scenario.failed(&case, &outcome, failures).to_string())
        })
    });
}

#[test]
fn every_controller_survives_crashes_stale_views_and_missed_events() {
    each(|_, scenario| {
        let done = enumerate_all(scenario, 3, 8 * budget());
        (!done.failed.is_empty()).then(|| done.to_string())
    });
}

#[test]
fn random_changes_and_faults_end_where_a_fresh_cluster_does() {
    each(|_, scenario| {
        (0..2 * budget() as u64).find_map(|seed| explore(scenario, seed).failed).map(|failed| failed.to_string())
    });
}
