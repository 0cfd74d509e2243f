//! What objects use of a quota, and whether there is enough of it (`pkg/quota/v1`,
//! `apiserver/pkg/admission/plugin/resourcequota`). Pure: admission counts single writes with it, a controller whole
//! namespaces.
//!
//! ```text
//! Evaluator::of(resource) ─► usage(object) ─► check(quotas, request) ─► new `status.used`, or why not
//! ```

mod amounts;
mod check;
mod claim;
mod evaluator;
mod pod;
mod scope;
mod service;
#[cfg(test)]
mod tests;

pub use amounts::Amounts;
pub use check::{Refused, Request, check};
pub use evaluator::{Evaluator, matches, usage_of};
pub use pod::{counts as counts_pod, pod_in_limit_range, pod_limits, pod_requests, requests_and_limits};
pub use scope::{Scope, scopes_of};
