//! Expressions of webhooks and policies: what the variables that they mention (`orch_api::expressions`) are for a write
//! (`apiserver/pkg/admission/plugin/cel`).

mod authorizer;
mod conditions;
mod input;
mod variables;

pub(super) use conditions::{Conditions, Held};
pub(super) use input::Input;
pub(super) use variables::{Budget, Values};
