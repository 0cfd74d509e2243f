//! Random changes to an object, along its schema as Acto makes them, and by what its kind is for.

use super::{
    case::{Change, Edit},
    scenario::Scenario,
};
use orch_api::{
    Gvk, kinds,
    schema::{self, Scalar, Schema, Shape},
};
use orch_store::Chance;
use serde_json::{Value, json};
use std::sync::Arc;

/// Fields that would ask for what a simulated cluster has not, or that decide who is meant.
const LEFT_ALONE: &[&str] = &[
    "selector",
    "template",
    "nodeName",
    "nodeSelector",
    "schedulerName",
    "runtimeClassName",
    "clusterIP",
    "clusterIPs",
    "type",
    "externalName",
    "ipFamilyPolicy",
    "ipFamilies",
    "volumeClaimTemplates",
    "serviceName",
    "progressDeadlineSeconds",
    "updateStrategy",
    // A time that is over, or a number of tries, on one way and not on another: see `harsh`.
    "activeDeadlineSeconds",
    "backoffLimit",
];

/// Random changes over a time. The scenario's objects are there from the beginning, and what happens in it to others than the
/// subject happens.
pub(super) fn changes(scenario: &Scenario, chance: &Chance, lasts_ms: u64) -> Vec<Change> {
    let Some((kind, key)) = &scenario.subject else { return scenario.changes.clone() };
    let own = |edit: &Edit| match edit {
        Edit::Patch { kind: of, name, .. } | Edit::Delete { kind: of, name, .. } => of == kind && **name == *key.name,
        Edit::Put { object } => {
            object["metadata"]["name"] == *key.name && kind.ends_with(object["kind"].as_str().unwrap_or("-"))
        }
        _ => false,
    };
    let kept = |change: &&Change| change.at_ms == 0 || !own(&change.edit);
    let mut changes: Vec<Change> = scenario.changes.iter().filter(kept).cloned().collect();
    let harsh = is_harsh(kind, chance);
    for _ in 0..=chance.below(4) {
        let at_ms = chance.below(lasts_ms);
        let patch = match chance.below(3) {
            _ if harsh => self::harsh(chance),
            0 => along_schema(kind, chance),
            _ => by_kind(kind, chance),
        };
        let edit = match chance.below(12) {
            0 => Edit::Kill { app: "web".into(), nth: chance.below(4) as usize },
            1 => Edit::Evict { app: "web".into(), nth: chance.below(4) as usize },
            _ => {
                let (namespace, name) = (key.namespace.to_string(), key.name.to_string());
                Edit::Patch { kind: kind.clone(), namespace, name, patch }
            }
        };
        changes.push(Change { at_ms, edit });
    }
    if kind == super::scenarios::JOB {
        // A Job that is suspended, or runs nothing, does not end.
        changes.push(Change::patch(lasts_ms, kind, key, json!({"spec": {"suspend": false, "parallelism": 2}})));
    }
    if kind == super::scenarios::DEPLOYMENT {
        // What a paused Deployment has depends on when it was paused: no end to compare.
        changes.push(Change::patch(lasts_ms, kind, key, json!({"spec": {"paused": false}})));
    }
    if chance.below(10) == 0 {
        let at_ms = chance.below(lasts_ms);
        let propagation = *pick(chance, &["Background", "Foreground"]);
        changes.push(Change::delete(at_ms, kind, key, Some(propagation)));
        let again = scenario.changes.iter().find(|change| change.at_ms == 0).map(|change| change.edit.clone());
        // Late enough for a deletion in the foreground to be over.
        changes.extend(again.map(|edit| Change { at_ms: at_ms + 60_000, edit }));
    }
    changes
}

/// Whether a seed is about limits that end a Job sooner or later. On which side of them it ends is chance, so there is no other
/// end to compare it with.
pub(super) fn is_harsh(kind: &str, chance: &Chance) -> bool {
    kind == super::scenarios::JOB && chance.child("harsh").below(3) == 0
}

/// Limits that a Job may meet.
fn harsh(chance: &Chance) -> Value {
    let few = chance.below(4);
    match chance.below(5) {
        0 => json!({"spec": {"activeDeadlineSeconds": 1 + 5 * few}}),
        1 => json!({"spec": {"backoffLimit": few}}),
        2 => json!({"spec": {"ttlSecondsAfterFinished": few}}),
        3 => json!({"spec": {"parallelism": few}}),
        _ => json!({"spec": {"suspend": few < 2}}),
    }
}

