//! What the scenarios of volumes come to when nothing goes wrong, so that it is known what the faults are to leave alone.

use orch::sim::{Check, FaultPlan, scenarios};

/// Claims and volumes in the end: name and phase, and how much a claim has.
#[track_caller]
fn check(scenario: &str, expected: &[&str]) {
    let scenario = scenarios::all().into_iter().find(|known| known.name == scenario).unwrap();
    let case = scenario.case(5, Check::Alone, FaultPlan::none());
    let (outcome, failures) = scenario.judge(&case);
    assert!(failures.is_empty(), "{}", scenario.failed(&case, &outcome, failures));
    let found: Vec<String> = outcome.normal.lines().iter().filter_map(|line| told(line)).collect();
    assert_eq!(found, expected, "{:#?}", outcome.history.tail(40));
}

fn told(line: &str) -> Option<String> {
    let mut parts = line.splitn(3, ' ');
    let (kind, name) = (parts.next()?, parts.next()?);
    let value: serde_json::Value = serde_json::from_str(parts.next()?).ok()?;
    let phase = value["status"]["phase"].as_str().unwrap_or_default();
    match kind {
        "PersistentVolume" => Some(format!("{name} {phase}")),
        "PersistentVolumeClaim" => {
            Some(format!("{name} {phase} {}", value["status"]["capacity"]["storage"].as_str().unwrap_or("none")))
        }
        _ => None,
    }
}

#[test]
fn a_volume_that_was_made_goes_with_its_claim_after_the_pod() {
    check("volume-made", &[]);
}

#[test]
fn volumes_that_were_found_stay_and_are_released() {
    check("volume-found", &["/fits Released", "/large Bound", "/small Available", "default/more Bound 5Gi"]);
}

#[test]
fn a_claim_that_waited_for_a_pod_has_the_volume_that_was_there() {
    check("volume-scheduled", &["/fits Bound", "default/data Bound 2Gi"]);
}

#[test]
fn claims_that_nothing_fits_wait_without_a_write() {
    let claims = ["default/data Bound 2Gi", "default/more Pending none"];
    check("volume-none", &[&["/fits Bound", "/small Available"][..], &claims].concat());
}

#[test]
fn a_claim_that_asked_for_more_has_it() {
    check("volume-grown", &["/pvc-data-* Bound", "default/data Bound 3Gi"]);
}

#[test]
fn an_ephemeral_volume_is_gone_with_its_pod() {
    check("volume-ephemeral", &[]);
}
