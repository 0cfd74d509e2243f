//! The Kubernetes API server as a tower service.

pub mod authn;
pub mod authz;
pub mod discovery;
pub mod patch;
