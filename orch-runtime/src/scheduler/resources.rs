//! [`Resources`]: amounts of CPU, memory and the rest, as integers.

use orch_api::quantity::Quantity;
use std::{collections::BTreeMap, sync::Arc};

/// Amounts of resources. CPU counts in thousandths, everything else in units (bytes, pods, devices).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a CPU.
    pub cpu_millis: i64,
    /// Bytes.
    pub memory: i64,
    /// Bytes of ephemeral storage.
    pub ephemeral_storage: i64,
    /// Number of pods.
    pub pods: i64,
    /// Extended resources, huge pages and the like.
    pub others: BTreeMap<Arc<str>, i64>,
}

impl Resources {
    /// Reads a resource list such as `{"cpu": "100m"}`. Quantities that do not parse count as zero: the API
    /// server refuses them.
    pub fn parse<'a>(list: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut sum = Self::default();
        for (name, quantity) in list {
            let quantity = Quantity::parse(quantity).unwrap_or_default();
            let amount = if name == "cpu" { quantity.millis() } else { quantity.value() };
            match name {
                "cpu" => sum.cpu_millis = amount,
                "memory" => sum.memory = amount,
                "ephemeral-storage" => sum.ephemeral_storage = amount,
                "pods" => sum.pods = amount,
                other => {
                    sum.others.insert(other.into(), amount);
                }
            }
        }
        sum
    }

    /// Adds to every amount.
    pub fn add(&mut self, other: &Self) {
        self.cpu_millis = self.cpu_millis.saturating_add(other.cpu_millis);
        self.memory = self.memory.saturating_add(other.memory);
        self.ephemeral_storage = self.ephemeral_storage.saturating_add(other.ephemeral_storage);
        self.pods = self.pods.saturating_add(other.pods);
        for (name, amount) in &other.others {
            let sum = self.others.entry(name.clone()).or_default();
            *sum = sum.saturating_add(*amount);
        }
    }

    /// Takes from every amount.
    pub fn subtract(&mut self, other: &Self) {
        self.cpu_millis = self.cpu_millis.saturating_sub(other.cpu_millis);
        self.memory = self.memory.saturating_sub(other.memory);
        self.ephemeral_storage = self.ephemeral_storage.saturating_sub(other.ephemeral_storage);
        self.pods = self.pods.saturating_sub(other.pods);
        for (name, amount) in &other.others {
            if let Some(sum) = self.others.get_mut(name) {
                *sum = sum.saturating_sub(*amount);
            }
        }
    }

    /// Raises every amount to that of the other.
    pub fn raise_to(&mut self, other: &Self) {
        self.cpu_millis = self.cpu_millis.max(other.cpu_millis);
        self.memory = self.memory.max(other.memory);
        self.ephemeral_storage = self.ephemeral_storage.max(other.ephemeral_storage);
        self.pods = self.pods.max(other.pods);
        for (name, amount) in &other.others {
            let most = self.others.entry(name.clone()).or_default();
            *most = (*most).max(*amount);
        }
    }
}
