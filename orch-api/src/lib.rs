//! Kubernetes object models as plain data and pure functions: no IO, no tokio, no clock.
//!
//! ```text
//! Key, Gvr, Kind ──► kinds::all()      one row per kind: names, verbs, columns, strategy
//! schema ──► facts (list types, merge keys, defaults) ──► prune, type-check, merge, apply, OpenAPI
//! StatusError ◄── FieldError ◄── validation
//! ```
//!
//! The built-in types are those of `k8s-openapi` (Kubernetes 1.37); every type that implements
//! [`kube_core::Resource`] with `DynamicType = ()` and serde is an [`Object`].

pub mod access;
pub mod autoscaling;
pub mod cel;
pub mod conditions;
pub mod crd;
pub mod cron;
pub mod decode;
pub mod defaults;
pub mod duration;
pub mod expressions;
pub mod field;
pub mod field_selector;
pub mod int_or_percent;
pub mod jsonpath;
pub mod key;
pub mod kind;
pub mod kinds;
pub mod label_selector;
pub mod names;
pub mod object;
pub mod owner;
mod pattern;
pub mod pod_security;
pub mod protobuf;
pub mod quantity;
pub mod quota;
pub mod review;
pub mod schema;
pub mod status;
pub mod strategy;
pub mod table;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod type_check;
pub mod usage;
pub mod validation;
mod value;

pub use field::{FieldError, FieldErrors, Path};
pub use key::{Gvk, Gvr, Key};
pub use kind::{Kind, Scope};
pub use object::Object;
pub use status::{Reason, StatusError};

pub use k8s_openapi;
pub use kube_core;
