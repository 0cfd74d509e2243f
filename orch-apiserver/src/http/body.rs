//! Bodies: reading a bounded request body, and the type of every answer's body.

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt, stream::BoxStream};
use http_body::Frame;
use http_body_util::BodyExt;
use orch_api::{Reason, StatusError};
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

/// The largest request body: 3 MiB, as kube-apiserver has it.
pub const MAX_BODY: usize = 3 << 20;

/// An error of any kind.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
pub enum Body {
    /// Everything at once; `None` once it was sent.
    Full(Option<Bytes>),
    /// Pieces as they come.
    Stream(BoxStream<'static, Result<Bytes, BoxError>>),
}

impl Body {
    /// A body of known bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::Full((!bytes.is_empty()).then_some(bytes))
    }

    /// A body without bytes.
    pub fn empty() -> Self {
        Self::Full(None)
    }

    /// A body in pieces that cannot fail.
    pub fn stream(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self::Stream(pieces.map(Ok).boxed())
    }

    /// The body of another service, passed on frame by frame.
    pub fn forward<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::Stream(body.into_data_stream().map(|piece| piece.map_err(Into::into)).boxed())
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Stream(pieces) => pieces.poll_next_unpin(cx).map(|piece| piece.map(|p| p.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Full(None))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Full(bytes) => http_body::SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Stream(_) => http_body::SizeHint::default(),
        }
    }
}

/// Reads a request body of at most [`MAX_BODY`] bytes; `413` beyond.
pub async fn read<B>(body: B) -> Result<Bytes, StatusError>
where
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    let too_large = || {
        let message = format!("Request entity too large: limit is {MAX_BODY}");
        StatusError::new(Reason::RequestEntityTooLarge, message)
    };
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_large());
    }
    let mut body = std::pin::pin!(body);
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| StatusError::bad_request(format!("reading the body: {}", e.into())))?;
        let Ok(mut data) = frame.into_data() else { continue };
        if whole.len() + data.remaining() > MAX_BODY {
            return Err(too_large());
        }
        whole.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    Ok(whole.freeze())
}

/// A stream of bytes that cannot fail.
pub type Pieces = BoxStream<'static, Result<Bytes, Infallible>>;
