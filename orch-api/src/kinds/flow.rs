//! The groups `flowcontrol.apiserver.k8s.io`, `scheduling.k8s.io` and `coordination.k8s.io`.

use super::{
    cells::{NONE, age, boolean_or, name, scalar_or},
    row::{Group, Row, boolean, integer, named, text},
};
use crate::{
    access::{condition, get, integer as number, text as field},
    kind::Kind,
};
use serde_json::Value;

const FLOW: Group =
    Group { group: "flowcontrol.apiserver.k8s.io", version: "v1", package: "io.k8s.api.flowcontrol.v1" };

pub(super) fn kinds() -> Vec<Kind> {
    vec![flow_schema(), priority_level()]
}

pub(super) fn scheduling() -> Vec<Kind> {
    let group = Group { group: "scheduling.k8s.io", version: "v1", package: "io.k8s.api.scheduling.v1" };
    vec![group.cluster("PriorityClass", "priorityclasses").short(&["pc"]).columns(vec![
        name(),
        integer("Value", "The priority of the pods of this class.", |o, _| number(o, "value").into()),
        boolean("Global-Default", "Whether pods without a class get this one.", |o, _| {
            boolean_or(o, "globalDefault", false)
        }),
        age(),
        text("PreemptionPolicy", "Whether pods of this class may preempt others.", |o, _| {
            field(o, "preemptionPolicy").into()
        }),
    ])]
}

pub(super) fn coordination() -> Vec<Kind> {
    let group = Group { group: "coordination.k8s.io", version: "v1", package: "io.k8s.api.coordination.v1" };
    let holder = text("Holder", "Who holds the lease.", |o, _| field(o, "spec.holderIdentity").into());
    vec![group.namespaced("Lease", "leases").columns(named([holder]))]
}

fn flow_schema() -> Kind {
    let mut columns = named([
        text("PriorityLevel", "The priority level that matching requests get.", |o, _| {
            field(o, "spec.priorityLevelConfiguration.name").into()
        }),
        text("MatchingPrecedence", "Of several matching schemas that with the lowest number is chosen.", |o, _| {
            number(o, "spec.matchingPrecedence").into()
        }),
        text("DistinguisherMethod", "How requests are sorted into flows.", |o, _| {
            scalar_or(o, "spec.distinguisherMethod.type", NONE)
        }),
    ]);
    columns.push(text("MissingPL", "references a broken or non-existent PriorityLevelConfiguration", |o, _| {
        Value::from(condition(o, "Dangling").map_or("?", |c| field(c, "status")))
    }));
    FLOW.cluster("FlowSchema", "flowschemas").status().columns(columns)
}

fn priority_level() -> Kind {
    FLOW.cluster("PriorityLevelConfiguration", "prioritylevelconfigurations").status().columns(named([
        text("Type", "Exempt or Limited.", |o, _| field(o, "spec.type").into()),
        text("NominalConcurrencyShares", "The level's share of the server's concurrency.", |o, _| {
            limit(o, "spec.limited.nominalConcurrencyShares")
        }),
        text("Queues", "Number of queues.", |o, _| limit(o, "spec.limited.limitResponse.queuing.queues")),
        text("HandSize", "Number of queues a flow is dealt.", |o, _| {
            limit(o, "spec.limited.limitResponse.queuing.handSize")
        }),
        text("QueueLengthLimit", "The longest queue.", |o, _| {
            limit(o, "spec.limited.limitResponse.queuing.queueLengthLimit")
        }),
    ]))
}

fn limit(object: &Value, path: &str) -> Value {
    get(object, path).cloned().unwrap_or_else(|| Value::from(NONE))
}
