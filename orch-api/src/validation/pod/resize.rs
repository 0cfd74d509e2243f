//! The subresources `ephemeralcontainers` and `resize` (`ValidatePodEphemeralContainersUpdate`, `ValidatePodResize`).

use super::{annotations, metadata_and_spec, update::difference};
use crate::validation::{at::At, same};
use serde_json::{Map, Value};

/// Ephemeral containers can be added and stay as they are.
pub(in crate::validation) fn ephemeral_containers_updated<'a>(new: At<'a>, old: At<'a>) {
    metadata_and_spec(new);
    annotations::updated(new.at("metadata").at("annotations"), old.at("metadata").at("annotations"));
    if old.at("metadata").at("annotations").at("kubernetes.io/config.mirror").is_set() {
        return new.forbidden("static pods do not support ephemeral containers");
    }
    let list = new.at("spec").at("ephemeralContainers");
    for before in old.at("spec").at("ephemeralContainers").items() {
        let name = before.at("name").str();
        match list.items().find(|c| c.at("name").str() == name) {
            None => list.forbidden(format!("existing ephemeral containers {name:?} may not be removed\n")),
            Some(after) if !after.same(before) => {
                let empty = Map::new();
                let fields = |at: At<'_>| at.value().and_then(Value::as_object).unwrap_or(&empty).clone();
                let difference = difference(&fields(before), &fields(after));
                list.forbidden(format!("existing ephemeral containers {name:?} may not be changed\n{difference}"));
            }
            Some(_) => {}
        }
    }
}

/// CPU and memory of running containers can change; the class of the pod cannot.
pub(in crate::validation) fn resized<'a>(new: At<'a>, old: At<'a>) {
    metadata_and_spec(new);
    let (meta, spec) = (new.at("metadata"), new.at("spec"));
    if old.at("metadata").at("annotations").at("kubernetes.io/config.mirror").is_set() {
        return meta.forbidden("static pods cannot be resized");
    }
    if spec.at("os").at("name").str() == "windows" {
        spec.forbidden("windows pods cannot be resized");
    }
    let class = |pod: At<'_>| pod.at("spec").value().map(crate::strategy::qos_class);
    if class(new) != class(old) {
        spec.invalid_as(class(new).map_or("", |c| c.as_str()), "Pod QOS Class may not change as a result of resizing");
    }
    for list in ["containers", "initContainers"] {
        let (after, before) = (spec.at(list), old.at("spec").at(list));
        if after.len() != before.len() {
            return after.forbidden("containers may not be added or removed on resize");
        }
        for (after, before) in after.items().zip(before.items()) {
            container(after, before);
        }
    }
}

fn container<'a>(new: At<'a>, old: At<'a>) {
    if new.at("name").str() != old.at("name").str() {
        return new.forbidden("containers may not be renamed or reordered on resize");
    }
    let (new, old) = (new.at("resources"), old.at("resources"));
    for list in ["requests", "limits"] {
        for (name, before) in old.at(list).entries() {
            let after = new.at(list).key(name);
            match (matches!(name, "cpu" | "memory"), after.is_set()) {
                (true, false) => new.at(list).forbidden(format!("resource {list} cannot be removed")),
                (false, _) if !same(after.value(), before.value()) => {
                    after.forbidden("only cpu and memory resources are mutable");
                }
                _ => {}
            }
        }
        for (name, after) in new.at(list).entries() {
            if !matches!(name, "cpu" | "memory") && !old.at(list).at(name).is_set() {
                after.forbidden("only cpu and memory resources are mutable");
            }
        }
    }
}
