//! [`Amounts`]: a list of resources with quantities (`pkg/quota/v1/resources.go`).

use crate::quantity::Quantity;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fmt};

/// Quantities by resource, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amounts(BTreeMap<String, Quantity>);

impl Amounts {
    /// Reads a `ResourceList`. What is no quantity is left out; validation has said so elsewhere.
    pub fn read(list: Option<&Value>) -> Self {
        let fields = list.and_then(Value::as_object).into_iter().flatten();
        let read = |(name, value): (&String, &Value)| Some((name.clone(), Quantity::of(value)?));
        Self(fields.filter_map(read).collect())
    }

    /// The `ResourceList`.
    pub fn write(&self) -> Value {
        let fields = self.0.iter().map(|(name, quantity)| (name.clone(), quantity.to_string().into()));
        Value::Object(fields.collect::<Map<_, _>>())
    }

    /// The quantity of a resource.
    pub fn get(&self, name: &str) -> Option<Quantity> {
        self.0.get(name).copied()
    }

    /// Sets the quantity of a resource.
    pub fn set(&mut self, name: impl Into<String>, quantity: Quantity) {
        self.0.insert(name.into(), quantity);
    }

    /// The resources with their quantities, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Quantity)> {
        self.0.iter().map(|(name, quantity)| (&**name, *quantity))
    }

    /// The names of the resources.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }

    /// Whether no resource is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds other amounts to these.
    pub fn add(&mut self, other: &Self) {
        for (name, quantity) in other.iter() {
            let sum = self.get(name).map_or(quantity, |own| own.plus(quantity));
            self.set(name, sum);
        }
    }

    /// Raises these to other amounts where those are higher.
    pub fn raise(&mut self, other: &Self) {
        for (name, quantity) in other.iter() {
            if self.get(name).is_none_or(|own| own < quantity) {
                self.set(name, quantity);
            }
        }
    }

    /// These less others; nothing goes below zero.
    #[must_use]
    pub fn less(&self, other: &Self) -> Self {
        let mut out = self.clone();
        for (name, quantity) in &mut out.0 {
            let rest = other.get(name).map_or(*quantity, |used| quantity.minus(used));
            *quantity = if rest.is_negative() { Quantity::ZERO } else { rest };
        }
        for (name, _) in other.iter().filter(|(name, _)| self.get(name).is_none()) {
            out.set(name, Quantity::ZERO);
        }
        out
    }

    /// Only the resources of these names.
    #[must_use]
    pub fn mask<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().filter_map(|name| Some((name.to_owned(), self.get(name)?))).collect())
    }

    /// Without those that are zero.
    #[must_use]
    pub fn without_zeros(mut self) -> Self {
        self.0.retain(|_, quantity| !quantity.is_zero());
        self
    }

    /// The names of the resources of which these have more than `limits`; resources without a limit are free.
    pub fn exceeding(&self, limits: &Self) -> Vec<&str> {
        self.iter()
            .filter(|(name, own)| limits.get(name).is_some_and(|limit| *own > limit))
            .map(|(name, _)| name)
            .collect()
    }
}

/// `cpu=1,memory=2Gi`
impl fmt::Display for Amounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, quantity)) in self.iter().enumerate() {
            write!(f, "{}{name}={quantity}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl<N: Into<String>> FromIterator<(N, Quantity)> for Amounts {
    fn from_iter<I: IntoIterator<Item = (N, Quantity)>>(items: I) -> Self {
        Self(items.into_iter().map(|(name, quantity)| (name.into(), quantity)).collect())
    }
}
