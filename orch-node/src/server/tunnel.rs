//! A byte stream inside the binary messages of a WebSocket (`client-go/tools/portforward/tunneling_connection.go`).

use super::upgrade::Socket;
use bytes::{Buf, Bytes};
use futures::{Sink, Stream};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

/// The longest message sent, in bytes.
const LONGEST: usize = 32 << 10;

/// The stream. Where its messages begin and end has no meaning.
pub(super) struct Tunnel {
    socket: Socket,
    unread: Bytes,
    closing: bool,
}

impl Tunnel {
    pub(super) fn new(socket: Socket) -> Self {
        Self { socket, unread: Bytes::new(), closing: false }
    }

    fn socket(&mut self) -> Pin<&mut Socket> {
        Pin::new(&mut self.socket)
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            match ready!(self.socket().poll_next(cx)) {
                Some(Ok(Message::Binary(data))) => self.unread = data,
                Some(Ok(Message::Text(_))) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "a text message in a tunnel")));
                }
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
        let count = self.unread.len().min(buffer.remaining());
        buffer.put_slice(self.unread.get(..count).unwrap_or_default());
        self.unread.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.socket().poll_ready(cx)).map_err(io::Error::other)?;
        let bytes = bytes.get(..bytes.len().min(LONGEST)).unwrap_or_default();
        self.socket().start_send(Message::binary(bytes.to_vec())).map_err(io::Error::other)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_flush(cx).map_err(io::Error::other)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closing {
            ready!(self.socket().poll_ready(cx)).map_err(io::Error::other)?;
            let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
            self.socket().start_send(Message::Close(Some(frame))).map_err(io::Error::other)?;
            self.closing = true;
        }
        self.socket().poll_flush(cx).map_err(io::Error::other)
    }
}
