//! [`Scenario`]: a cluster with something to do, which can be run as it is, enumerated over and explored from.

use super::{
    case::{self, Case, Change, Check, Failed},
    fault::FaultPlan,
    outcome::{Failure, Outcome},
    simulation::Sim,
};
use orch_api::Key;
use std::{sync::Arc, time::Duration};

/// Something to do.
#[derive(Clone)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What happens in it.
    pub about: String,
    /// Whom it puts to the test.
    pub controllers: Vec<String>,
    /// The cluster, for a seed.
    pub sim: Arc<dyn Fn(u64) -> Sim + Send + Sync>,
    /// What the user does when nothing else happens.
    pub changes: Vec<Change>,
    /// The object whose spec exploration edits: its kind and its key.
    pub subject: Option<(String, Key)>,
    /// Loops that it needs beside those that are put to the test.
    pub beside: Vec<String>,
    /// Whether how often objects are made and deleted depends on when something happens.
    pub timed: bool,
    /// Whether a new cluster that is asked for the end straight away would get there: not where nodes end up otherwise.
    pub repeatable: bool,
}

impl Scenario {
    /// A scenario with the default cluster.
    pub fn new(name: &str, about: &str, controllers: &[&str]) -> Self {
        Self {
            name: name.into(),
            about: about.into(),
            controllers: controllers.iter().map(|&name| name.into()).collect(),
            sim: Arc::new(|seed| Sim::new(seed).nodes(2).patience(super::Patience::short())),
            changes: Vec::new(),
            subject: None,
            beside: Vec::new(),
            timed: false,
            repeatable: true,
        }
    }

    /// How often objects are made and deleted depends on when something happens, as with what follows a load.
    #[must_use]
    pub fn timed(mut self) -> Self {
        self.timed = true;
        self
    }

    /// Its end depends on more than what the user wants of objects: the ways to it are not compared with each other.
    #[must_use]
    pub fn with_a_past(mut self) -> Self {
        self.repeatable = false;
        self
    }

    /// Loops that it needs beside those that are put to the test and those without which nothing runs.
    #[must_use]
    pub fn beside(mut self, controllers: &[&str]) -> Self {
        self.beside.extend(controllers.iter().map(|&name| name.to_owned()));
        self
    }

    /// Another cluster.
    #[must_use]
    pub fn on(mut self, sim: impl Fn(u64) -> Sim + Send + Sync + 'static) -> Self {
        self.sim = Arc::new(sim);
        self
    }

    /// What the user does.
    #[must_use]
    pub fn with(mut self, changes: impl IntoIterator<Item = Change>) -> Self {
        self.changes.extend(changes);
        self
    }

    /// The object that is explored.
    #[must_use]
    pub fn about_object(mut self, kind: &str, key: Key) -> Self {
        self.subject = Some((kind.into(), key));
        self
    }

    /// The case of a seed with these faults.
    pub fn case(&self, seed: u64, check: Check, faults: FaultPlan) -> Case {
        Case { scenario: self.name.clone(), seed, check, changes: self.changes.clone(), faults, whole: false }
    }

    /// Runs a case, without comparing its end.
    pub fn play(&self, case: &Case) -> Outcome {
        let changes = case.changes.clone();
        let sim = (self.sim)(case.seed);
        let sim = if case.whole { sim.complete() } else { sim };
        sim.faults(case.faults.clone()).run(async move |world| {
            case::perform(&world, &changes).await;
            world.sleep(Duration::from_secs(2)).await;
            Ok(())
        })
    }

    /// Runs a case and compares its end as the case asks for.
    pub fn judge(&self, case: &Case) -> (Outcome, Vec<Failure>) {
        let outcome = self.play(case);
        let failures = self.compare(case, &outcome, None);
        (outcome, failures)
    }

    /// What is wrong with an outcome; `clean` is the one without faults, where it is known.
    pub(super) fn compare(&self, case: &Case, outcome: &Outcome, clean: Option<&Outcome>) -> Vec<Failure> {
        let mut failures = outcome.failures.clone();
        if !failures.is_empty() || case.check == Check::Alone {
            return failures;
        }
        let other = match (clean, case.check) {
            (Some(clean), _) => clean.clone(),
            (None, Check::Fresh) => self.fresh(case, outcome),
            (None, _) => self.play(&Case { faults: FaultPlan::none(), ..case.clone() }),
        };
        let difference = match case.check {
            Check::Fresh => outcome.reached.differs(&other.reached),
            _ => outcome.normal.differs(&other.normal),
        };
        if let Some(words) = difference {
            let against = if case.check == Check::Fresh { "a fresh cluster" } else { "the clean run" };
            failures.push(Failure { kind: "end state".into(), words: format!("differs from {against}:\n{words}") });
        }
        if case.check == Check::Exact {
            let (mine, clean) = (outcome.made_and_unmade(), other.made_and_unmade());
            for (key, count) in &mine {
                let expected = clean.get(key).copied().unwrap_or(0);
                if *count > expected {
                    let (who, verb, kind) = key;
                    let words = format!("{who}: {verb} {kind} {count} times, {expected} in the clean run");
                    failures.push(Failure { kind: "excess".into(), words });
                }
            }
        }
        failures
    }

    /// A new cluster that is asked straight away for what the user wanted in the end.
    fn fresh(&self, case: &Case, outcome: &Outcome) -> Outcome {
        let changes = outcome.wanted.iter().cloned().map(Change::given).collect();
        self.play(&Case { changes, faults: FaultPlan::none(), ..case.clone() })
    }

    /// A failed case as a report.
    pub fn failed(&self, case: &Case, outcome: &Outcome, failures: Vec<Failure>) -> Failed {
        Failed { case: case.clone(), failures, tail: outcome.history.tail(25) }
    }
}
