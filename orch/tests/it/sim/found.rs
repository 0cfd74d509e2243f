//! What the simulator found in our own code, each with the smallest case that showed it.

use orch::sim::{Case, Change, Check, Edit, Fault, FaultPlan, Scenario, fault::Failing, scenarios};

#[track_caller]
fn check(changes: impl IntoIterator<Item = Change>, check: Check, faults: impl IntoIterator<Item = Fault>) {
    let scenario = Scenario::new("found", "Something that was wrong.", &["deployment", "replicaset"]).with(changes);
    let case = Case { check, ..scenario.case(1, check, FaultPlan::of(faults)) };
    let (outcome, failures) = scenario.judge(&case);
    assert!(failures.is_empty(), "{}", scenario.failed(&case, &outcome, failures));
}

/// The agent took every conflict for one of the UID, and so for a pod that is gone.
#[test]
fn a_deleted_pod_goes_although_its_last_delete_met_a_conflict() {
    let conflicts = |node: &str| Fault::Flaky {
        who: node.into(),
        at_ms: 4_000,
        for_ms: 2_000,
        percent: 80,
        how: Failing::Conflict,
    };
    let kill = |nth| Change::at(4_000, Edit::Kill { app: "web".into(), nth });
    check(
        [Change::given(scenarios::replica_set(4)), kill(0), kill(1), kill(2), kill(3)],
        Check::Alone,
        [conflicts("node-0"), conflicts("node-1")],
    );
}

/// The controller marked Pods as not ready for as long as it took their node for dead, and the node, which lived and whose clock had been set, took
/// that back each time: hundreds of writes a second.
#[test]
fn a_node_that_is_taken_for_dead_is_not_contradicted_again_and_again() {
    check(
        [Change::given(scenarios::replica_set(2))],
        Check::Alone,
        [Fault::ClockJump { at_ms: 5_000, by_ms: 90_000 }, Fault::ClockJump { at_ms: 10_000, by_ms: -60_000 }],
    );
}
