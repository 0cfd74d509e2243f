//! Serving admission and conversion webhooks over HTTPS to any API server.
//!
//! The handlers are those of [`orch_store::review`]: the same value can be given to an API server of this process.
//!
//! ```no_run
//! use orch_api::review::{AdmissionRequest, AdmissionResponse};
//! use orch_runtime::webhook::Webhooks;
//! # async fn example(tasks: &orch_store::Tasks) -> Result<(), Box<dyn std::error::Error>> {
//! Webhooks::new()
//!     .admission("/validate-pods", |request: AdmissionRequest| async move {
//!         match request.object["metadata"]["labels"]["team"].as_str() {
//!             Some(_) => AdmissionResponse::allow(),
//!             None => AdmissionResponse::deny("every pod has a team"),
//!         }
//!     })
//!     .serve("0.0.0.0:9443".parse()?, "/certs/tls.crt", "/certs/tls.key", tasks)
//!     .await?;
//! # Ok(())
//! # }
//! ```

mod certificate;
mod review;
#[cfg(test)]
mod tests;

pub use certificate::Reloading;

use crate::http::{self, Answer};
use futures::FutureExt;
use http_body_util::{BodyExt, Limited};
use hyper::{Method, Request, body::Incoming, header::CONTENT_TYPE};
use orch_store::{
    Tasks,
    review::{AdmissionHandler, ConversionHandler},
};
use std::{collections::BTreeMap, io, net::SocketAddr, path::Path, sync::Arc};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The largest review that is read, as controller-runtime has it; a review holds two objects of up to 3 MiB.
const MAX_BODY: usize = 7 << 20;

/// Handlers by their paths. Cheap to clone.
#[derive(Clone, Default)]
pub struct Webhooks {
    paths: BTreeMap<&'static str, Hook>,
}

#[derive(Clone)]
enum Hook {
    Admission(Arc<dyn AdmissionHandler>),
    Conversion(Arc<dyn ConversionHandler>),
}

impl Webhooks {
    /// No handlers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers admission reviews at a path, validating or mutating.
    #[must_use]
    pub fn admission(mut self, path: &'static str, handler: impl AdmissionHandler) -> Self {
        self.paths.insert(path, Hook::Admission(Arc::new(handler)));
        self
    }

    /// Answers conversion reviews at a path.
    #[must_use]
    pub fn conversion(mut self, path: &'static str, handler: impl ConversionHandler) -> Self {
        self.paths.insert(path, Hook::Conversion(Arc::new(handler)));
        self
    }

    /// Serves TLS with the certificate and key of two PEM files, which are read again when they change, until the tasks
    /// are stopped. Resolves with the address when it can be reached.
    ///
    /// # Errors
    /// If the address cannot be bound or the files hold no certificate and key.
    pub async fn serve(
        self,
        address: SocketAddr,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
        tasks: &Tasks,
    ) -> io::Result<SocketAddr> {
        let tls = Reloading::open(certificate.as_ref(), key.as_ref())?.server_config()?;
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let hooks = Arc::new(self);
        let handler: http::Handler = Arc::new(move |request| hooks.clone().answer(request).boxed());
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        tasks.spawn_graceful(http::serve(listener, Some(acceptor), handler, tasks.clone()));
        Ok(address)
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let path = request.uri().path();
        let Some(hook) = self.paths.get(path) else { return Answer::text(404, "no webhook has this path\n") };
        if request.method() != Method::POST {
            return Answer::text(405, "a review is sent by POST\n");
        }
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.split(';').next().map(str::trim) != Some("application/json") {
            return Answer::text(415, format!("the content type is {kind:?}, and must be application/json\n"));
        }
        let body = match Limited::new(request.into_body(), MAX_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return Answer::text(413, format!("the body was not read: {error}\n")),
        };
        match hook {
            Hook::Admission(handler) => review::admission(&**handler, &body).await,
            Hook::Conversion(handler) => review::conversion(&**handler, &body).await,
        }
    }
}
