//! Namespace and Node (`pkg/apis/core/validation`).

use super::{
    at::At,
    names::{cidr, joined, label_value, qualified},
    pod,
};

/// Namespace.
pub(super) fn namespace(namespace: At<'_>) {
    let list = namespace.at("spec").at("finalizers");
    list.items().for_each(|finalizer| namespace_finalizer(list, finalizer.str()));
}

/// An update of a namespace through `finalize`.
pub(super) fn namespace_finalized<'a>(new: At<'a>, _: At<'a>) {
    for finalizer in new.at("spec").at("finalizers").items() {
        namespace_finalizer(finalizer, finalizer.str());
    }
}

fn namespace_finalizer(at: At<'_>, name: &str) {
    qualified(name).into_iter().for_each(|message| at.invalid_as(name, message));
    if !name.contains('/') && !matches!(name, "kubernetes" | "orphan" | "foregroundDeletion") {
        at.invalid_as(name, "name is neither a standard finalizer name nor is it fully qualified");
    }
}

/// An update of the status: the phase follows the deletion.
pub(super) fn namespace_status<'a>(new: At<'a>, _: At<'a>) {
    let phase = new.at("status").at("phase").str();
    let at = new.at("status").at("Phase");
    match (new.at("metadata").at("deletionTimestamp").is_set(), phase) {
        (false, "Active") | (true, "Terminating") => {}
        (false, _) => at.invalid_as(phase, "may only be 'Active' if `deletionTimestamp` is empty"),
        (true, _) => at.invalid_as(phase, "may only be 'Terminating' if `deletionTimestamp` is not empty"),
    }
}

/// Node.
pub(super) fn node(node: At<'_>) {
    taints(node);
    resources(node);
    let cidrs = node.at("spec").at("podCIDRs");
    cidrs.items().for_each(|range| range.text(cidr));
    let sixes = cidrs.items().filter(|range| range.str().contains(':')).count();
    if cidrs.len() > 2 || (cidrs.len() == 2 && sixes != 1) {
        cidrs.invalid("may specify no more than one CIDR for each IP family");
    }
}

/// An update of a node: what names it to others stays.
pub(super) fn node_updated<'a>(new: At<'a>, old: At<'a>) {
    resources(new);
    let mut seen = Vec::new();
    for address in new.at("status").at("addresses").items() {
        if seen.contains(&address.value()) {
            address.duplicate();
        }
        seen.push(address.value());
    }
    let (spec, before) = (new.at("spec"), old.at("spec"));
    for (field, word) in [("podCIDRs", "podCIDR"), ("providerID", "providerID")] {
        if !before.at(field).is_empty() && !spec.at(field).same(before.at(field)) {
            spec.at(field).forbidden(format!("node updates may not change {word} except from \"\" to valid"));
        }
    }
    taints(new);
}

/// Taints. Their path is, as upstream has it, `metadata.taints`.
fn taints(node: At<'_>) {
    let list = node.at("metadata").at("taints").with(node.at("spec").at("taints").value());
    let mut seen = Vec::new();
    for taint in list.items() {
        let (key, effect) = (taint.at("key"), taint.at("effect"));
        key.text(qualified);
        let complaints = label_value(taint.at("value").str());
        if !complaints.is_empty() {
            taint.at("value").invalid(joined(&complaints));
        }
        effect.required_one_of(&["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        let pair = (key.str(), effect.str());
        if seen.contains(&pair) {
            let mut fault = crate::FieldError::duplicate(&taint.path(), taint.value().cloned().unwrap_or_default());
            fault.detail = "taints must be unique by key and effect pair".into();
            taint.report(fault);
        }
        seen.push(pair);
    }
}

fn resources(node: At<'_>) {
    for list in ["capacity", "allocatable"].map(|field| node.at("status").at(field)) {
        for (name, _) in list.entries() {
            pod::quantity(name, list.at(name));
        }
    }
}
