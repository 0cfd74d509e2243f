//! The server through its tower service, over the memory backend: what a client sees, in its exact words.

mod bad_input;
mod delete;
mod identity;
mod kube_client;
mod proxied;
mod rest;
mod support;
mod watch;
