//! [`ApiService`]: the server as a `tower::Service`.

use crate::{
    http::{
        answer,
        body::{Body, BoxError},
    },
    server::{ApiServer, Identity},
};
use ::http::{Request, Response};
use futures::{FutureExt, future::BoxFuture};
use std::{
    convert::Infallible,
    task::{Context, Poll},
};

/// The server as a `tower::Service`, answering on behalf of one identity. Cheap to clone.
#[derive(Clone)]
pub struct ApiService {
    server: ApiServer,
    identity: Identity,
}

impl ApiService {
    pub(crate) fn new(server: ApiServer, identity: Identity) -> Self {
        Self { server, identity }
    }
}

impl<B> tower_service::Service<Request<B>> for ApiService
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self { server, identity } = self.clone();
        async move { Ok(answer(&server, &identity, request).await) }.boxed()
    }
}
