//! [`Gateway`]: the address of the API server. Behind it one server can end and another begin.

use super::injector::unreachable;
use async_trait::async_trait;
use futures::StreamExt;
use orch_api::Gvr;
use orch_store::{
    Client,
    client::{Around, Result, WatchOptions, WatchStream},
    watched,
};
use std::sync::Arc;

/// A client of whichever server there is.
#[derive(Default)]
pub(super) struct Gateway {
    current: watched::Sender<Option<Arc<dyn Client>>>,
}

impl Gateway {
    /// Another server, or none. Connections to the one before end.
    pub(super) fn set(&self, server: Option<Arc<dyn Client>>) {
        self.current.send_replace(server);
    }
}

#[async_trait]
impl Around for Gateway {
    fn inner(&self) -> Result<Arc<dyn Client>> {
        self.current.borrow().clone().ok_or_else(unreachable)
    }

    async fn begin_watch(&self, resource: &Gvr, options: &WatchOptions) -> Result<WatchStream> {
        let mut changed = self.current.subscribe();
        let events = self.inner()?.watch(resource, options).await?;
        let ended = async move {
            let _either = changed.changed().await;
        };
        Ok(events.take_until(Box::pin(ended)).boxed())
    }
}
