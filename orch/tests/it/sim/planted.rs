//! Bugs as controllers really have them, planted one at a time: the simulator finds each of them.

#![allow(clippy::disallowed_methods)] // The table tells how long it took in real time.

use super::{bugs, mutants, room};
use orch::{
    api::Key,
    sim::{Check, Failed, FaultPlan, Patience, Scenario, Sim, enumerate, explore},
};
use std::time::{Duration, Instant};

/// A bug and the way it is found.
pub(super) struct Planted {
    pub(super) bug: &'static str,
    pub(super) by: By,
    /// The kind of failure that gives it away.
    pub(super) seen_by: &'static str,
    pub(super) scenario: Scenario,
}

/// Which of the three ways.
#[derive(Clone, Copy)]
pub(super) enum By {
    /// The scenario as it is, with a preset of faults.
    Hand(&'static str),
    /// All perturbations of a process.
    Enumerating(&'static str),
    /// Random changes and faults.
    Exploring,
}

/// The cluster in which a bug is planted.
pub(super) fn base(seed: u64) -> Sim {
    Sim::new(seed).nodes(2).patience(Patience::short())
}

pub(super) fn key(name: &str) -> Key {
    Key::new("default", name)
}

struct Found {
    runs: usize,
    elapsed: Duration,
    failed: Option<Failed>,
}

impl Planted {
    fn find(&self) -> Found {
        match self.by {
            By::Hand(preset) => {
                let case = self.scenario.case(1, Check::Alone, FaultPlan::preset(preset).unwrap());
                let (outcome, failures) = self.scenario.judge(&case);
                let failed = (!failures.is_empty()).then(|| self.scenario.failed(&case, &outcome, failures));
                Found { runs: 1, elapsed: outcome.elapsed, failed }
            }
            By::Enumerating(who) => {
                let mut done = enumerate(&self.scenario, who, 1, usize::MAX);
                Found { runs: done.runs, elapsed: done.elapsed, failed: done.failed.pop() }
            }
            By::Exploring => {
                let mut found = Found { runs: 0, elapsed: Duration::ZERO, failed: None };
                for seed in 1..=40 {
                    let done = explore(&self.scenario, seed);
                    found.runs += done.runs;
                    found.elapsed += done.elapsed;
                    if done.failed.is_some() {
                        return Found { failed: done.failed, ..found };
                    }
                }
                found
            }
        }
    }

    /// Its row of the table; how it was missed if it was.
    fn row(&self) -> Result<String, String> {
        let begun = Instant::now();
        let found = self.find();
        let failed = found.failed.ok_or_else(|| format!("{}: not found in {} runs", self.bug, found.runs))?;
        if !failed.failures.iter().any(|failure| failure.kind == self.seen_by) {
            return Err(format!("{}: not seen by {}\n{failed}", self.bug, self.seen_by));
        }
        let by = match self.by {
            By::Hand(preset) => format!("by hand (`{preset}`)"),
            By::Enumerating(_) => "enumerated".into(),
            By::Exploring => "explored, shrunk".into(),
        };
        Ok(format!(
            "| {} | {by} | {} | {} | {:.1} min | {:.1} s |",
            self.bug,
            self.seen_by,
            found.runs,
            found.elapsed.as_secs_f64() / 60.0,
            begun.elapsed().as_secs_f64()
        ))
    }
}

/// Where the table is.
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/simulator.md");
const BEGIN: &str = "<!-- planted bugs: made by `UPDATE_EXPECT=1 cargo test -p orch planted` -->\n";
const END: &str = "<!-- end -->";

#[test]
fn every_planted_bug_is_found() {
    let all: Vec<Planted> = [bugs::all(), mutants::all(), room::all()].into_iter().flatten().collect();
    let (mut rows, mut missed) = (String::new(), Vec::new());
    for planted in &all {
        match planted.row() {
            Ok(row) => rows += &format!("{row}\n"),
            Err(how) => missed.push(how),
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (table, after) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let head = "| bug | found | by the oracle | runs | virtual time | real time |\n| --- | --- | --- | --- | --- | --- |\n";
        std::fs::write(DOCUMENT, format!("{before}{BEGIN}{head}{rows}{END}{after}")).unwrap();
        return;
    }
    for planted in &all {
        assert!(table.contains(planted.bug), "docs/simulator.md does not tell of: {}", planted.bug);
    }
}
