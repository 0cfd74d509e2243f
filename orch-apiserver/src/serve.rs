//! The server on a socket: hyper with TLS in front of the same service. HTTP/1.1 and HTTP/2 by ALPN; a client
//! certificate that TLS has verified names the user.

use crate::{
    authn::user_of_certificate,
    server::{ApiServer, Identity},
    service::ApiService,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use rustls::ServerConfig;
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// How long a client may take to say hello.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How many requests one HTTP/2 connection may have open.
const STREAMS: u32 = 250;

impl ApiServer {
    /// Serves TLS on a listener until the server's tasks stop; requests under way are then finished. Resolves
    /// with the first error of the listener that is not about one connection alone.
    pub async fn serve(&self, listener: TcpListener, tls: ServerConfig) -> io::Result<()> {
        let mut tls = tls;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let tasks = &self.core().ambient.tasks;
        let stopped = tasks.cancelled();
        loop {
            let (stream, peer) = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) if is_about_one_connection(&error) => continue,
                    Err(error) => return Err(error),
                },
                () = stopped.cancelled() => return Ok(()),
            };
            let (server, acceptor) = (self.clone(), acceptor.clone());
            tasks.spawn_graceful(async move {
                if let Err(error) = server.serve_tls(stream, acceptor).await {
                    tracing::debug!(%peer, %error, "a connection ended");
                }
            });
        }
    }

    /// A connection to this server in this process, without TLS, whose requests may do everything: for clients
    /// that switch protocols, such as exec over WebSocket.
    pub fn connect(&self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(256 << 10);
        let service = self.service();
        let server = self.clone();
        self.core().ambient.tasks.spawn_graceful(async move {
            if let Err(error) = server.serve_connection(far, service).await {
                tracing::debug!(%error, "a connection in process ended");
            }
        });
        near
    }

    async fn serve_tls(&self, stream: TcpStream, acceptor: TlsAcceptor) -> Result<(), crate::http::body::BoxError> {
        stream.set_nodelay(true)?;
        let stream = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await??;
        let certificates = stream.get_ref().1.peer_certificates();
        let user = certificates.and_then(|all| all.first()).and_then(|der| user_of_certificate(der));
        let service = ApiService::new(self.clone(), Identity::Remote(user.map(Arc::new)));
        self.serve_connection(stream, service).await
    }

    async fn serve_connection<S>(&self, stream: S, service: ApiService) -> Result<(), crate::http::body::BoxError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http2().max_concurrent_streams(STREAMS);
        let connection =
            builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service));
        let mut connection = std::pin::pin!(connection);
        let stopped = self.core().ambient.tasks.cancelled();
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = stopped.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
