//! [`WebhookClient`]: asks webhooks and says in Go's words what went wrong.

use super::{
    answer,
    endpoint::{Endpoint, SendError},
    services::ServiceDialer,
    target::Target,
};
use bytes::Bytes;
use dashmap::DashMap;
use orch_api::StatusError;
use orch_store::Tasks;
use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

/// Asks webhooks. One for the server; cheap to clone.
#[derive(Clone)]
pub struct WebhookClient(Arc<Inner>);

struct Inner {
    services: Arc<dyn ServiceDialer>,
    tasks: Tasks,
    endpoints: DashMap<Target, Weak<Endpoint>>,
}

/// Why a webhook gave no usable answer.
#[derive(Clone, Debug, PartialEq)]
pub enum WebhookError {
    /// It answered with a refusal of its own instead of a review.
    Status(StatusError),
    /// It could not be asked, or its answer could not be read.
    Failed(String),
}

impl fmt::Display for WebhookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => f.write_str(status.message()),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl WebhookClient {
    /// A client that reaches Services by this dialer.
    pub fn new(services: Arc<dyn ServiceDialer>, tasks: Tasks) -> Self {
        Self(Arc::new(Inner { services, tasks, endpoints: DashMap::new() }))
    }

    /// The connections to a target. Whoever keeps the endpoint keeps them open; equal targets share one.
    ///
    /// # Errors
    ///
    /// When the bundle of authorities cannot be read.
    pub fn endpoint(&self, target: &Target) -> Result<Arc<Endpoint>, WebhookError> {
        if let Some(known) = self.0.endpoints.get(target).and_then(|weak| weak.upgrade()) {
            return Ok(known);
        }
        let endpoint = Arc::new(Endpoint::new(target.clone()).map_err(WebhookError::Failed)?);
        self.0.endpoints.retain(|_, weak| weak.strong_count() > 0);
        self.0.endpoints.insert(target.clone(), Arc::downgrade(&endpoint));
        Ok(endpoint)
    }

    /// Sends a JSON body and gives back the JSON that was answered. The timeout, where there is one, covers all of it,
    /// and the webhook is told of it.
    pub async fn post(
        &self,
        endpoint: &Endpoint,
        body: Bytes,
        timeout: Option<Duration>,
    ) -> Result<Bytes, WebhookError> {
        let path = path(&endpoint.target, timeout);
        let about = |why: &dyn fmt::Display| {
            let words = format!("Post \"https://{}{path}\": {why}", endpoint.target.authority());
            WebhookError::Failed(words)
        };
        let asked = endpoint.send(&*self.0.services, &self.0.tasks, &path, body);
        let answered = match timeout {
            None => asked.await,
            Some(limit) => match tokio::time::timeout(limit, asked).await {
                Ok(answered) => answered,
                Err(_) => return Err(about(&"context deadline exceeded")),
            },
        };
        let response = answered.map_err(|error| match error {
            SendError::Status(status) => about(&status.message()),
            SendError::Failed(why) => about(&why),
        })?;
        answer::read(response)
    }
}

/// The path with the time that is left, in whole seconds, as `?timeout=`.
fn path(target: &Target, timeout: Option<Duration>) -> String {
    match timeout {
        None => target.path.clone(),
        Some(limit) => {
            let seconds = limit.as_secs() + u64::from(limit.subsec_nanos() > 0);
            let separator = if target.path.contains('?') { '&' } else { '?' };
            format!("{}{separator}timeout={seconds}s", target.path)
        }
    }
}
