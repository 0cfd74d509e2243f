//! What the scheduler must not do: bind a Pod twice, or put more on a node than it has.

use super::{Judge, Oracle};
use crate::sim::state::{Seen, Write};
use orch_api::quantity::Quantity;
use serde_json::Value;

/// A Pod is bound to one node, once.
pub struct OneBinding;

impl Oracle for OneBinding {
    fn name(&self) -> &'static str {
        "one binding"
    }

    fn judge(&mut self, write: &Write, _: &Judge<'_>) -> Result<(), String> {
        let (Some(old), Some(new)) = (&write.old, &write.new) else { return Ok(()) };
        let (before, after) = (old.text("/spec/nodeName"), new.text("/spec/nodeName"));
        if new.kind == "Pod" && old.uid == new.uid && !before.is_empty() && before != after {
            return Err(format!("{new} was bound to {before} and is now bound to {after:?}"));
        }
        Ok(())
    }
}

/// Bindings leave every node with what its Pods ask for.
pub struct Capacity;

impl Oracle for Capacity {
    fn name(&self) -> &'static str {
        "capacity"
    }

    fn judge(&mut self, write: &Write, judge: &Judge<'_>) -> Result<(), String> {
        let Some(pod) = write.new.as_ref().filter(|new| new.kind == "Pod" && write.subresource == "binding") else {
            return Ok(());
        };
        let node = pod.text("/spec/nodeName");
        let Some(found) = judge.state.of_kind("Node").find(|known| known.name == node) else { return Ok(()) };
        let on_it =
            || judge.state.on_node(node).filter(|pod| !matches!(pod.text("/status/phase"), "Succeeded" | "Failed"));
        for resource in ["cpu", "memory"] {
            let has = milli(found.at(&format!("/status/allocatable/{resource}")));
            let asked: i128 = on_it().map(|pod| requested(pod, resource)).sum();
            if asked > has {
                return Err(format!("{node} has {has} thousandths of {resource}, and {asked} are asked of it"));
            }
        }
        let (has, count) = (milli(found.at("/status/allocatable/pods")) / 1000, on_it().count() as i128);
        if has > 0 && count > has {
            return Err(format!("{node} may run {has} pods, and {count} are bound to it"));
        }
        Ok(())
    }
}

fn requested(pod: &Seen, resource: &str) -> i128 {
    let containers = pod.at("/spec/containers").as_array().map_or(&[][..], Vec::as_slice);
    containers.iter().map(|container| milli(&container["resources"]["requests"][resource])).sum()
}

/// Thousandths of a quantity; 0 where there is none.
fn milli(quantity: &Value) -> i128 {
    let text = quantity.as_str().map(str::to_owned).or_else(|| quantity.as_i64().map(|n| n.to_string()));
    text.and_then(|text| text.parse::<Quantity>().ok()).map_or(0, |quantity| i128::from(quantity.millis()))
}
