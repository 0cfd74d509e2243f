//! Whether what is wanted has been reached, for the kinds that say what they want.

use super::state::{Seen, State};

/// What is not as it should be, one line each, once the cluster has come to rest.
pub fn unmet(state: &State) -> Vec<String> {
    state.all().filter_map(|seen| check(seen)).collect()
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
        _ => return None,
    };
    let unobserved = generation != observed && !matches!(&*seen.kind, "Namespace" | "Pod") && generation > 0;
    missing.or_else(|| {
        let reports =
            matches!(&*seen.kind, "Deployment" | "ReplicaSet" | "ReplicationController" | "StatefulSet" | "DaemonSet");
        (reports && unobserved).then(|| format!("{seen} is at generation {generation}, and {observed} was observed"))
    })
}
