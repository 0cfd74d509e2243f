//! The server through its tower service, over the memory backend: what a client sees, in its exact words.
#![allow(unreachable_pub, clippy::unwrap_used)] // A test binary has no public face, and helpers may unwrap.

mod admission;
mod bad_input;
mod custom;
mod delete;
mod empty;
mod hook_server;
mod identity;
mod kube_client;
mod openapi;
mod policies;
mod protobuf;
mod proxied;
mod rest;
mod service_addresses;
mod support;
mod watch;
mod webhooks;
mod webhooks_custom;
