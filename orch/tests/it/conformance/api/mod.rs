//! Conformance tests that need the API server alone.

mod chunks;
mod crud;
mod discovery;
mod events;
mod fields;
mod leases;
mod limits;
mod maps;
mod nodes;
mod operations;
mod pod_certificates;
mod priority_classes;
mod reviews;
mod runtime_classes;
mod services;
mod templates;
mod watchers;

use super::{crud::Crud, kind::Kind, operations::*, world::*};
use orch::{api::Gvr, store::client::Patch};
use serde_json::{Value, json};
