//! One stream of a connection.

use super::{
    Headers, PIECE,
    driver::{Out, Piece, Shared},
    frame,
};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A stream that the other side opened, or one that it accepted.
pub(crate) struct Stream {
    /// What the stream is for.
    pub(crate) headers: Headers,
    /// Its number in the connection.
    pub(crate) id: u32,
    reader: Reader,
    writer: Writer,
}

/// What the other side sends on a stream.
pub(crate) struct Reader {
    pieces: mpsc::Receiver<Piece>,
    finished: bool,
    _open: Arc<Open>,
}

/// Sends on a stream.
pub(crate) struct Writer(Arc<Open>);

/// The stream is no longer: it was reset, or the connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reset;

/// The connection forgets the stream with the last who holds this.
struct Open {
    id: u32,
    shared: Arc<Shared>,
}

impl Stream {
    pub(super) fn new(id: u32, headers: Headers, pieces: mpsc::Receiver<Piece>, shared: Arc<Shared>) -> Self {
        let open = Arc::new(Open { id, shared });
        Self { headers, id, reader: Reader { pieces, finished: false, _open: open.clone() }, writer: Writer(open) }
    }

    /// Tells the other side that it may send.
    pub(crate) async fn accept(self) -> (Reader, Writer) {
        self.writer.0.out(Out::Reply(self.id)).await.ok();
        self.halves()
    }

    /// Tells the other side that there will be no such stream.
    pub(crate) async fn refuse(self) {
        self.writer.0.out(Out::Reset { stream: self.id, status: frame::REFUSED_STREAM }).await.ok();
    }

    /// Both directions, of a stream that was accepted.
    pub(crate) fn halves(self) -> (Reader, Writer) {
        (self.reader, self.writer)
    }
}

impl Reader {
    /// The next piece; `None` when the other side has said that there will be no more.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Reset>> {
        if self.finished {
            return None;
        }
        match self.pieces.recv().await {
            Some(Piece::Data(data)) => Some(Ok(data)),
            end => {
                self.finished = true;
                end.is_none().then_some(Err(Reset))
            }
        }
    }
}

impl Writer {
    /// Sends bytes; waits while the connection is busy.
    pub(crate) async fn send(&mut self, mut data: Bytes) -> Result<(), Reset> {
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(PIECE));
            self.data(piece, false).await?;
        }
        Ok(())
    }

    /// Says that no more will come.
    pub(crate) async fn finish(&mut self) -> Result<(), Reset> {
        self.data(Bytes::new(), true).await
    }

    /// Ends both directions.
    pub(crate) async fn reset(self) {
        self.0.out(Out::Reset { stream: self.0.id, status: frame::CANCEL }).await.ok();
    }

    async fn data(&self, data: Bytes, fin: bool) -> Result<(), Reset> {
        match self.0.shared.is_open(self.0.id) {
            true => self.0.out(Out::Data { stream: self.0.id, fin, data }).await,
            false => Err(Reset),
        }
    }
}

impl Open {
    async fn out(&self, out: Out) -> Result<(), Reset> {
        self.shared.send(out).await
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.forget(self.id);
    }
}
