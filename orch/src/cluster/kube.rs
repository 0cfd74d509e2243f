//! A kube-rs client without a socket. Requests are calls of the server's service; those that switch protocols
//! (exec, attach, port-forward) go over a byte stream in memory, since a WebSocket needs one.

use http::{Request, Response, header};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use orch_apiserver::ApiServer;
use orch_store::Tasks;
use tower::ServiceExt;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type AnyBody = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, BoxError>;

/// A client that may do everything.
pub(super) fn client(server: &ApiServer, tasks: &Tasks) -> kube::Client {
    let (server, tasks) = (server.clone(), tasks.clone());
    let service = tower::service_fn(move |request: Request<Body>| {
        let (server, tasks) = (server.clone(), tasks.clone());
        async move {
            if request.headers().contains_key(header::UPGRADE) {
                return upgrade(&server, &tasks, request).await;
            }
            let response = server.service().oneshot(request).await?;
            Ok::<_, BoxError>(response.map(|body| body.map_err(Into::into).boxed_unsync()))
        }
    });
    kube::Client::new(service, "default")
}

async fn upgrade(server: &ApiServer, tasks: &Tasks, request: Request<Body>) -> Result<Response<AnyBody>, BoxError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(server.connect())).await?;
    tasks.spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection in process ended");
        }
    });
    let (mut parts, body) = request.into_parts();
    parts.headers.insert(header::HOST, header::HeaderValue::from_static("orch"));
    let response = sender.send_request(Request::from_parts(parts, body)).await?;
    Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
}
