//! [`Outcome`]: what came of a simulation.

use super::{
    fault::USER,
    history::History,
    normal::Normal,
    observer::Tally,
    oracle::Violation,
    state::{State, Verb},
};
use std::{fmt, time::Duration};

/// What came of a simulation.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Everything that happened.
    pub history: History,
    /// What is wrong; empty when nothing is.
    pub failures: Vec<Failure>,
    /// The state in the end.
    pub normal: Normal,
    /// The same, as it must be on every way there.
    pub reached: Normal,
    /// The objects in the end that were put there by the user, as JSON.
    pub wanted: Vec<serde_json::Value>,
    /// Who did what how often.
    pub tally: Tally,
    /// How many writes, and events on their way, each process has had.
    pub traffic: Vec<(String, u64, u64)>,
    /// How much virtual time has passed.
    pub elapsed: Duration,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of thing: an oracle, `scenario`, `rest`, `desired state`, …
    pub kind: String,
    /// In words.
    pub words: String,
}

impl Failure {
    pub(super) fn new(kind: &str, words: String) -> Self {
        Self { kind: kind.into(), words }
    }
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Self { kind: violation.oracle.into(), words: violation.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.words.trim_end())
    }
}

impl Outcome {
    /// Panics with a report unless everything went well.
    ///
    /// # Panics
    /// When something is wrong.
    #[track_caller]
    pub fn assert(&self) {
        assert!(self.failures.is_empty(), "{self}");
    }

    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.failures.is_empty()
    }

    /// How many objects of each kind the loops created and deleted. An object goes once, and of those who may delete it whoever
    /// comes first does: what they deleted is counted together.
    pub fn made_and_unmade(&self) -> Tally {
        let mut tally = Tally::new();
        for ((who, verb, kind), count) in &self.tally {
            let is_loop = who != USER && who != "apiserver" && !who.starts_with("node-");
            let who = match verb {
                Verb::Create => who.clone(),
                Verb::Delete => "all loops".into(),
                _ => continue,
            };
            if is_loop {
                *tally.entry((who, *verb, kind.clone())).or_default() += count;
            }
        }
        tally
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.failures.is_empty() {
            return writeln!(f, "seed {}: good after {:.0?} of virtual time", self.seed, self.elapsed);
        }
        writeln!(f, "seed {}: failed after {:.0?} of virtual time", self.seed, self.elapsed)?;
        self.failures.iter().take(8).try_for_each(|failure| writeln!(f, "- {failure}"))?;
        writeln!(f, "the end of the history:")?;
        self.history.tail(30).iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// What the user put there.
pub(super) fn wanted(state: &State) -> Vec<serde_json::Value> {
    let by_user = state.all().filter(|seen| {
        let managers = seen.at("/metadata/managedFields").as_array().map_or(&[][..], Vec::as_slice);
        managers.iter().any(|entry| entry["manager"] == USER) && !seen.is_deleting()
    });
    by_user
        .map(|seen| {
            let mut value = seen.value.clone();
            for name in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"] {
                value["metadata"].as_object_mut().map(|meta| meta.remove(name));
            }
            if let Some(annotations) = value.pointer_mut("/metadata/annotations").and_then(|a| a.as_object_mut()) {
                annotations.retain(|name, _| !name.starts_with("deployment.kubernetes.io/"));
            }
            value.as_object_mut().map(|object| object.remove("status"));
            value
        })
        .collect()
}
