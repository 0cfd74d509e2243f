//! Conformance of what keeps a cluster going: budgets, quotas, endpoints, accounts, certificates, taints.

mod accounts;
mod certificates;
mod disruption;
mod endpoints;
mod networks;
mod quota;
mod taints;

use super::world::*;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use std::time::Duration;
