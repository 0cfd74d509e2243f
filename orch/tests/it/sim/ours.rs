//! Our own controllers, put to the test: every row of the table of scenarios as it is, enumerated and explored.

use orch::sim::{Check, FaultPlan, enumerate, explore, fault::PRESETS, scenarios};

/// How many perturbations of each kind of each controller. `ORCH_SIM_BUDGET` for more.
fn budget() -> usize {
    std::env::var("ORCH_SIM_BUDGET").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
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
    for (number, scenario) in scenarios::all().iter().enumerate() {
        // Each scenario without faults, and each with a preset of its turn; all of them with a larger budget.
        let presets = PRESETS.iter().enumerate().filter(|(at, _)| budget() > 1 || at % 3 == number % 3);
        for (_, preset) in presets {
            let case = scenario.case(11, Check::Alone, FaultPlan::preset(preset).unwrap());
            let (outcome, failures) = scenario.judge(&case);
            assert!(failures.is_empty(), "{preset}\n{}", scenario.failed(&case, &outcome, failures));
        }
    }
}

#[test]
fn every_controller_survives_crashes_stale_views_and_missed_events() {
    for scenario in scenarios::all() {
        for controller in &scenario.controllers {
            enumerate(&scenario, controller, 3, 8 * budget()).assert();
        }
    }
}

#[test]
fn random_changes_and_faults_end_where_a_fresh_cluster_does() {
    for scenario in scenarios::all() {
        for seed in 0..2 * budget() as u64 {
            if let Some(failed) = explore(&scenario, seed).failed {
                panic!("{failed}");
            }
        }
    }
}
