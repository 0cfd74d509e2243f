//! [`Fenced`]: a client that writes only while its process leads.

use super::Leadership;
use async_trait::async_trait;
use orch_api::{Gvr, Reason, StatusError};
use orch_store::{
    Client, Stored,
    client::{Around, DeleteOptions, ListOptions, Result, Write},
};
use std::{future::Future, sync::Arc};

/// A client around another that refuses writes unless its process leads, as the module says.
pub struct Fenced {
    inner: Arc<dyn Client>,
    lead: Leadership,
}

impl Fenced {
    /// Puts a fence around a client.
    pub fn new(inner: Arc<dyn Client>, lead: Leadership) -> Arc<Self> {
        Arc::new(Self { inner, lead })
    }

    async fn guard<T>(&self, write: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(mut until) = self.lead.until() else {
            return Err(refusal("this process does not lead: nothing was written"));
        };
        tokio::pin!(write);
        loop {
            if let Ok(result) = tokio::time::timeout_at(until, &mut write).await {
                return result;
            }
            // The lease may have been renewed meanwhile.
            match self.lead.until() {
                Some(later) => until = later,
                None => return Err(refusal("the lease ran out during a write: whether it happened is not known")),
            }
        }
    }
}

#[async_trait]
impl Around for Fenced {
    fn inner(&self) -> Result<Arc<dyn Client>> {
        Ok(self.inner.clone())
    }

    async fn write(&self, write: Write<'_>) -> Result<Arc<Stored>> {
        self.guard(write.send(&*self.inner)).await
    }

    async fn sweep(&self, resource: &Gvr, select: &ListOptions, options: &DeleteOptions) -> Result<()> {
        self.guard(self.inner.delete_collection(resource, select, options)).await
    }
}

fn refusal(message: &str) -> StatusError {
    StatusError::new(Reason::ServiceUnavailable, message)
}
