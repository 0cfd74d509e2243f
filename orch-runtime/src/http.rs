//! A small HTTP server, for health, metrics and webhooks: answers whole bodies, with TLS or without.

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, header::CONTENT_TYPE, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
};
use orch_store::Tasks;
use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// How long a client may take to say hello.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a client may take to send its headers.
const HEADERS: Duration = Duration::from_secs(32);
/// How long a listener that cannot accept rests, such as without file descriptors.
const REST: Duration = Duration::from_millis(100);
/// How long requests under way may take at the end.
const DRAIN: Duration = Duration::from_secs(30);

/// An answer as plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The content type.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// Words.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into().into() }
    }
}

/// Answers requests.
pub(crate) type Handler = Arc<dyn Fn(Request<Incoming>) -> BoxFuture<'static, Answer> + Send + Sync>;

/// Serves until the tasks are stopped, and finishes the requests under way then.
pub(crate) async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, handler: Handler, tasks: Tasks) {
    let stopped = tasks.cancelled();
    let connections = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            biased;
            () = stopped.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!(%error, "a connection was not accepted");
                    tokio::time::sleep(REST).await;
                    continue;
                }
            },
        };
        let (tls, handler, watcher) = (tls.clone(), handler.clone(), connections.watcher());
        let stopped = stopped.clone();
        tasks.spawn_graceful(async move {
            let patience = async {
                stopped.cancelled().await;
                tokio::time::sleep(DRAIN).await;
            };
            tokio::select! {
                biased;
                () = greet(stream, tls, handler, watcher) => {}
                () = patience => tracing::warn!("a request did not end in time and is abandoned"),
            }
        });
    }
    connections.shutdown().await;
}

async fn greet(stream: TcpStream, tls: Option<TlsAcceptor>, handler: Handler, watcher: Watcher) {
    let Some(tls) = tls else { return connection(stream, handler, watcher).await };
    match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => connection(stream, handler, watcher).await,
        Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
        Err(_) => tracing::debug!("a handshake took too long"),
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, handler: Handler, watcher: Watcher) {
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move {
            // Whoever panics answers for its own request alone.
            let answer = AssertUnwindSafe(async { handler(request).await }).catch_unwind().await;
            let answer = answer.unwrap_or_else(|_| Answer::text(500, "the handler panicked\n"));
            Ok::<_, Infallible>(response(answer))
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended");
    }
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = hyper::StatusCode::from_u16(answer.status).unwrap_or_default();
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(answer.content_type));
    response
}
