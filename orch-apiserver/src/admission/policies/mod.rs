//! Admission policies: `ValidatingAdmissionPolicy` and `MutatingAdmissionPolicy`
//! (`apiserver/pkg/admission/plugin/policy`).
//!
//! ```text
//! policies, bindings ─► Policies (compiled when they change) ─► matched? ─► params ─► expressions ─► decision or patch
//! ```

mod bindings;
mod compile;
mod mutating;
mod mutation;
mod params;
mod policy;
mod validating;
mod validation;

pub(crate) use compile::Policies;
pub use mutating::MutatingAdmissionPolicy;
pub use validating::ValidatingAdmissionPolicy;
