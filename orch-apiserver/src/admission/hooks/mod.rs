//! Webhooks: `MutatingAdmissionWebhook` and `ValidatingAdmissionWebhook`, over HTTPS or as functions of this process
//! (`apiserver/pkg/admission/plugin/webhook`).
//!
//! ```text
//! configurations ─► Hooks (compiled when they change) ─► Hook::invocation (is it asked?) ─► Hook::ask ─► Verdict
//! ```

mod ask;
mod compile;
mod error;
mod hook;
mod mutating;
mod review;
mod validating;

pub(crate) use compile::Hooks;
pub use mutating::MutatingAdmissionWebhook;
pub use validating::ValidatingAdmissionWebhook;
