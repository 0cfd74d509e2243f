//! [`Case`]: one run as plain data: which scenario, which seed, what the user changes, what goes wrong. It prints as one
//! line of JSON, and that line replays it.

use super::{fault::FaultPlan, outcome::Failure, scenario::Scenario, scenarios, state::Seen, world::World};
use orch_api::{Key, Reason, StatusError};
use orch_store::client::{DeleteOptions, Propagation};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fmt, time::Duration};

/// One run as data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The scenario's name.
    pub scenario: String,
    /// What all chance follows from.
    pub seed: u64,
    /// What its end is compared with.
    pub check: Check,
    /// What the user does.
    pub changes: Vec<Change>,
    /// What goes wrong.
    pub faults: FaultPlan,
    /// Whether every built-in loop takes part, or only those that the scenario needs.
    #[serde(default)]
    pub whole: bool,
}

/// What the end of a run is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Nothing: the oracles alone judge.
    #[default]
    Alone,
    /// The end of the same changes without faults, which must be the same.
    Clean,
    /// That, and nothing may have been created or deleted more often.
    Exact,
    /// The end of a new cluster that is asked for the same straight away.
    Fresh,
}

/// Something that the user does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// When, in milliseconds after the beginning.
    pub at_ms: u64,
    /// What.
    pub edit: Edit,
}

/// What the user does. Kinds are written `apps/v1 Deployment`. What the API server refuses is noted, and nothing else
/// comes of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Edit {
    /// Creates an object, or replaces its spec or data.
    Put { object: Value },
    /// Merges a patch into an object.
    Patch { kind: String, namespace: String, name: String, patch: Value },
    /// Deletes an object. `propagation`: `Foreground`, `Background` or `Orphan`.
    Delete { kind: String, namespace: String, name: String, propagation: Option<String> },
    /// Asks for every Pod on a node to be evicted, once.
    Drain { node: String },
    /// Asks for one of the Pods with a label `app` of this value to be evicted.
    Evict { app: String, nth: usize },
    /// Deletes one of the Pods with a label `app` of this value.
    Kill { app: String, nth: usize },
}

impl Change {
    /// A change at a time.
    pub fn at(at_ms: u64, edit: Edit) -> Self {
        Self { at_ms, edit }
    }

    /// An object that is there from the beginning.
    pub fn given(object: Value) -> Self {
        Self { at_ms: 0, edit: Edit::Put { object } }
    }

    /// A patch at a time.
    pub fn patch(at_ms: u64, kind: &str, key: &Key, patch: Value) -> Self {
        let (kind, namespace, name) = (kind.to_owned(), key.namespace.to_string(), key.name.to_string());
        Self { at_ms, edit: Edit::Patch { kind, namespace, name, patch } }
    }

    /// A deletion at a time.
    pub fn delete(at_ms: u64, kind: &str, key: &Key, propagation: Option<&str>) -> Self {
        let (kind, namespace, name) = (kind.to_owned(), key.namespace.to_string(), key.name.to_string());
        Self { at_ms, edit: Edit::Delete { kind, namespace, name, propagation: propagation.map(str::to_owned) } }
    }
}

impl Case {
    /// The built-in scenario's case that this line of JSON, or this file, tells.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(text_or_file: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let text = match text_or_file.trim_start().starts_with('{') {
            true => text_or_file.to_owned(),
            false => std::fs::read_to_string(text_or_file)?,
        };
        Ok(serde_json::from_str(&text)?)
    }

    /// The built-in scenario of the case.
    pub fn scenario(&self) -> Option<Scenario> {
        scenarios::all().into_iter().find(|scenario| scenario.name == self.scenario)
    }

    /// The one command that replays it.
    pub fn command(&self) -> String {
        format!("orch sim --replay '{}'", self.to_string().replace('\'', r"'\''"))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).unwrap_or_default())
    }
}

/// Does what the user does, each thing at its time.
pub(super) async fn perform(world: &World, changes: &[Change]) {
    let mut changes: Vec<&Change> = changes.iter().collect();
    changes.sort_by_key(|change| change.at_ms);
    for change in changes {
        tokio::time::sleep(Duration::from_millis(change.at_ms.saturating_sub(world.now_ms()))).await;
        // A server that is away comes back; a user tries again.
        let mut tries = 0;
        while let Err(error) = edit(world, &change.edit).await {
            let passes = matches!(error.reason(), Reason::ServiceUnavailable | Reason::Timeout | Reason::InternalError);
            if !passes || tries > 120 {
                world.host.observer.note(format_args!("the user is refused: {}", error.message()));
                break;
            }
            tries += 1;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

async fn edit(world: &World, edit: &Edit) -> Result<(), StatusError> {
    match edit {
        Edit::Put { object } => world.put(object.clone()).await.map(drop),
        Edit::Patch { kind, namespace, name, patch } => {
            world.edit(kind, &Key::new(namespace.as_str(), name.as_str()), patch.clone()).await.map(drop)
        }
        Edit::Delete { kind, namespace, name, propagation } => {
            let propagation = match propagation.as_deref() {
                Some("Foreground") => Some(Propagation::Foreground),
                Some("Orphan") => Some(Propagation::Orphan),
                Some(_) => Some(Propagation::Background),
                None => None,
            };
            let options = DeleteOptions { propagation, ..DeleteOptions::default() };
            world.delete(kind, &Key::new(namespace.as_str(), name.as_str()), &options).await
        }
        Edit::Drain { node } => {
            for pod in pods_on(world, node) {
                world.evict(&pod).await?;
            }
            Ok(())
        }
        Edit::Evict { app, nth } => match pod(world, app, *nth) {
            Some(pod) => world.evict(&pod).await.map(drop),
            None => Ok(()),
        },
        Edit::Kill { app, nth } => match pod(world, app, *nth) {
            Some(pod) => world.delete("v1 Pod", &pod, &DeleteOptions::default()).await,
            None => Ok(()),
        },
    }
}

fn pods_on(world: &World, node: &str) -> Vec<Key> {
    let key = |pod: &std::sync::Arc<Seen>| Key::new(pod.namespace.as_str(), pod.name.as_str());
    world.state(|state| state.on_node(node).filter(|pod| !pod.is_over()).map(key).collect())
}

/// One of the Pods of an application.
fn pod(world: &World, app: &str, nth: usize) -> Option<Key> {
    world.state(|state| {
        let all = || state.of_kind("Pod").filter(|pod| pod.text("/metadata/labels/app") == app && !pod.is_over());
        let count = all().count();
        let chosen = all().nth(nth.checked_rem(count)?)?;
        Some(Key::new(chosen.namespace.as_str(), chosen.name.as_str()))
    })
}

/// A failed case with what is wrong with it.
#[derive(Clone, Debug)]
pub struct Failed {
    /// The case.
    pub case: Case,
    /// What is wrong.
    pub failures: Vec<Failure>,
    /// The end of what happened.
    pub tail: Vec<String>,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "scenario {}, seed {}", self.case.scenario, self.case.seed)?;
        self.failures.iter().take(8).try_for_each(|failure| writeln!(f, "- {failure}"))?;
        writeln!(f, "what the user does:")?;
        for change in &self.case.changes {
            writeln!(f, "  {}", serde_json::to_string(change).unwrap_or_default())?;
        }
        writeln!(f, "what goes wrong:")?;
        self.case.faults.faults.iter().try_for_each(|fault| writeln!(f, "  {fault}"))?;
        writeln!(f, "the end of the history:")?;
        self.tail.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        writeln!(f, "again: {}", self.case.command())
    }
}
