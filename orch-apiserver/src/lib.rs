//! The Kubernetes API server as a tower service.

pub mod apply;
pub mod authn;
pub mod authz;
pub mod discovery;
pub mod openapi;
pub mod patch;
pub mod pki;
