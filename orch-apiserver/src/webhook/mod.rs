//! The HTTPS client for webhooks: admission, conversion and whatever else the API server asks a server that an object
//! names (`apiserver/pkg/util/webhook`).
//!
//! ```text
//! clientConfig ─► Target ─► WebhookClient::endpoint ─► Endpoint (TLS, idle connections) ─► post
//!                                                         └─ ServiceDialer, for a `service`
//! ```

mod answer;
mod client;
mod endpoint;
mod services;
mod target;
mod tls;
mod verifier;

pub use client::{WebhookClient, WebhookError};
pub use endpoint::Endpoint;
pub use services::{ClusterServices, ServiceDialer};
pub use target::{Place, Target};

#[cfg(test)]
mod tests;