/// What may be changed of a Job (`ValidateJobSpecUpdate`): how many at a time, whether it is suspended, limits that it does
/// not meet, of an indexed one how many in all, together with how many at a time. Of a template what is about placing its Pods,
/// before it has begun or while it is suspended; at other times that is refused, as the rest is.
fn of_job(chance: &Chance) -> Value {
    let few = 1 + chance.below(4);
    match chance.below(7) {
        0 | 1 => json!({"spec": {"parallelism": few}}),
        2 | 3 => json!({"spec": {"suspend": few < 3}}),
        4 => json!({"spec": {"backoffLimit": 40 + few, "activeDeadlineSeconds": 100_000 * few}}),
        5 => json!({"spec": {"completions": few, "parallelism": few}}),
        _ => json!({"spec": {"template": {"metadata": {"labels": {"tier": format!("t{few}")}}}}}),
    }
}

/// What users do to objects of a kind.
fn by_kind(kind: &str, chance: &Chance) -> Value {
    let replicas = || json!({"spec": {"replicas": chance.below(5)}});
    let image = || {
        let image = format!("app:{}", 1 + chance.below(4));
        json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}})
    };
    let workload = matches!(
        kind.rsplit(' ').next(),
        Some("Deployment" | "ReplicaSet" | "ReplicationController" | "StatefulSet" | "DaemonSet")
    );
    if kind == super::scenarios::JOB {
        return of_job(chance);
    }
    match (kind, chance.below(8)) {
        (super::scenarios::DEPLOYMENT, 0) => {
            let (surge, unavailable) = (chance.below(3), chance.below(3));
            json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {
                "maxSurge": if surge == 0 && unavailable == 0 { json!("34%") } else { json!(surge) },
                "maxUnavailable": unavailable}}}})
        }
        (super::scenarios::DEPLOYMENT, 1) => json!({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": null}}}),
        (super::scenarios::DEPLOYMENT, 2) => json!({"spec": {"paused": chance.below(3) == 0}}),
        (super::scenarios::DAEMON_SET, 0) => {
            let surge = chance.below(3) == 0;
            let (surge, unavailable) = if surge { (1, 0) } else { (0, 1 + chance.below(2)) };
            json!({"spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {
                "maxSurge": surge, "maxUnavailable": unavailable}}}})
        }
        (super::scenarios::STATEFUL_SET, 0) => {
            json!({"spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {
                "maxUnavailable": 1 + chance.below(2)}}}})
        }
        (_, 3) if workload => {
            json!({"spec": {"template": {"metadata": {"labels": {"tier": format!("t{}", chance.below(3))}}}}})
        }
        (_, 4) if workload => json!({"metadata": {"labels": {"note": format!("n{}", chance.below(3))}}}),
        (_, 5 | 6) if workload => image(),
        (_, _) if workload => replicas(),
        ("v1 Service", 0..=3) => {
            json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8000 + chance.below(4)}]}})
        }
        ("v1 Service", _) => json!({"spec": {"publishNotReadyAddresses": chance.below(2) == 0}}),
        _ => json!({"metadata": {"labels": {"note": format!("n{}", chance.below(3))}}}),
    }
}

/// A random value for a random field of the spec.
fn along_schema(kind: &str, chance: &Chance) -> Value {
    let (version, name) = kind.split_once(' ').unwrap_or(("v1", kind));
    let found = kinds::find_kind(&Gvk::parse(version, name));
    let root = found.and_then(|kind| schema::builtin(&kind.definition));
    let spec = root.and_then(|root| field(&root, "spec"));
    let value = spec.and_then(|spec| value(&spec, chance, 0));
    value.map_or_else(|| by_kind(kind, chance), |value| json!({ "spec": value }))
}

fn field(schema: &Arc<Schema>, name: &str) -> Option<Arc<Schema>> {
    match &schema::resolve(schema).shape {
        Shape::Object(fields) => fields.properties.get(name).cloned(),
        _ => None,
    }
}

/// A patch of one field below a schema; `None` where there is none to change.
fn value(schema: &Arc<Schema>, chance: &Chance, depth: u8) -> Option<Value> {
    let small = || chance.below(6);
    match &schema::resolve(schema).shape {
        Shape::Object(fields) if depth < 4 => {
            let names: Vec<_> = fields.properties.iter().filter(|(name, _)| !LEFT_ALONE.contains(&&***name)).collect();
            let chosen = usize::try_from(chance.below(names.len() as u64)).ok()?;
            let (name, schema) = names.get(chosen)?;
            Some(json!({ name.as_ref(): value(schema, chance, depth + 1)? }))
        }
        Shape::Scalar(Scalar::Boolean) => Some(json!(small() % 2 == 0)),
        Shape::Scalar(Scalar::Int32 | Scalar::Int64) => Some(json!(small())),
        Shape::Scalar(Scalar::IntOrString) => {
            Some(if small() < 3 { json!(small()) } else { json!(format!("{}%", small() * 20)) })
        }
        _ => None,
    }
}

fn pick<'a, T>(chance: &Chance, from: &'a [T]) -> &'a T {
    &from[usize::try_from(chance.below(from.len() as u64)).unwrap_or(0)]
}
