//! Tests of the Kubernetes conformance suite, ported. Each carries its codename in its documentation.

mod daemon_set;
mod deployment;
mod replication;
mod stateful_set;
mod workload;
