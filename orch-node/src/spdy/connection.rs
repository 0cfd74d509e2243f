//! A connection as its user sees it.

#[cfg(test)]
use super::Headers;
use super::{
    Error,
    driver::{self, Shared},
    stream::Stream,
};
use std::sync::Arc;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};

/// Which side of a connection: the numbers of a client's streams are odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Sent the request.
    #[cfg(test)]
    Client,
    /// Answered it.
    Server,
}

/// One side of a connection.
pub(crate) struct Connection {
    incoming: mpsc::Receiver<Stream>,
    shared: Arc<Shared>,
}

/// A server's connection, and what drives it. The driver ends when the connection does; dropping it ends the
/// connection.
pub(crate) fn serve<T>(io: T) -> Result<(Connection, impl Future<Output = Result<(), Error>> + Send), Error>
where
    T: AsyncRead + AsyncWrite + Send + 'static,
{
    connect(io, Role::Server)
}

pub(crate) fn connect<T>(
    io: T,
    role: Role,
) -> Result<(Connection, impl Future<Output = Result<(), Error>> + Send), Error>
where
    T: AsyncRead + AsyncWrite + Send + 'static,
{
    let (incoming, streams) = mpsc::channel(1);
    let (shared, driver) = driver::new(io, role, incoming)?;
    Ok((Connection { incoming: streams, shared }, driver))
}

impl Connection {
    /// The next stream that the other side opens; `None` when the connection has ended. The stream is to be
    /// accepted or refused.
    pub(crate) async fn next(&mut self) -> Option<Stream> {
        self.incoming.recv().await
    }

    /// Resolves when the connection has ended. Streams that come meanwhile are refused.
    pub(crate) async fn ended(&mut self) {
        while let Some(stream) = self.next().await {
            stream.refuse().await;
        }
    }

    /// Says that no more will come, and ends the connection once that is sent.
    pub(crate) async fn close(self) {
        self.shared.close().await;
    }

    /// Opens a stream and waits until the other side accepts it; `None` when it does not.
    #[cfg(test)]
    pub(crate) async fn open(&self, headers: Headers) -> Option<Stream> {
        Shared::open(&self.shared, headers).await
    }
}
