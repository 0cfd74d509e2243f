//! For the tests of controllers: objects as a cache would hold them, and the laws of every controller.

pub mod laws;
mod objects;

pub use objects::Objects;

/// Compares a printed plan with the expected lines; indentation and empty lines do not count.
///
/// # Panics
///
/// If they differ.
#[track_caller]
pub fn check_plan(plan: &crate::Plan, expect: &str) {
    let tidy = |text: &str| text.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join("\n");
    let (actual, expect) = (tidy(&plan.to_string()), tidy(expect));
    assert!(actual == expect, "the plan is\n{actual}\nbut should be\n{expect}");
}
