//! Whether what is wanted has been reached, for the kinds that say what they want.

use super::state::{Seen, State};

/// What is not as it should be, one line each, once the cluster has come to rest.
pub fn unmet(state: &State) -> Vec<String> {
    state.all().filter_map(|seen| check(seen).or_else(|| uncounted(seen, state))).collect()
}

fn check(seen: &Seen) -> Option<String> {
    let (generation, observed) = (seen.number("/metadata/generation"), seen.number("/status/observedGeneration"));
    let wanted = seen.number("/spec/replicas");
    let counts = |names: &[&str]| -> Option<String> {
        let wrong = names.iter().find(|name| seen.number(&format!("/status/{name}")) != wanted)?;
        Some(format!("{seen} wants {wanted} and has {wrong} {}", seen.number(&format!("/status/{wrong}"))))
    };
    let missing = match &*seen.kind {
        _ if seen.is_deleting() => Some(format!("{seen} is still being deleted")),
        "Deployment" if seen.at("/spec/paused") == true => None,
        "Deployment" => counts(&["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"]),
        "ReplicaSet" | "ReplicationController" => counts(&["replicas", "readyReplicas", "availableReplicas"]),
        "StatefulSet" => counts(&["replicas", "readyReplicas", "updatedReplicas"]),
        "DaemonSet" => {
            let desired = seen.number("/status/desiredNumberScheduled");
            let counts = ["currentNumberScheduled", "numberReady", "updatedNumberScheduled"];
            let wrong = counts.iter().find(|name| seen.number(&format!("/status/{name}")) != desired);
            wrong.map(|name| {
                format!("{seen} wants {desired} and has {name} {}", seen.number(&format!("/status/{name}")))
            })
        }
        "Job" => job(seen),
        _ => return None,
    };
    let unobserved = generation != observed && !matches!(&*seen.kind, "Namespace" | "Pod") && generation > 0;
    missing.or_else(|| {
        let reports =
            matches!(&*seen.kind, "Deployment" | "ReplicaSet" | "ReplicationController" | "StatefulSet" | "DaemonSet");
        (reports && unobserved).then(|| format!("{seen} is at generation {generation}, and {observed} was observed"))
    })
}

/// A Job has come to its end, or is suspended and has no Pods, or has Pods that work.
fn job(job: &Seen) -> Option<String> {
    let (active, ready) = (job.number("/status/active"), job.number("/status/ready"));
    match () {
        () if job.has_condition("Complete") || job.has_condition("Failed") => None,
        () if job.at("/spec/suspend") == true => {
            (active > 0).then(|| format!("{job} is suspended and has {active} Pods"))
        }
        () if job.at("/spec/parallelism") == 0 && active == 0 => None,
        () if active == 0 || ready < active => {
            Some(format!("{job} has not ended, and {ready} of {active} Pods are ready"))
        }
        () => None,
    }
}

/// A Pod that waits to be counted by a Job which will not.
fn uncounted(pod: &Seen, state: &State) -> Option<String> {
    let waits = pod.at("/metadata/finalizers").as_array()?.iter().any(|name| name == orch_controllers::job::TRACKING);
    let job = pod.controller().and_then(|(uid, _)| state.by_uid(uid).filter(|_| state.exists(uid)));
    let counts = job.is_some_and(|job| !job.has_condition("Complete") && !job.has_condition("Failed"));
    (waits && !counts).then(|| format!("{pod} waits to be counted, and no Job will"))
}
