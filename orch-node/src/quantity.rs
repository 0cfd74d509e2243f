//! Quantities where the agent computes with them. Validation has refused those that are none: they count as 0.

use orch_api::quantity::Quantity;

/// A quantity in thousandths, rounded up.
pub(crate) fn milli(text: &str) -> i128 {
    Quantity::parse(text).map_or(0, |quantity| quantity.millis().into())
}

/// A quantity in whole units, rounded up.
pub(crate) fn units(text: &str) -> i64 {
    Quantity::parse(text).map_or(0, Quantity::value)
}
