//! Conformance tests of Kubernetes, ported. Each carries its codename in a comment.

mod api;
mod basics;
mod batch;
mod crud;
mod daemon_set;
mod deployment;
mod garbage;
mod http;
mod kind;
mod life;
mod namespaces;
mod operations;
mod pods;
mod preemption;
mod replication;
mod scheduling;
mod stateful_set;
mod volumes;
mod watch;
mod world;
