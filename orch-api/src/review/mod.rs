//! What the API server and its webhooks say to each other: admission reviews (`admission.k8s.io/v1`) and conversion
//! reviews (`apiextensions.k8s.io/v1`).
//!
//! Objects are JSON trees, so that a handler can serve kinds that it has no types for; [`AdmissionRequest::object_as`]
//! decodes.

mod admission;
mod conversion;
pub mod diff;

pub use admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, GroupVersionKind, GroupVersionResource};
pub use conversion::{ConversionRequest, ConversionResponse, ConversionReview};
