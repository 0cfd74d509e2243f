//! Updates of a pod's status (`ValidatePodStatusUpdate`).

use super::annotations;
use crate::validation::{
    at::At,
    names::{dns_subdomain, ip, qualified},
};

/// An update of the status of a pod.
pub(in crate::validation) fn status_updated<'a>(new: At<'a>, old: At<'a>) {
    annotations::updated(new.at("metadata").at("annotations"), old.at("metadata").at("annotations"));
    let (status, before) = (new.at("status"), old.at("status"));
    conditions(status.at("conditions"));
    if new.at("spec").at("nodeName").str() != old.at("spec").at("nodeName").str() {
        status.at("nodeName").forbidden("may not be changed directly");
    }
    let nominated = status.at("nominatedNodeName");
    if !nominated.is_empty() && !nominated.same(before.at("nominatedNodeName")) {
        nominated.text(dns_subdomain);
        if !old.at("spec").at("nodeName").is_empty() {
            nominated.forbidden("may not be set on pods that are already bound to a node");
        }
    }
    if status.at("observedGeneration").int().is_some_and(|n| n < 0) {
        status.at("observedGeneration").invalid("must be a non-negative integer");
    }
    status.at("qosClass").immutable(before.at("qosClass"));
    for (statuses, containers) in [("containerStatuses", "containers"), ("initContainerStatuses", "initContainers")] {
        transitions(status.at(statuses), before.at(statuses), |name, code| {
            restarts(old.at("spec"), containers, name, code)
        });
    }
    let field = "ephemeralContainerStatuses";
    transitions(status.at(field), before.at(field), |_, _| false);
    addresses(status);
}

fn conditions(list: At<'_>) {
    const SYSTEM: [&str; 4] = ["PodScheduled", "Ready", "Initialized", "ContainersReady"];
    for condition in list.items() {
        if condition.at("observedGeneration").int().is_some_and(|n| n < 0) {
            condition.at("observedGeneration").invalid("must be a non-negative integer");
        }
        let kind = condition.at("type");
        if !SYSTEM.contains(&kind.str()) {
            for message in qualified(kind.str()) {
                condition.at("Type").invalid_as(kind.str(), message);
            }
        }
    }
}

/// A container that ended runs again only where it may.
fn transitions(new: At<'_>, old: At<'_>, may_restart: impl Fn(&str, i64) -> bool) {
    for (i, before) in old.items().enumerate() {
        let ended = before.at("state").at("terminated");
        let name = before.at("name").str();
        let Some(after) = new.items().find(|s| s.at("name").str() == name) else { continue };
        let runs_again = ended.is_set() && !after.at("state").at("terminated").is_set();
        if runs_again && !may_restart(name, ended.at("exitCode").int().unwrap_or_default()) {
            new.index(i).at("state").forbidden("may not be transitioned to non-terminated state");
        }
    }
}

/// Whether a container that ended with this code is started again: by its own rules and policy, else by the pod's.
fn restarts(spec: At<'_>, list: &'static str, name: &str, code: i64) -> bool {
    let container = spec.at(list).items().find(|c| c.at("name").str() == name);
    let own = container.map(|c| c.at("restartPolicy").str()).filter(|policy| !policy.is_empty());
    for rule in container.into_iter().flat_map(|c| c.at("restartPolicyRules").items().collect::<Vec<_>>()) {
        let listed = rule.at("exitCodes").at("values").list().iter().any(|v| v.as_i64() == Some(code));
        if listed == (rule.at("exitCodes").at("operator").str() == "In") {
            return true;
        }
    }
    match own.unwrap_or(spec.at("restartPolicy").str()) {
        "Never" => false,
        "OnFailure" => code != 0,
        _ => true,
    }
}

fn addresses(status: At<'_>) {
    for field in ["podIPs", "hostIPs"] {
        let list = status.at(field);
        for address in list.items() {
            ip(address.at("ip").str()).into_iter().for_each(|m| address.invalid_as(address.at("ip").str(), m));
        }
        let is_six = |at: At<'_>| at.at("ip").str().contains(':');
        let mut items = list.items();
        let is_dual =
            matches!((items.next(), items.next(), items.next()), (Some(a), Some(b), None) if is_six(a) != is_six(b));
        if list.len() > 1 && !is_dual {
            list.invalid("may specify no more than one IP for each IP family");
        }
    }
    let host = status.at("hostIPs").index(0).at("ip");
    if !status.at("hostIPs").is_empty() && host.str() != status.at("hostIP").str() {
        host.invalid("must be equal to `hostIP`");
    }
}
