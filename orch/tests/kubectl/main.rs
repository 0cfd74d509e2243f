//! The clients of others against the binary: every kubectl of `ORCH_KUBECTL` (or the one on `PATH`), helm, and
//! the official Python client. Clusters are shared; each test has a namespace of its own in one. A client that is
//! missing is said and its tests are skipped; `ORCH_REQUIRE_REAL=1` makes that a failure.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, unreachable_pub)] // All of this program is tests.

mod authorization;
mod batch;
mod cluster;
#[path = "../support/command.rs"]
mod command;
mod conformance;
mod containers;
mod custom;
mod helm;
mod input;
mod nodes;
mod objects;
mod operators;
mod python;
mod rollouts;
mod run;
mod server_side;
#[path = "../support/shared.rs"]
mod shared;
mod streams;
mod terminal;
#[path = "../support/tools.rs"]
mod tools;
mod top;
mod types;
mod volumes;

/// A Deployment behind a Service.
const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "orch.local/toolbox:latest", args: [sleep, "600"]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
"#;
