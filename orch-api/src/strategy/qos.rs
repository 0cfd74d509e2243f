//! Quality of service (`pkg/apis/core/v1/helper/qos/qos.go`).

use crate::quantity::Quantity;
use serde_json::Value;
use std::collections::BTreeMap;

/// How a pod is treated when its node runs short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QosClass {
    /// It asked for nothing.
    BestEffort,
    /// It asked for something.
    Burstable,
    /// Every container has limits for CPU and memory and requests exactly these.
    Guaranteed,
}

impl QosClass {
    /// The class as it stands in a pod's status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BestEffort => "BestEffort",
            Self::Burstable => "Burstable",
            Self::Guaranteed => "Guaranteed",
        }
    }
}

type Sums = BTreeMap<&'static str, Quantity>;

/// The class of a pod with this spec. Resources of the pod as a whole, where stated, decide alone.
pub fn qos_class(spec: &Value) -> QosClass {
    let mut requests = Sums::new();
    let mut limits = Sums::new();
    let mut all_limited = true;
    let mut add = |resources: &Value| {
        sum(&mut requests, resources.get("requests"));
        all_limited &= sum(&mut limits, resources.get("limits")) == 2;
    };
    match spec.get("resources").filter(|r| !r.is_null()) {
        Some(resources) => add(resources),
        None => {
            for list in ["containers", "initContainers"] {
                let containers = spec.get(list).and_then(Value::as_array);
                containers.into_iter().flatten().for_each(|c| add(c.get("resources").unwrap_or(&Value::Null)));
            }
        }
    }
    match () {
        () if requests.is_empty() && limits.is_empty() => QosClass::BestEffort,
        () if all_limited && requests == limits => QosClass::Guaranteed,
        () => QosClass::Burstable,
    }
}

/// Adds up CPU and memory; returns how many of the two have an amount above zero.
fn sum(sums: &mut Sums, list: Option<&Value>) -> usize {
    let list = list.and_then(Value::as_object);
    let amounts = ["cpu", "memory"].into_iter().filter_map(|name| {
        let amount = Quantity::of(list?.get(name)?)?;
        amount.is_positive().then_some((name, amount))
    });
    amounts
        .map(|(name, amount)| {
            let sum = sums.entry(name).or_insert(Quantity::ZERO);
            *sum = sum.plus(amount);
        })
        .count()
}
