//! What a pod needs next, as data: one line of text for each step.

use super::backoff::Backoff;
use jiff::Timestamp;
use std::{fmt, time::Duration};

/// What to do now, and when to look again without any event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodActions {
    /// Independent of each other; all may be begun at once.
    pub actions: Vec<Action>,
    /// When a back-off or a deadline ends.
    pub wake_at: Option<Timestamp>,
    /// Set when the pod is over from now on.
    pub outcome: Option<Outcome>,
}

/// Reason of a pod that ran longer than it may.
pub(super) const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";

/// How a pod came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its containers ended and none will run again; their exit codes decide between Succeeded and Failed.
    Completed,
    /// The agent ended it: phase Failed with this reason and message.
    Failed {
        /// Such as `DeadlineExceeded`.
        reason: String,
        /// Explanation.
        message: String,
    },
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make directories and volumes.
    PrepareVolumes,
    /// Make the sandbox.
    CreateSandbox {
        /// Which try this is, from 0.
        attempt: u32,
    },
    /// Take the sandbox down.
    StopSandbox {
        /// Its id.
        id: String,
    },
    /// Remove a sandbox that is of no more use.
    RemoveSandbox {
        /// Its id.
        id: String,
    },
    /// Pull, create and start a container.
    Start {
        /// Its name.
        name: String,
        /// Which try this is, from 0.
        attempt: u32,
        /// Crash back-off from now on.
        backoff: Option<Backoff>,
    },
    /// Stop a container.
    Kill {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
        /// Time for the preStop hook and for the stop signal.
        grace: Duration,
        /// Why.
        reason: KillReason,
    },
    /// Remove a dead container that nobody asks for any more.
    RemoveContainer {
        /// Its id.
        id: String,
    },
    /// All is down: write the last status, clean up, and delete the object if it waits for that.
    Finish,
}

/// Why a container is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillReason {
    /// The pod ends.
    PodEnds,
    /// The pod's sandbox is gone.
    SandboxChanged,
    /// The liveness probe failed.
    Liveness,
    /// The startup probe failed.
    Startup,
    /// The container's image was changed in the spec.
    Changed,
}

impl KillReason {
    /// The words of the `Killing` event.
    pub fn message(self, name: &str) -> String {
        match self {
            Self::PodEnds | Self::SandboxChanged => format!("Stopping container {name}"),
            Self::Liveness => format!("Container {name} failed liveness probe, will be restarted"),
            Self::Startup => format!("Container {name} failed startup probe, will be restarted"),
            Self::Changed => format!("Container {name} definition changed, will be restarted"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PrepareVolumes => write!(f, "prepare volumes"),
            Self::CreateSandbox { attempt } => write!(f, "create sandbox #{attempt}"),
            Self::StopSandbox { id } => write!(f, "stop sandbox {id}"),
            Self::RemoveSandbox { id } => write!(f, "remove sandbox {id}"),
            Self::Start { name, attempt, backoff: None } => write!(f, "start {name} #{attempt}"),
            Self::Start { name, attempt, backoff: Some(b) } => {
                write!(f, "start {name} #{attempt}, then back off {}s", b.delay.as_secs())
            }
            Self::Kill { id, grace, reason, .. } => write!(f, "kill {id} within {}s: {reason:?}", grace.as_secs()),
            Self::RemoveContainer { id } => write!(f, "remove container {id}"),
            Self::Finish => write!(f, "finish"),
        }
    }
}

impl fmt::Display for PodActions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for action in &self.actions {
            writeln!(f, "{action}")?;
        }
        if let Some(outcome) = &self.outcome {
            match outcome {
                Outcome::Completed => writeln!(f, "outcome: completed")?,
                Outcome::Failed { reason, .. } => writeln!(f, "outcome: {reason}")?,
            }
        }
        Ok(())
    }
}
